"""Trash: what was deleted, kept for a day so that it can be restored.

runs/.trash/<run>/                      a run; its time of change is when it was deleted
runs/<run>/checkpoints/.trash/          checkpoints of a run that is there
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
from jobs.records import checkpoint, run_store
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


# ------------------------------------------------------------------ checkpoints of runs that stay


def put_checkpoints(directory: RunDirectory, steps: list[int]) -> None:
    """Take checkpoints of a run out of sight. Raises OSError."""
    folder = _of_checkpoints(directory.path)
    folder.mkdir(mode=0o700, exist_ok=True)
    for step in steps:
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            path = checkpoint.path_of(folder.parent, step)
            path.replace(checkpoint.path_of(folder, step))
    os.utime(folder)


def checkpoint_bytes(path: Path) -> int:
    """Sum the bytes of deleted checkpoints of the run in a folder, 0 where there are none."""
    folder = _of_checkpoints(path)
    sizes = [0]
    for step in checkpoint.steps(folder):
        with contextlib.suppress(OSError):  # removed meanwhile
            sizes.append(checkpoint.path_of(folder, step).stat().st_size)
    return sum(sizes)


def restore_checkpoints(directory: RunDirectory) -> list[int]:
    """Bring the deleted checkpoints of a run back; returns their steps. Raises OSError."""
    folder = _of_checkpoints(directory.path)
    steps = checkpoint.steps(folder)
    for step in steps:
        checkpoint.path_of(folder, step).replace(checkpoint.path_of(folder.parent, step))
    if steps:
        shutil.rmtree(folder, ignore_errors=True)
        if directory.written_status().is_over:
            directory.write_status(checkpoint_step=directory.checkpoints()[-1])
    return steps


def empty_checkpoints(older_than: float = 0.0) -> int:
    """Remove deleted checkpoints for good, those deleted `older_than` seconds ago; returns their
    bytes. Raises NotAvailable."""
    removed = 0
    for name in run_store.run_names():
        path = run_store.runs_folder() / name
        folder = _of_checkpoints(path)
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime >= older_than:
                removed += checkpoint_bytes(path)
                shutil.rmtree(folder)
    return removed


def _of_checkpoints(path: Path) -> Path:
    return path / "checkpoints" / ".trash"
