"""Merged scalars: `scalars.bin`, columns of scalars taken out of the log while the run goes on.

A log frame of one row is nine tenths path list. Of each stretch of the log one frame is made here
that names the paths once and holds the rest as columns, to be read by path and stretch. The file
only grows until it becomes `scalars.parquet`. A frame is written as a whole or not at all, and says
up to which sequence number the log was taken: what the log still holds of it counts once.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.events import pack
from jobs.record_files.frame_files import walk
from jobs.record_files.scalar_blocks import Blocks, spread

_ENDS = ("first", "last")
_TYPES = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "i8": "<i8"}


def packed(blocks: Iterable[Blocks], *, run: str, seq: int, time: float) -> bytes:
    """Pack blocks into one frame; `seq` is how far the log is in it, texts included."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    groups: list[dict[str, Any]] = []
    for index, group in enumerate(blocks):
        columns = {"seq": group.seq, **_columns_of(group)}
        bases = {}
        for name, column in columns.items():
            bases[name], arrays[f"{index}/{name}"] = _small(column)
        arrays[f"{index}/values"] = np.ascontiguousarray(group.values.T)
        groups.append(
            {
                "paths": list(group.paths),
                "rows": len(group.values),
                "steps": [float(group.first[:, 0].min()), float(group.last[:, 0].max())],
                "seqs": [int(group.seq.min()), int(group.seq.max())],
                "bases": bases,
            }
        )
    header = {"run": run, "seq": seq, "kind": "rows", "path": "", "time": time}
    ends: dict[str, Any] = {end: [0, 0, 0.0, None] for end in _ENDS}
    return pack({**header, **ends, "meta": {"groups": groups}}, arrays)


def _columns_of(blocks: Blocks) -> dict[str, npt.NDArray[Any]]:
    """Costs at the ends of the blocks, without what follows from the rest."""
    columns: dict[str, npt.NDArray[Any]] = {}
    single = bool((blocks.counts == 1).all())
    if not single:
        columns["counts"] = blocks.counts
    for end in _ENDS[single:]:
        for number, column in enumerate(getattr(blocks, end).T):
            if not np.isnan(column).all():
                columns[f"{end}{number}"] = column
    return columns


def _small(column: npt.NDArray[Any]) -> tuple[int, npt.NDArray[Any]]:
    """Split a column into a base and offsets, four bytes each where they are integers."""
    if column.dtype.kind == "f" and not (np.isfinite(column).all() and (column % 1 == 0).all()):
        return 0, column
    base = int(column.min())
    rest = column - base
    if rest.max(initial=0) >= 2**31:
        return 0, column
    return base, rest.astype(np.int32)


class Part(NamedTuple):
    """Rows of some paths in one frame, and where they lie."""

    paths: tuple[str, ...]
    num_rows: int
    first_step: float
    last_step: float
    first_seq: int
    last_seq: int
    bases: dict[str, int]
    arrays: dict[str, tuple[str, int, int]]
    """dtype, number and offset in the file"""


class MergedRows:
    """Snapshot of `scalars.bin`, empty where there is none.

    The file stays open, whatever becomes of its name. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._file = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        self.last_seq = -1
        """sequence number up to which the log is in it"""
        self.parts: list[Part] = []
        self.by_path: dict[str, list[tuple[Part, int]]] = {}
        path_lists: dict[tuple[str, ...], tuple[str, ...]] = {}
        for header, _, body, _ in walk(self._file):
            try:
                parts = list(_parts(header, body, path_lists))
                self.last_seq = max(self.last_seq, int(header["seq"]))
            except (KeyError, TypeError, ValueError, IndexError):
                continue  # damaged
            self.parts += parts
        for part in self.parts:
            for column, name in enumerate(part.paths):
                self.by_path.setdefault(name, []).append((part, column))

    def costs(self, part: Part) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Read the costs (rows, 4) and sequence numbers (rows,) of a part."""
        seq = self._column(part, "seq").astype(np.int64)
        last = self._ends(part, "last", len(seq))
        if "counts" not in part.arrays:
            return spread(np.ones(len(seq), np.int64), last, last, seq)
        counts = self._column(part, "counts").astype(np.int64)
        return spread(counts, self._ends(part, "first", len(seq)), last, seq)

    def values(self, part: Part, column: int) -> npt.NDArray[np.float32]:
        """Read the values (rows,) of one path of a part."""
        _, _, offset = part.arrays["values"]
        size = 4 * part.num_rows
        return np.frombuffer(os.pread(self._file, size, offset + column * size), "<f4")

    def _ends(self, part: Part, end: str, num: int) -> npt.NDArray[np.float64]:
        costs = np.full((num, 4), np.nan)
        for number in range(4):
            if f"{end}{number}" in part.arrays:
                costs[:, number] = self._column(part, f"{end}{number}")
        return costs

    def _column(self, part: Part, name: str) -> npt.NDArray[Any]:
        code, num, offset = part.arrays[name]
        dtype = np.dtype(_TYPES[code])
        column = np.frombuffer(os.pread(self._file, num * dtype.itemsize, offset), dtype)
        return column + part.bases[name] if code == "i4" else column


def _parts(
    header: dict[str, Any], body: int, path_lists: dict[tuple[str, ...], tuple[str, ...]]
) -> Iterator[Part]:
    arrays: dict[str, dict[str, tuple[str, int, int]]] = {}
    for name, code, shape, offset in header["arrays"]:
        index, _, column = name.partition("/")
        arrays.setdefault(index, {})[column] = (code, int(np.prod(shape)), body + offset)
    for index, group in enumerate(header["meta"]["groups"]):
        paths = tuple(group["paths"])
        (first, last), (first_seq, last_seq) = group["steps"], group["seqs"]
        yield Part(
            path_lists.setdefault(paths, paths),
            group["rows"],
            first,
            last,
            first_seq,
            last_seq,
            group["bases"],
            arrays[str(index)],
        )
