"""History: scalars and texts of one run, as columns that are read once and then only grow.

What was compacted stays in its Parquet file and is read by row group when it is asked for; what
the log says beyond it is held in memory, costs once for all paths that are said together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backend.errors import BasinError
from backend.events import Frame, pack, unpack
from jobs.record_files import scalar_blocks, scalar_table
from jobs.record_files.run_log import START, Stretch
from jobs.record_files.scalar_blocks import LogContent, Rows, Series
from jobs.record_files.scalar_table import RESUMED, joined, select_rows
from jobs.records.run_directory import RunDirectory

T = TypeVar("T")
_FIRST_ROWS = 256
_BLOCKS_AT_ONCE = 500
"""of a long log; what was read of them needs several times their room"""


class Columns:
    """Rows of some paths that are written together."""

    def __init__(self, num_paths: int) -> None:
        self.num = 0
        self._rows = Rows(
            np.empty((_FIRST_ROWS, 4)),
            np.empty(_FIRST_ROWS, np.int64),
            np.empty((_FIRST_ROWS, num_paths), np.float32),
        )

    def append(self, new: Rows) -> None:
        """Append rows; the room doubles when it is used up."""
        end = self.num + len(new.seq)
        if end > len(self._rows.seq):
            room = max(end, 2 * len(self._rows.seq))
            self._rows = Rows(*(_with_room(column, self.num, room) for column in self._rows))
        for column, more in zip(self._rows, new, strict=True):
            column[self.num : end] = more
        self.num = end

    def cut_after(self, step: int, seq: int) -> None:
        """Drop the rows after a step that were written before a sequence number."""
        keep = (self._rows.costs[: self.num, 0] <= step) | (self._rows.seq[: self.num] > seq)
        if not keep.all():
            remaining = Rows(*(column[: self.num][keep] for column in self._rows))
            self.num = 0
            self.append(remaining)

    def series(self, column: int, rows: npt.NDArray[Any] | slice) -> Series:
        """Select some rows of one path."""
        return Rows(*(part[: self.num][rows] for part in self._rows)).series(column)

    def overview(self, column: int, limit: int) -> Series:
        """Read one path, min/max-bucketed when it is longer than `limit`."""
        rows = bucketed_rows(self._rows.values[: self.num, column], limit)
        return self.series(column, slice(None) if rows is None else rows)

    def between(self, column: int, first: float, last: float) -> Series:
        """Select the rows of one path between two steps."""
        step = self._rows.costs[: self.num, 0]
        return self.series(column, slice(*np.searchsorted(step, [first, last + 1])))

    def since(self, column: int, seq: int) -> Series:
        """Select the rows of one path that came with a later sequence number."""
        return self.series(column, self._rows.seq[: self.num] > seq)


def _with_room(column: npt.NDArray[Any], num: int, room: int) -> npt.NDArray[Any]:
    larger = np.empty((room, *column.shape[1:]), column.dtype)
    larger[:num] = column[:num]
    return larger


class History:
    """History of one run, as far as its files can be read. Not safe to use from two threads at
    once."""

    def __init__(self, directory: RunDirectory) -> None:
        self.damage: list[str] = []
        """what cannot be read, a sentence each"""
        # Texts, log, record: what a merge has moved by now is in what is read after.
        headers = scalar_table.read_texts(directory.path / "text.jsonl", self.damage)
        self._text_seq = max((header["seq"] for header in headers), default=-1)
        self.texts = [(header["seq"], pack(header, {})) for header in headers]
        try:
            with directory.log.opened() as stretches:  # it stays this though it be merged
                self._read(directory, stretches)
        except OSError as error:  # a folder in its place, or a disk that stumbles
            self._note("log.bin", error)
            self._read(directory, ())

    def _read(self, directory: RunDirectory, stretches: Iterable[Stretch]) -> None:
        self.record = directory.record(self.damage)
        self.last_seq = self.record.last_seq if self.record else -1
        self._cut = np.inf
        """rows of the record after this step no longer count"""
        self._columns: dict[tuple[str, ...], Columns] = {}
        self._overviews: dict[str, Series] = {}
        self.position = START
        for stretch in stretches:
            self._take_content(scalar_blocks.read(stretch.data, stretch.frames))
            self.position = stretch.place
        self.last_seq = max(self.last_seq, self._text_seq)

    def _take_content(self, content: LogContent) -> None:
        """Add what is new in a stretch of the log."""
        if content.damaged:
            self._note("log.bin", ValueError(f"{content.damaged:,} bytes are damaged"))
        for each in content.blocks:
            if len((new := each.after(self.last_seq)).seq):
                self._columns_of(new.paths).append(new.rows())
        for header in content.texts:
            if header["seq"] > max(self._text_seq, self.last_seq):
                self.texts.append((header["seq"], pack(header, {})))
        for mark in scalar_table.marks_of(content.texts):
            if mark.seq > self.last_seq:
                self._cut_after(mark.step, mark.seq)
        self.last_seq = max(self.last_seq, content.last_seq)

    def _columns_of(self, paths: tuple[str, ...]) -> Columns:
        if paths not in self._columns:
            self._columns[paths] = Columns(len(paths))
        return self._columns[paths]

    def _note(self, name: str, error: Exception) -> None:
        why = "" if isinstance(error, BasinError) else f"{name} cannot be read: "
        message = (
            f"{why}{str(error).rstrip('.')}. The rest of the run is shown; see `basin doctor`."
        )
        if message not in self.damage:
            self.damage.append(message)

    def take(self, frames: Iterable[bytes]) -> list[bytes]:
        """Add what is new among frames of the log; returns it."""
        new = []
        waiting: dict[tuple[str, ...], list[Frame]] = {}
        for data in frames:
            try:
                frame = _whole(data)
            except Exception as error:  # a frame can be damaged in any place
                self._note("A frame of log.bin", error)
                continue
            if frame.header["seq"] <= self.last_seq:
                continue
            header = frame.header
            self.last_seq = header["seq"]
            new.append(data)
            if header["kind"] == "scalar":
                waiting.setdefault(tuple(header["meta"]["paths"]), []).append(frame)
                if len(new) % _BLOCKS_AT_ONCE == 0:
                    self._add(waiting)
            elif header["kind"] == "text":
                if header["seq"] > self._text_seq:
                    self.texts.append((header["seq"], data))
                if header["path"] == RESUMED:
                    self._add(waiting)
                    self._cut_after(int(header["last"][0]), header["seq"])
        self._add(waiting)
        return new

    def _add(self, waiting: dict[tuple[str, ...], list[Frame]]) -> None:
        for paths, frames in waiting.items():
            self._columns_of(paths).append(scalar_blocks.of_frames(frames).rows())
        waiting.clear()

    def _cut_after(self, step: int, seq: int) -> None:
        """Go on from a step, from a sequence number on."""
        self._cut = min(self._cut, step)
        self._overviews.clear()
        for columns in self._columns.values():
            columns.cut_after(step, seq)

    # ------------------------------------------------------------------ what is asked of it

    @property
    def paths(self) -> list[str]:
        """List the paths, in the order in which they came."""
        old = self.record.paths if self.record else []
        return list(dict.fromkeys([*old, *(path for paths in self._columns for path in paths)]))

    def num_rows(self) -> int:
        """Count the rows of all paths; those of the record that no longer count included."""
        old = sum(map(self.record.count, self.record.paths)) if self.record else 0
        return old + sum(len(paths) * columns.num for paths, columns in self._columns.items())

    def _columns_with(self, path: str) -> list[tuple[Columns, int]]:
        return [
            (columns, paths.index(path))
            for paths, columns in self._columns.items()
            if path in paths and columns.num
        ]

    def _pieces(
        self, path: str, first: float = -np.inf, last: float = np.inf, after: int = -1
    ) -> Iterator[Series]:
        """Read the record's rows of a path between two steps, without what cannot be read."""
        try:
            if self.record is not None:
                yield from self.record.pieces(path, first, last, after)
        except Exception as error:
            self._note("scalars.parquet", error)

    def overview(self, path: str, limit: int) -> tuple[Series | None, bool]:
        """Read a path, min/max-bucketed to about `limit` points when it is longer, and if it is."""
        total = self.record.count(path) if self.record else 0
        if total and path not in self._overviews:
            self._overviews[path] = self._read_overview(path, total, limit)
        pieces = [self._overviews[path]] if total else []
        for columns, column in self._columns_with(path):
            pieces.append(columns.overview(column, limit))
            total += columns.num
        pieces = [piece for piece in pieces if len(piece.step)]
        if not pieces:
            return None, False
        whole = joined(pieces)
        rows = bucketed_rows(whole.value, limit)
        return whole if rows is None else select_rows(whole, rows), total > limit

    def _read_overview(self, path: str, total: int, limit: int) -> Series:
        """Read one row group after the other, so that the file is never in memory as a whole."""
        thinned = []
        for piece in self._pieces(path, last=self._cut):
            share = max(2, round(limit * len(piece.step) / total))
            rows = bucketed_rows(piece.value, share) if total > limit else None
            thinned.append(piece if rows is None else select_rows(piece, rows))
        return joined(thinned) if thinned else _NOTHING

    def stretch(self, path: str, first: float, last: float) -> Series:
        """Read every row of a path between two steps."""
        old = self._pieces(path, first, min(last, self._cut))
        recent = [
            columns.between(column, first, last) for columns, column in self._columns_with(path)
        ]
        pieces = [*old, *recent]
        pieces = [piece for piece in pieces if len(piece.step)]
        return joined(pieces) if pieces else _NOTHING

    def since(self, seq: int) -> dict[str, Series]:
        """Read the rows of later frames than one, by path, what no longer counts left out."""
        by_path: dict[str, list[Series]] = {}
        if self.record and self.record.last_seq > seq:
            for path in self.record.paths:
                for piece in self._pieces(path, last=self._cut, after=seq):
                    by_path.setdefault(path, []).append(select_rows(piece, piece.seq > seq))
        for paths, columns in self._columns.items():
            for column, path in enumerate(paths):
                by_path.setdefault(path, []).append(columns.since(column, seq))
        whole = {path: joined(pieces) for path, pieces in by_path.items()}
        return {path: rows for path, rows in whole.items() if len(rows.step)}


