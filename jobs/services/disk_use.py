"""Disk use: what each run takes of the disk, and the deletion of checkpoints that nobody needs.

What is deleted lies in the trash for a day, `jobs.records.trash`, and takes its place until then.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput
from jobs.records import checkpoint, run_store, trash
from jobs.records.run_store import RunDirectory
from jobs.records.status import Status

FOLDER = "checkpoints"
EARLIER, ALL = "earlier", "all"
"""Which checkpoints go: all but the last, with which a run is asked and resumed, and those that a
person asked to keep; or all of them."""


@dataclass(frozen=True)
class RunUse:
    """Bytes of a run on the disk."""

    status: Status
    num_bytes: int
    checkpoints: list[int]
    """bytes of each, the oldest first"""
    pinned: int = 0
    """bytes of those before the last that a person asked to keep"""
    deleted: int = 0
    """bytes of those that were deleted and can be restored, in `num_bytes` too"""

    @property
    def earlier(self) -> int:
        """Bytes of all checkpoints but the last and those to keep; 0 while it goes on."""
        return sum(self.checkpoints[:-1]) - self.pinned if self.status.is_over else 0


def by_run() -> list[RunUse]:
    """Measure every run, the largest first. Raises NotAvailable, OSError."""
    uses = []
    for status in run_store.list_runs():
        path = run_store.runs_folder() / status.id
        sizes = _checkpoints(path)
        steps = list(sizes)[:-1]
        pinned = sum(sizes[step] for step in steps if checkpoint.is_pinned(path / FOLDER, step))
        deleted = trash.checkpoint_bytes(path)
        uses.append(RunUse(status, _bytes_under(path), list(sizes.values()), pinned, deleted))
    return sorted(uses, key=lambda use: use.num_bytes, reverse=True)


def drop_checkpoints(run_ids: list[str], which: str) -> int:
    """Delete checkpoints of runs that are over, `earlier` ones or `all`; returns their bytes.

    None is deleted unless every run allows it. Raises BadInput, NotAvailable, OSError.
    """
    if which not in (EARLIER, ALL):
        raise BadInput.at("drop", f"must be {EARLIER} or {ALL}, got {which!r}.")
    directories = [run_store.open_run(run_id) for run_id in run_ids]
    for directory in directories:
        _check(directory.status(), which)
    return sum(_drop(directory, which) for directory in directories)


def _check(status: Status, which: str) -> None:
    if not status.is_over:
        raise BadInput.at("run", f"`{status.id}` is {status.status}: it needs its checkpoints.")
    if which == ALL and status.status == "paused":
        words = "is paused: without its checkpoint it could not resume. Stop it first."
        raise BadInput.at("run", f"`{status.id}` {words}")


def _drop(directory: RunDirectory, which: str) -> int:
    sizes = _checkpoints(directory.path)
    folder = directory.path / FOLDER
    steps = list(sizes)
    if which == EARLIER:
        steps = [step for step in steps[:-1] if not checkpoint.is_pinned(folder, step)]
    if steps and which == ALL:
        directory.write_status(checkpoint_step=None)  # first: no page offers what is going
    if steps:
        trash.put_checkpoints(directory, steps)
    return sum(sizes[step] for step in steps)


def _checkpoints(path: Path) -> dict[int, int]:
    """Measure the checkpoints of a run by step, oldest first."""
    sizes = {}
    for step in checkpoint.steps(path / FOLDER):
        with contextlib.suppress(OSError):  # dropped meanwhile
            sizes[step] = checkpoint.path_of(path / FOLDER, step).stat().st_size
    return sizes


def _bytes_under(folder: Path) -> int:
    """Sum the bytes of all files in a folder, leaving out what is removed meanwhile."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total
