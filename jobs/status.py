"""Status: what is known of a run, as `status.json` holds it and every page and command shows it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from backend.spec import RunSpec
from jobs.processes import identity, is_there
from jobs.silence import Watch

WORDS = ("queued", "running", "paused", "finished", "stopped", "failed", "diverged", "lost")
OVER = frozenset({"finished", "stopped", "failed", "diverged", "lost", "paused"})
"""Words of runs that nothing is working on or will by itself."""
RESUMABLE = frozenset({"paused", "stopped", "lost", "failed"})
"""Words of runs that may go on from where they are."""
SILENCE = 8.0
"""Seconds a running run may leave its status unwritten, as seen from another machine, before it
counts as lost."""


@dataclass(frozen=True)
class Status:
    """Where a run stands. Times are unix seconds."""

    id: str
    status: str = "queued"
    """one of `WORDS`"""
    name: str = ""
    method: str = ""
    preset: str = ""
    data: str = ""
    """name of the data set"""
    seed: int = 0
    device: str = ""
    """as asked for until the run starts, then as found"""
    created: float = 0.0
    started: float | None = None
    """of the first attempt"""
    ended: float | None = None
    updated: float = 0.0
    """when the status was last written: the heartbeat"""
    doing: str = ""
    """while it runs: training, looking, saving a checkpoint, ... as `jobs.progress` names it"""
    progressed: float = 0.0
    """when it last gave a sign of getting on, beyond its heartbeat"""
    step: int = 0
    step_hash: str = ""
    """of runs whose steps are the same work: `RunSpec.step_hash`"""
    fraction: float = 0.0
    """of the budget, 0 to 1"""
    budget: dict[str, Any] = field(default_factory=dict)
    gradients: int = 0
    seconds: float = 0.0
    """of training alone"""
    joules: float | None = None
    joules_source: str | None = None
    """counter, estimate or null"""
    observe_seconds: float = 0.0
    """of looking, not in `seconds`"""
    reason: str = ""
    """one sentence about how it ended"""
    problem: dict[str, Any] | None = None
    """what, value, bound and step of a divergence; field and message of a failure"""
    attempt: int = 0
    """1 for the first, one more for every resume"""
    host: str = ""
    pid: int | None = None
    process: str = ""
    """which of all processes that ever had this pid: `jobs.processes.identity`"""
    worker: str = ""
    checkpoint_step: int | None = None
    headline: dict[str, Any] | None = None
    """path and value of the figure worth a glance"""
    seconds_left: float | None = None
    tags: list[str] = field(default_factory=list)
    note: str = ""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    """path, message and step of what a person should look at"""

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    @property
    def needs_a_look(self) -> bool:
        """Whether it goes on with alarms that a person should read."""
        return self.status == "running" and bool(self.alarms)

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))  # not copied in depth: thousands are told at once


_NAMES = frozenset(item.name for item in fields(Status))


def from_dict(raw: dict[str, Any]) -> Status:
    """The status a file holds; names of another version are left out."""
    return Status(**{name: value for name, value in raw.items() if name in _NAMES})


def from_spec(run_id: str, spec: RunSpec) -> Status:
    """The status of a run that has just been asked for."""
    return Status(
        id=run_id,
        name=spec.name,
        method=spec.method,
        preset=spec.preset,
        data=str(spec.data.get("name", "")),
        seed=spec.seed,
        step_hash=spec.step_hash(),
        device=spec.device,
        budget=spec.budget.model_dump(exclude_none=True),
        tags=list(spec.tags),
        note=spec.notes,
    )


_watch = Watch()
"""Of the statuses that this process has looked at."""


def derived(status: Status) -> Status:
    """The same, `lost` when it says running but its process is gone, or is of another machine and
    has been silent for as long as this process looked. One that is here is slow, not lost."""
    if status.status != "running":
        _watch.forget(status.id)
        return status
    there = process_is_there(status)
    silent = _watch.seconds(status.id, (status.updated, status.step)) > SILENCE
    if there is False:
        reason = f"Its process {status.pid} is gone."
    elif not silent:
        return status
    elif there:
        said = f"Its process {status.pid} is there, but has said nothing for {SILENCE:g} s."
        return replace(status, reason=said, seconds_left=None)
    else:
        reason = f"No word from its process on {status.host} for more than {SILENCE:g} s."
    if status.checkpoint_step is not None:
        reason += f" It can resume from step {status.checkpoint_step:,}."
    return replace(status, status="lost", reason=reason, seconds_left=None)


def process_is_there(status: Status) -> bool | None:
    """Whether the process of a run is there; None when it cannot be seen from here."""
    if status.host != hostname() or not status.pid:
        return None
    return is_there(status.pid, status.process)


def this_process() -> dict[str, Any]:
    """Fields of a status that say which process this one is."""
    pid = os.getpid()
    return {"host": hostname(), "pid": pid, "process": identity(pid)}


@cache
def hostname() -> str:
    return socket.gethostname()
