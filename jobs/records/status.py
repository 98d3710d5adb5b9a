"""Status: the state of a run, as `status.json` holds it and every page and command shows it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from backend.events import Cost
from backend.spec import RunSpec
from jobs.formatting import roughly
from jobs.records import documents
from jobs.records.documents import is_number
from jobs.records.progress import AFTER_TRAINING, BESIDE_STEPS
from jobs.records.silence import Watch
from jobs.records.summary import settings_of
from jobs.system.processes import identity, is_there

WORDS = ("queued", "running", "paused", "finished", "stopped", "failed", "diverged", "lost")
OVER = frozenset({"finished", "stopped", "failed", "diverged", "lost", "paused"})
"""States of runs that nothing is working on or will by itself."""
RESUMABLE = frozenset({"paused", "stopped", "lost", "failed"})
"""States of runs that may go on from where they are."""
FAILURE = frozenset({"failed", "diverged", "lost"})
"""States of runs that ended otherwise than anybody wanted."""
BY_ITSELF = "It goes on by itself once Basin runs again."
"""Last words of the reason of a run that is `interrupted`."""
OWN_SCRIPT = "own script"
"""`Status.worker` of runs that a script of the user's own trains: nothing here can begin it again,
and nothing ends it but that script."""
SURE_FROM = 0.05
"""Share of the budget from which on a time left is no longer `about` so much."""
SILENCE = 8.0
"""Seconds a running run may leave its status unwritten, as seen from another machine, before it
counts as lost."""


Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Pid = Annotated[int, Field(gt=0, lt=2**31)]


def _figure(raw: dict[str, Any]) -> dict[str, Any]:
    if isinstance(raw.get("path"), str) and isinstance(raw.get("value"), (int, float)):
        return raw
    raise ValueError("no path and value")


def _alarm(raw: dict[str, Any]) -> dict[str, Any]:
    texts = isinstance(raw.get("path"), str) and isinstance(raw.get("message"), str)
    if texts and is_number(raw.get("step")):
        return raw
    raise ValueError("no path, message and step")


def _origin(raw: dict[str, Any]) -> dict[str, Any]:
    cost = raw.get("cost", [])
    numbers = isinstance(cost, list) and all(each is None or is_number(each) for each in cost)
    if isinstance(raw.get("run"), str) and is_number(raw.get("step")) and numbers:
        return {"run": raw["run"], "step": int(raw["step"]), "cost": cost}
    raise ValueError("no run and step")


def _scalars(raw: dict[str, Any]) -> dict[str, Any]:
    if all(value is None or isinstance(value, (str, int, float)) for value in raw.values()):
        # thousands of runs share a few names
        return {sys.intern(name): value for name, value in raw.items()}
    raise ValueError("not plain values by name")


Settings = Annotated[dict[str, Any], AfterValidator(_scalars)]
Headline = Annotated[dict[str, Any], AfterValidator(_figure)]
Alarm = Annotated[dict[str, Any], AfterValidator(_alarm)]
Origin = Annotated[dict[str, Any], AfterValidator(_origin)]


@dataclass(frozen=True)
class Status:
    """State of a run. Times are unix seconds."""

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
    products: str = ""
    """of matrices in linear layers on a CPU, torch or onednn: float32 results differ by rounding"""
    by: str = ""
    """who launched it: a login, or the user of a command line; "" where nobody logs in"""
    created: Time = 0.0
    started: Time | None = None
    """of the first attempt"""
    ended: Time | None = None
    updated: Time = 0.0
    """when the status was last written: the heartbeat"""
    doing: str = ""
    """while it runs: training, looking, saving a checkpoint, ... as `jobs.records.progress`
    names it"""
    progressed: float = 0.0
    """when it last gave a sign of getting on, beyond its heartbeat"""
    step: Count = 0
    step_hash: str = ""
    """of runs whose steps are the same work: `RunSpec.step_hash`"""
    fraction: Share = 0.0
    """of the budget, 0 to 1"""
    budget: dict[str, Any] = field(default_factory=dict)
    gradients: Count = 0
    seconds: Amount = 0.0
    """of training alone"""
    joules: Amount | None = None
    joules_source: str | None = None
    """counter, sampled, estimate or null, as `jobs.system.joule_meter` names them"""
    joules_of: str = ""
    """what was measured, and by what; runs of a machine that name the same share a counter"""
    observe_seconds: Amount = 0.0
    """of looking, not in `seconds`"""
    judge_seconds: Amount = 0.0
    """of the final figures, in `observe_seconds` too"""
    reason: str = ""
    """one sentence about how it ended"""
    interrupted: bool = False
    """cut off by the end of Basin or of its machine: `jobs.queueing.going_on` resumes it"""
    went_on: list[Count] = field(default_factory=list)
    """steps from which it went on by itself"""
    forked_from: Origin | None = None
    """`run` and `step` that it began with the state of, and the `cost` so far"""
    problem: dict[str, Any] | None = None
    """what, value, bound and step of a divergence; field and message of a failure"""
    attempt: Count = 0
    """1 for the first, one more for every resume"""
    host: str = ""
    pid: Pid | None = None
    process: str = ""
    """which of all processes that ever had this pid: `jobs.system.processes.identity`"""
    worker: str = ""
    checkpoint_step: Count | None = None
    headline: Headline | None = None
    """path and value of the figure worth a glance"""
    settings: Settings = field(default_factory=dict)
    """flat, by dotted name: `jobs.records.summary.settings_of`"""
    figures: dict[str, float] = field(default_factory=dict)
    """last values by path: `jobs.records.summary.figures_of`"""
    trend: list[float] = field(default_factory=list)
    """of the headline, oldest first"""
    seconds_left: Amount | None = None
    """to the end, judging included, as far as it can be foreseen"""
    tags: list[str] = field(default_factory=list)
    note: str = ""
    alarms: list[Alarm] = field(default_factory=list)
    """path, message and step of what a person should look at, but for those dismissed"""
    dismissed: list[Alarm] = field(default_factory=list)
    """alarms that a person has looked at and dismissed, with `by`, `when` and `why`"""
    damage: str = ""
    """what of its files could not be read, in sentences; never written"""

    @property
    def is_over(self) -> bool:
        """Return True when nothing works on the run, or will by itself."""
        return self.status in OVER

    @property
    def is_tracked(self) -> bool:
        """Return True of a run that a script of the user's own trains, and Basin only shows."""
        return self.worker == OWN_SCRIPT

    @property
    def needs_a_look(self) -> bool:
        """Return True while it goes on with alarms that a person should read."""
        return self.status == "running" and bool(self.alarms)

    @property
    def inherited(self) -> Cost:
        """Return the costs that a fork goes on from, paid by the run before it; none for others."""
        cost = self.forked_from["cost"] if self.forked_from else []
        return Cost(*cost) if len(cost) == len(Cost._fields) else Cost()

    @property
    def own(self) -> Cost:
        """Return what this run itself has paid: its costs without the `inherited` ones."""
        before = self.inherited
        return Cost(
            self.step - before.step,
            self.gradients - before.gradients,
            self.seconds - before.seconds,
            None if self.joules is None else self.joules - (before.joules or 0.0),
        )

    @property
    def ahead(self) -> str:
        """Describe what a running run has ahead of it: the time left, or what is done beside steps
        and for how long; "" for others."""
        if self.status != "running":
            return ""
        left = "" if self.seconds_left is None else roughly(self.seconds_left)
        if self.doing in BESIDE_STEPS:
            return f"{self.doing}, about {left}" if left else self.doing
        about = "about " if self.fraction < SURE_FROM else ""
        return f"{about}{left} left" if left else ""

    def with_words(self) -> dict[str, Any]:
        """Return the fields by name and `ahead`, for pages and commands."""
        return {**vars(self), "ahead": self.ahead}

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, shared with this object."""
        return dict(vars(self))  # not copied in depth: thousands are told at once


_NAMES = frozenset(item.name for item in fields(Status)) - {"damage"}
_READER = TypeAdapter(Status)


def from_dict(run_id: str, raw: dict[str, Any]) -> Status:
    """Parse the content of a status file as far as it can be read; unknown names are left out.

    One whose state cannot be read counts as lost.
    """
    values = {name: value for name, value in raw.items() if name in _NAMES}
    unreadable: list[str] = []
    if not isinstance(values.get("status"), str) or values["status"] not in WORDS:
        unreadable.append("status")
        values |= {"status": "lost", "reason": "Its status.json is damaged."}
    while True:
        try:
            status = _READER.validate_python({**values, "id": run_id})
        except ValidationError as error:
            for name in {str(entry["loc"][0]) for entry in error.errors(include_input=False)}:
                unreadable.append(name)
                del values[name]
        else:
            return _damaged(status, "status.json", unreadable)


def with_labels(status: Status, raw: dict[str, Any]) -> Status:
    """Replace the name, the tags and the note by those that a person gave since, and set alarms
    apart that a person dismissed."""
    unreadable: list[str] = []
    for name in ("name", "tags", "note"):
        if name in raw:
            try:
                value = getattr(_READER.validate_python({"id": "", name: raw[name]}), name)
            except ValidationError:
                unreadable.append(name)
            else:
                status = replace(status, **{name: value})
    dismissals = documents.dismissals(raw.get("dismissed"))
    looked_at = [a | dismissals[a["path"]] for a in status.alarms if a["path"] in dismissals]
    if looked_at:
        status = replace(
            status,
            alarms=[a for a in status.alarms if a["path"] not in dismissals],
            dismissed=looked_at,
        )
    return _damaged(status, "labels.json", unreadable)


def _damaged(status: Status, file: str, unreadable: list[str]) -> Status:
    if not unreadable:
        return status
    names = ", ".join(f"`{name}`" for name in sorted(unreadable))
    return replace(status, damage=f"{status.damage} {names} in {file} cannot be read.".strip())


def from_spec(run_id: str, spec: RunSpec) -> Status:
    """Build the status of a run that has just been created."""
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
        settings=settings_of(spec),
        tags=list(spec.tags),
        note=spec.notes,
    )


def went_on_in_words(status: Status) -> str:
    """Describe how often Basin was stopped over a run; "" for never."""
    if not status.went_on:
        return ""
    steps = ", ".join(f"{step:,}" for step in status.went_on)
    return f"went on by itself from step {steps}, where Basin was stopped"


_watch = Watch()
"""Silence of the runs whose status this process has read."""


def derived(status: Status) -> Status:
    """Derive `lost`: it says running but its process is gone, or silent on another machine.

    Silent for as long as this process looked. One that is here is slow, not lost.
    """
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
        reason = f"Its process {status.pid} is there, but has said nothing for {SILENCE:g} s."
        return replace(status, reason=reason, seconds_left=None)
    else:
        reason = f"No word from its process on {status.host} for more than {SILENCE:g} s."
    if status.checkpoint_step is not None:
        reason += f" {resumable_in_words(status)}"
    return replace(status, status="lost", reason=reason, seconds_left=None)


def resumable_in_words(status: Status) -> str:
    """Describe what a run whose process is gone still lacks, and from where it can resume."""
    if status.is_tracked:
        return "Its script can begin again, as a new run."
    if status.checkpoint_step is None:
        return "There is no checkpoint yet; resuming starts over."
    sentence = f"It can resume from step {status.checkpoint_step:,}."
    if status.doing in AFTER_TRAINING:
        return f"{missing_in_words(('final figures or answers',))} {sentence}"
    return sentence


def missing_in_words(names: Sequence[str]) -> str:
    """Describe what was still to come of a run once its training was done."""
    *others, last = names
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"Its training was done; still missing: {listed}."


def process_is_there(status: Status) -> bool | None:
    """Return True when the process of a run is there; None when it cannot be seen from here."""
    if status.host != hostname() or not status.pid:
        return None
    return is_there(status.pid, status.process)


def this_process() -> dict[str, Any]:
    """Return the status fields that identify this process."""
    pid = os.getpid()
    return {"host": hostname(), "pid": pid, "process": identity(pid)}


@cache
def hostname() -> str:
    """Return the name of this machine."""
    return socket.gethostname()
