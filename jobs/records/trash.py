"""Trash: runs that were deleted, kept for a day in `runs/.trash` so that they can be restored.

A folder there is named as the run; its time of change is when it was deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput, NotAvailable
from backend.system.home import make_private
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

KEPT_SECONDS = 86_400.0
"""How long a deleted run can be restored."""


@dataclass(frozen=True)
class Deleted:
    """Deleted run: its status as it was, when it was deleted (unix seconds), its size in bytes."""

    status: Status
    when: float
    num_bytes: int


def folder() -> Path:
    """Return the folder of deleted runs, on the runs' own disk. Raises NotAvailable."""
    return run_store.runs_folder() / ".trash"


def put(directory: RunDirectory) -> None:
    """Take a run out of sight in one stroke. Raises OSError."""
    make_private(folder())
    directory.close()
    os.utime(directory.path)
    directory.path.rename(folder() / directory.id)


def deleted() -> list[Deleted]:
    """List the runs that can be restored, the last deleted first. Raises NotAvailable."""
    entries = []
    for path in _paths():
        directory = RunDirectory(path)
        with contextlib.suppress(BadInput, OSError):
            num_bytes = sum(size for _, size in directory.files())
            entries.append(Deleted(directory.written_status(), path.stat().st_mtime, num_bytes))
    return sorted(entries, key=lambda entry: entry.when, reverse=True)


def ids() -> list[str]:
    """List the ids of deleted runs, in no order. Raises NotAvailable."""
    return [path.name for path in _paths()]


def restore(run_id: str) -> RunDirectory:
    """Bring a deleted run back, named by its id or the start of one.

    Raises BadInput when several fit, NotAvailable when none does.
    """
    names = sorted(name for name in ids() if name.startswith(run_id)) if run_id else []
    if not names:
        hours = round(KEPT_SECONDS / 3600)
        raise NotAvailable(
            f"There is no deleted run `{run_id}`; deleted runs are kept for {hours} hours. "
            "See `basin trash`."
        )
    if len(names) > 1:
        raise BadInput.at(
            "run", f"`{run_id}` fits {len(names)} deleted runs, {names[0]} and {names[1]}."
        )
    target = run_store.runs_folder() / names[0]
    try:
        (folder() / names[0]).rename(target)
    except OSError as error:
        raise NotAvailable(f"`{names[0]}` cannot be restored: {error.strerror}.") from error
    return RunDirectory(target)


def empty(older_than: float = 0.0) -> int:
    """Remove deleted runs for good, those deleted `older_than` seconds ago; returns how many."""
    removed = 0
    for path in _paths():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older_than:
                shutil.rmtree(path)
                removed += 1
    return removed


def _paths() -> list[Path]:
    try:
        return [path for path in folder().iterdir() if run_store.is_id(path.name)]
    except FileNotFoundError:
        return []
