"""Going on: runs that the end of Basin or of its machine cut off are resumed by themselves.

Cut off is what was stopped because its worker was told to end, and what still said that it runs
while its process had been gone since before this process began. What died while Basin looked on is
not: it might die of the same again.
"""

from __future__ import annotations

import os
import time

from backend.errors import BadInput
from jobs.queueing import control
from jobs.records.run_store import RunDirectory
from jobs.records.status import BY_ITSELF, Status

SETTING = "BASIN_RESUME"
CHOICES = ("interrupted", "never")
MOST_TRIES = 3
"""How often a run goes on by itself from one step: more often, and it may be what ends Basin."""
_BEGAN = time.time()
"""What ended since may end with Basin itself, which must not begin it again."""


def is_wanted() -> bool:
    """Return True unless BASIN_RESUME is `never`. Raises BadInput."""
    setting = os.environ.get(SETTING, "").strip() or CHOICES[0]
    if setting not in CHOICES:
        raise BadInput.at(SETTING, f"must be one of {', '.join(CHOICES)}, got {setting!r}.")
    return setting == CHOICES[0]


def was_cut_off(status: Status) -> bool:
    """Return True for a run whose process gave its last sign before this process began."""
    by_worker = status.worker != control.INLINE and not status.is_tracked
    return status.updated < _BEGAN and by_worker


def go_on(directory: RunDirectory, status: Status) -> str | None:
    """Resume an interrupted run, or write down why it does not; returns what was done, if anything.

    Raises NotAvailable, OSError.
    """
    if status.status == "stopped" and (status.ended or 0.0) >= _BEGAN:
        return None
    step = status.checkpoint_step or 0
    if status.went_on[-MOST_TRIES:] == [step] * MOST_TRIES:
        return _leave(directory, f"It went on from step {step:,} {MOST_TRIES} times already.")
    try:
        if not is_wanted():
            return _leave(directory, f"{SETTING} is `{CHOICES[1]}`.")
        control.resume(directory.id, by_itself=True)
    except BadInput as error:
        return _leave(directory, str(error))
    return f"{directory.id} goes on from step {step:,}: it ran when Basin was stopped"


def _leave(directory: RunDirectory, why: str) -> str:
    status = directory.written_status()
    reason = status.reason.partition(BY_ITSELF)[0]
    directory.write_status(
        interrupted=False, reason=f"{reason}It does not go on by itself: {why} Resume it by hand."
    )
    return f"{directory.id} does not go on by itself: {why}"