def _whole(data: bytes) -> Frame:
    """Unpack a frame of the log with all its fields; raises ValueError or what a damaged one
    raises."""
    frame = unpack(data)
    header = frame.header
    seq, first, last = int(header["seq"]), header["first"], header["last"]
    if header["kind"] == "scalar":
        rows, columns = frame.arrays["values"].shape
        if columns != len(header["meta"]["paths"]) or rows < 1 or len(first) != 4:
            raise ValueError(f"the block {seq} is not whole")
    costs = [float(cost) for cost in (*first, *last) if cost is not None]
    if len(last) != 4 or len(costs) < 6 or not isinstance(header["path"], str):
        raise ValueError(f"the frame {seq} is not whole")
    return frame


_NOTHING = Series(
    np.empty(0, np.int64),
    np.empty(0, np.int64),
    np.empty(0),
    np.empty(0),
    np.empty(0, np.float32),
    np.empty(0, np.int64),
)


def bucketed_rows(value: npt.NDArray[np.float32], limit: int) -> npt.NDArray[np.int64] | None:
    """Select the rows of the least and greatest value of each of `limit` / 2 buckets, and both
    ends.

    None when all fit. A spike of one point survives; so does every infinite value.

    >>> import numpy as np
    >>> spike = np.zeros(1000, np.float32); spike[777] = 5
    >>> bool(777 in bucketed_rows(spike, 10))
    True
    """
    num = len(value)
    if num <= limit:
        return None
    size = -(-num // max(limit // 2 - 1, 1))
    buckets = -(-num // size)
    start = np.arange(buckets) * size
    rows = [np.array([0, num - 1])]
    for worst, pick in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        padded = np.full(buckets * size, worst, np.float32)
        padded[:num] = np.where(np.isnan(value), worst, value)
        # a bucket of gaps alone may choose the padding: its last row stands for it then
        rows.append(np.minimum(start + pick(padded.reshape(buckets, size), axis=1), num - 1))
    return np.unique(np.concatenate(rows))
