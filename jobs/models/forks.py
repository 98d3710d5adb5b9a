"""Forks: new runs that begin with the state of an earlier one at a step that it keeps.

A fork has copies of all it needs: the checkpoint, the fingerprints of the data, the turns and the
record until that step. The earlier run is left as it is, and may be deleted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from backend.events import Cost
from backend.spec import RunSpec
from jobs.records import run_store
from jobs.records.requests import Turn
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from jobs.records.summary import lines_of
from jobs.system import atomic_files

FORKED = "run/forked"
REQUEST = "fork"
"""`Turn.request` of the settings that a fork begins with."""
_MADE_OF, _SETTINGS = "made_of.json", "settings.json"


def create(
    parent: RunDirectory, step: int, spec: RunSpec, settings: Mapping[str, float], by: str = ""
) -> RunDirectory:
    """Create a queued run that begins with the state of `parent` at a step that it keeps.

    spec: of the new run. settings: turnable fields by dotted name that it turns before its first
    step. by: who forks. Raises NotAvailable when nothing can be written, or read of the parent.
    """
    cost = Cost(*parent.checkpoint_meta(step)["cost"])
    rules = parent.turnable(step)
    turns = parent.turns_before(step)
    if settings:
        fields = {name: (float(rules[name]["value"]), new) for name, new in settings.items()}
        turns.append(Turn(step, fields, by, time.time(), REQUEST))

    def begin(child: RunDirectory, run_id: str) -> dict[str, Any]:
        parent.copy_checkpoint(step, child)
        for name in (_MADE_OF, _SETTINGS):
            if content := parent.read_json(name):
                atomic_files.write(child.path / name, json.dumps(content), sync=True)
        child.write_turns(turns)
        parent.copy_until(step, child.path, run_id)
        before = parent.written_status()
        return {
            "forked_from": {"run": parent.id, "step": step, "cost": list(cost)},
            "step": step,
            "checkpoint_step": step,
            "fraction": min(spec.budget.fraction_used(cost), 1.0),
            "gradients": cost.gradients,
            "seconds": cost.seconds,
            "joules": cost.joules,
            "products": before.products,
            "settings": before.settings,
            "figures": lines_of(before.figures),
        }

    return run_store.create_run(spec, begin, by)


def children_of(run_id: str) -> list[Status]:
    """List the runs that were forked from one, oldest first. Raises NotAvailable, OSError."""
    children = [s for s in run_store.list_runs() if (s.forked_from or {}).get("run") == run_id]
    return sorted(children, key=lambda status: status.created)


def in_words(status: Status) -> str:
    """Write what a run was forked from; "" for others."""
    if status.forked_from is None:
        return ""
    return f"forked from {status.forked_from['run']} at step {status.forked_from['step']:,}"


def unsaid(directory: RunDirectory, status: Status) -> str:
    """Return the sentence that the record of a fork still lacks, "" where it lacks none."""
    if status.forked_from is None:
        return ""
    step = status.forked_from["step"]
    for frame in directory.texts():
        if frame.header["path"] == FORKED and frame.header["last"][0] == step:
            return ""
    return f"F{in_words(status)[1:]}."
