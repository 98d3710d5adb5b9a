"""Former names: modules under the names they had in version 0.1.

Checkpoints name the types they hold by module, and people's scripts import some: both find what
moved. To be removed in version 0.3, when checkpoints of 0.1 are read no more.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

MODULES = {
    "backend.account": "backend.observe.draw_statistics",
    "backend.alarms": "backend.observe.alarms",
    "backend.arithmetic": "backend.gradient_use",
    "backend.asking": "backend.requests.asking",
    "backend.chains": "backend.observe.chains",
    "backend.compiling": "backend.compilation.compiler",
    "backend.drawing": "backend.requests.conditional_sampling",
    "backend.figures": "backend.metric_names",
    "backend.energies.quadrature": "backend.metrics.quadrature",
    "backend.home": "backend.system.home",
    "backend.metrics.chains": "backend.metrics.convergence",
    "backend.metrics.errors": "backend.metrics.errors_to_truth",
    "backend.metrics.log_z": "backend.metrics.log_z_grid",
    "backend.metrics.running": "backend.metrics.running_moments",
    "backend.noise_ladder": "backend.recovery.noise_schedule",
    "backend.noise_laws": "backend.distributions",
    "backend.noise_laws.fixed": "backend.distributions.fixed",
    "backend.noise_laws.flow": "backend.distributions.flow",
    "backend.noise_laws.gaussian": "backend.distributions.gaussian",
    "backend.noise_laws.mixture": "backend.distributions.mixture",
    "backend.observation": "backend.observe.observation",
    "backend.panels": "backend.observe.pictures",
    "backend.parallel": "backend.networks.row_sharing",
    "backend.plain": "backend.system.yaml_reader",
    "backend.recipe": "backend.claims.recipe",
    "backend.recipe_parts": "backend.claims.recipe_schema",
    "backend.recovery.look": "backend.recovery.pictures",
    "backend.report": "backend.claims.report",
    "backend.sizes": "backend.observe.sizes",
    "backend.tables": "backend.observe.tables",
    "backend.tracing": "backend.compilation.tracing",
    "backend.transport": "backend.objectives.optimal_transport",
    "backend.verdict": "backend.claims.verdict",
    "dashboard.access": "dashboard.security.access",
    "dashboard.client": "dashboard.stream.client",
    "dashboard.data_chooser": "dashboard.forms.data_chooser",
    "dashboard.draft": "dashboard.forms.draft",
    "dashboard.feed": "dashboard.stream.feed",
    "dashboard.frames": "dashboard.stream.frames",
    "dashboard.gate": "dashboard.security.gate",
    "dashboard.history": "dashboard.stream.history",
    "dashboard.hub": "dashboard.stream.hub",
    "dashboard.lab": "dashboard.sampler_lab.race_options",
    "dashboard.questions": "dashboard.stream.questions",
    "dashboard.race_check": "dashboard.sampler_lab.race_check",
    "dashboard.race_form": "dashboard.sampler_lab.race_form",
    "dashboard.routes": "dashboard.stream.routes",
    "dashboard.streams": "dashboard.stream.streams",
    "dashboard.uploads": "dashboard.security.uploads",
    "jobs.alarms": "jobs.execution.alarms",
    "jobs.artifacts": "jobs.records.run_store",
    "jobs.asking": "jobs.models.answering",
    "jobs.attempts": "jobs.records.attempts",
    "jobs.block": "jobs.execution.device_scalars",
    "jobs.blocks": "jobs.record_files.scalar_blocks",
    "jobs.calls": "jobs.queueing.job_calls",
    "jobs.checkpoint": "jobs.records.checkpoint",
    "jobs.children": "jobs.services.children",
    "jobs.control": "jobs.queueing.control",
    "jobs.devices": "jobs.system.devices",
    "jobs.doctor": "jobs.services.doctor",
    "jobs.documents": "jobs.records.documents",
    "jobs.emitter": "jobs.execution.emitter",
    "jobs.enqueue": "jobs.queueing.enqueue",
    "jobs.entry": "jobs.services.entry_link",
    "jobs.files": "jobs.system.atomic_files",
    "jobs.findings": "jobs.claims.recipe_results",
    "jobs.frames": "jobs.record_files.frame_files",
    "jobs.guard": "jobs.execution.divergence_guard",
    "jobs.heartbeat": "jobs.execution.heartbeat",
    "jobs.interruption": "jobs.system.interruption",
    "jobs.keyframes": "jobs.record_files.keyframes",
    "jobs.log": "jobs.record_files.run_log",
    "jobs.login": "jobs.services.login",
    "jobs.looking": "jobs.execution.observation_schedule",
    "jobs.loop": "jobs.execution.loop",
    "jobs.made_of": "jobs.models.fingerprints",
    "jobs.merged": "jobs.record_files.merged_scalars",
    "jobs.meter": "jobs.system.joule_meter",
    "jobs.moved": "jobs.records.moved_files",
    "jobs.names": "jobs.queueing.redis_names",
    "jobs.outcome": "jobs.execution.outcome",
    "jobs.pace": "jobs.execution.cadence",
    "jobs.parallel": "jobs.execution.process_team",
    "jobs.peer": "jobs.services.peer_user",
    "jobs.prepare": "jobs.models.method_setup",
    "jobs.processes": "jobs.system.processes",
    "jobs.progress": "jobs.records.progress",
    "jobs.race": "jobs.races",
    "jobs.reconcile": "jobs.queueing.reconcile",
    "jobs.record": "jobs.record_files.scalar_record",
    "jobs.redis_server": "jobs.services.redis_server",
    "jobs.refusals": "jobs.queueing.redis_errors",
    "jobs.reproduction": "jobs.claims.reproduction",
    "jobs.rq_worker": "jobs.queueing.rq_worker",
    "jobs.run_directory": "jobs.records.run_directory",
    "jobs.series": "jobs.record_files.scalar_table",
    "jobs.side_by_side": "jobs.execution.local_pool",
    "jobs.silence": "jobs.records.silence",
    "jobs.state": "jobs.models.method_state",
    "jobs.status": "jobs.records.status",
    "jobs.store": "jobs.queueing.redis_store",
    "jobs.telling": "jobs.execution.reporter",
    "jobs.threads": "jobs.system.threads",
    "jobs.trained": "jobs.models.trained_run",
    "jobs.turns": "jobs.queueing.turns",
    "jobs.up": "jobs.services.supervision",
    "jobs.words": "jobs.formatting",
    "jobs.worker": "jobs.queueing.worker",
}
"""The name now of each module that moved, by its former name."""
ATTRIBUTES = {"account": "statistics"}
"""The name now of each attribute that a checkpoint holds, by its former name."""


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import a module that moved, from where it is now: one module under two names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        name = MODULES[spec.name]
        warnings.warn(f"{spec.name} is {name} now", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(name)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        module.__spec__ = spec.loader_state


def install() -> None:
    """Find modules by their former names from now on: before every other way, since a file of a
    moved folder would else be imported a second time."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
