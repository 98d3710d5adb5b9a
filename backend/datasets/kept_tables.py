"""Tables that took long to read, kept in BASIN_HOME/cache as plain arrays: a form asks for the same
file at every change, each time in a new process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from backend.datasets.concept_columns import Concepts
from backend.datasets.reading import Table
from backend.errors import BadInput
from backend.system.home import cache, make_private

SLOW_SECONDS = 0.5
"""Seconds of reading from which on a table is kept."""
MOST_KEPT = 6
_FORM = 2
"""Counts up when readers make something else of the same file."""


def kept(path: Path, choice: tuple[object, ...], read: Callable[[], Table]) -> Table:
    """The table that `read` makes of a file or a folder, or made of it when sizes, times and inodes
    were the same."""
    try:
        folder = cache() / "tables" / _stamp(path, choice)
    except (OSError, BadInput):  # no home, or a file that its reader has to speak of
        return read()
    if folder.is_dir():
        with contextlib.suppress(OSError, ValueError, KeyError):  # a damaged one is read anew
            table = _load(folder)
            os.utime(folder)
            return table
    start = time.perf_counter()
    table = read()
    if time.perf_counter() - start > SLOW_SECONDS:
        with contextlib.suppress(OSError, ValueError):  # a full disk keeps nobody from reading
            if _stamp(path, choice) == folder.name:
                _save(folder, table)
    return table


def _stamp(path: Path, choice: tuple[object, ...]) -> str:
    """Digest of what a table is made of. Raises OSError."""
    parts = [[str(path.resolve()), *_stat(path.stat())]]
    if path.is_dir():
        parts += [[name, *stat] for name, stat in sorted(_entries(path))]
    text = json.dumps([_FORM, parts, choice], default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _entries(folder: Path, deeper: bool = True) -> Iterator[tuple[str, tuple[int, int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.path, _stat(entry.stat())
            if deeper and entry.is_dir():
                yield from _entries(Path(entry.path), deeper=False)


def _stat(entry: os.stat_result) -> tuple[int, int, int]:
    return entry.st_size, entry.st_mtime_ns, entry.st_ino


def _load(folder: Path) -> Table:
    """Raises OSError, ValueError and KeyError for what is not whole."""
    with (folder / "about.json").open() as file:
        about = json.load(file)
    labels = folder / "labels.npy"
    named = about["concepts"]
    return Table(
        np.load(folder / "values.npy", allow_pickle=False),
        tuple(about["columns"]),
        np.load(labels, allow_pickle=False) if about["label_names"] else None,
        tuple(about["label_names"]),
        tuple(about["notes"]),
        Concepts(np.load(folder / "concepts.npy", allow_pickle=False), tuple(named))
        if named
        else None,
    )


def _save(folder: Path, table: Table) -> None:
    make_private(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as made:
        aside = Path(made) / "table"
        aside.mkdir()
        np.save(aside / "values.npy", table.values, allow_pickle=False)
        if table.labels is not None:
            np.save(aside / "labels.npy", table.labels, allow_pickle=False)
        if table.concepts is not None:
            np.save(aside / "concepts.npy", table.concepts.values, allow_pickle=False)
        about = {
            "columns": table.columns,
            "label_names": table.label_names,
            "notes": table.notes,
            "concepts": table.concepts.names if table.concepts is not None else (),
        }
        (aside / "about.json").write_text(json.dumps(about))
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    others = [path for path in folder.parent.iterdir() if path.name[0] != "."]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
