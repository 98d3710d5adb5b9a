"""Scalars of a run as columns: out of log frames, into Parquet and back. No row is a Python object.

A text frame under `run/resumed` marks that a run went on from an earlier step: what had been
written before it for later steps no longer counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.events import Frame, unpack

RESUMED = "run/resumed"
"""Path of the text that says from which step a run went on."""
_ROWS_PER_GROUP = 32_768
"""What is read at once to show a stretch of a path: some tens of thousands of rows."""


class Series(NamedTuple):
    """One path: aligned arrays, ordered by step."""

    step: npt.NDArray[np.int64]
    gradients: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    joules: npt.NDArray[np.float64]
    """NaN where nothing measured them"""
    value: npt.NDArray[np.float32]
    seq: npt.NDArray[np.int64]
    """sequence number of the frame that said it"""


class Mark(NamedTuple):
    """From sequence number `seq` on, the run goes on from `step`."""

    seq: int
    step: int


class Extract(NamedTuple):
    """What frames hold: rows by path, marks, texts, and the highest sequence number."""

    pieces: dict[str, list[Series]]
    marks: list[Mark]
    texts: list[dict[str, Any]]
    last_seq: int


def extract(frames: Iterable[bytes | memoryview], after_seq: int = -1) -> Extract:
    """Read scalar blocks and texts with a sequence number above `after_seq`."""
    groups: dict[tuple[str, ...], list[Frame]] = {}
    marks: list[Mark] = []
    texts: list[dict[str, Any]] = []
    last = after_seq
    for data in frames:
        frame = unpack(data)
        header = frame.header
        if header["seq"] <= after_seq:
            continue
        last = max(last, header["seq"])
        if header["kind"] == "scalar":
            groups.setdefault(tuple(header["meta"]["paths"]), []).append(frame)
        elif header["kind"] == "text":
            texts.append(header)
            if header["path"] == RESUMED:
                marks.append(Mark(header["seq"], int(header["last"][0])))
    pieces: dict[str, list[Series]] = {}
    for paths, blocks in groups.items():
        for path, piece in zip(paths, _pieces(blocks), strict=True):
            pieces.setdefault(path, []).append(piece)
    return Extract(pieces, marks, texts, last)


class Rows(NamedTuple):
    """Rows of several paths said together: the costs (rows, 4), NaN for unknown joules, the
    sequence numbers (rows,) and the values (rows, paths)."""

    costs: npt.NDArray[Any]
    seq: npt.NDArray[Any]
    values: npt.NDArray[Any]

    def series(self, column: int) -> Series:
        """One path of them."""
        step, gradients = (np.rint(self.costs[:, i]).astype(np.int64) for i in (0, 1))
        seconds, joules = self.costs[:, 2].copy(), self.costs[:, 3].copy()
        values = self.values[:, column].copy()
        return Series(step, gradients, seconds, joules, values, self.seq)


def rows_of(blocks: Sequence[Frame]) -> Rows:
    """Scalar blocks of the same paths laid end to end."""
    counts = np.array([len(block.arrays["values"]) for block in blocks])
    first = _costs([block.header["first"] for block in blocks])
    last = _costs([block.header["last"] for block in blocks])
    start = np.repeat(np.cumsum(counts) - counts, counts)
    row = np.arange(counts.sum()) - start
    # Rows lie evenly from first to last; a single row lies at last.
    span = np.repeat(counts - 1, counts)
    share = np.where(span > 0, row / np.maximum(span, 1), 1.0)[:, None]
    block_of = np.repeat(np.arange(len(blocks)), counts)
    costs = first[block_of] + share * (last - first)[block_of]
    costs[:, :2] = np.rint(costs[:, :2])
    seq = np.array([block.header["seq"] for block in blocks], np.int64)[block_of]
    return Rows(costs, seq, np.concatenate([block.arrays["values"] for block in blocks]))


def _pieces(blocks: Sequence[Frame]) -> list[Series]:
    rows = rows_of(blocks)
    return [rows.series(column) for column in range(rows.values.shape[1])]


def _costs(costs: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64]:
    """(blocks, 4), NaN for null."""
    return np.array([[np.nan if x is None else x for x in cost] for cost in costs], np.float64)


def merged(old: dict[str, Series], new: Extract) -> dict[str, Series]:
    """Compacted series and newer rows, voided rows left out."""
    result = {}
    for path in dict.fromkeys([*old, *new.pieces]):
        pieces = [*([old[path]] if path in old else []), *new.pieces.get(path, ())]
        series = joined(pieces, new.marks)
        if len(series.step):
            result[path] = series
    return result


def joined(pieces: Sequence[Series], marks: Sequence[Mark] = ()) -> Series:
    """Pieces of one path laid end to end, ordered by step, without what marks void.

    Of what was said twice at one step (floors, after a resume) the later word counts.
    """
    series = pieces[0]
    if len(pieces) > 1:
        columns: Any = map(np.concatenate, zip(*pieces, strict=True))
        series = Series(*columns)
    for mark in marks:
        keep = (series.seq > mark.seq) | (series.step <= mark.step)
        if not keep.all():
            series = taken(series, keep)
    if (np.diff(series.step) <= 0).any():
        series = taken(series, np.lexsort((series.seq, series.step)))
        series = taken(series, np.append(np.diff(series.step) > 0, True))
    return series


def taken(series: Series, index: npt.NDArray[Any] | slice) -> Series:
    """Some rows of a series."""
    columns: Any = (column[index] for column in series)
    return Series(*columns)


def write_parquet(file: BinaryIO, series: dict[str, Series], last_seq: int) -> None:
    """Row groups sorted by path, then step; the file says up to which frame it reaches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("path", pa.dictionary(pa.int32(), pa.string())),
            pa.field("step", pa.int64()),
            pa.field("gradients", pa.int64()),
            pa.field("seconds", pa.float64()),
            pa.field("joules", pa.float64()),
            pa.field("value", pa.float32()),
            pa.field("seq", pa.int64()),
        ],
        metadata={"basin.seq": str(last_seq)},
    )
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for path in sorted(series):
            columns = series[path]
            indices = pa.array(np.zeros(len(columns.step), np.int32))
            names = pa.DictionaryArray.from_arrays(indices, pa.array([path], pa.string()))
            arrays = [names, *(pa.array(column) for column in columns)]
            table = pa.Table.from_arrays(arrays, schema=schema)
            writer.write_table(table, row_group_size=_ROWS_PER_GROUP)


_TYPES = {
    "step": "i8",
    "gradients": "i8",
    "seconds": "f8",
    "joules": "f8",
    "value": "f4",
    "seq": "i8",
}


def _as_numpy(column: Any, dtype: str) -> npt.NDArray[Any]:
    """Arrow's own way imports pandas, 45 MB, for columns as plain as these."""
    parts = []
    for chunk in column.chunks:
        values = np.frombuffer(chunk.buffers()[1], f"<{dtype}")
        parts.append(values[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts)


class _Group(NamedTuple):
    """A row group: rows of one path."""

    place: int
    first: int
    last: int
    num: int


class Record:
    """`scalars.parquet` of a run, read by row group; nothing is read before it is asked for.

    The file stays open, so what is read stays that of one state though the run be compacted anew.
    Raises FileNotFoundError.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, read_dictionary=["path"])
        self.last_seq = int((self._file.schema_arrow.metadata or {}).get(b"basin.seq", b"-1"))
        self._groups: dict[str, list[_Group]] = {}
        metadata = self._file.metadata
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            name, step = group.column(0).statistics.min, group.column(1).statistics
            found = _Group(index, int(step.min), int(step.max), group.num_rows)
            self._groups.setdefault(name, []).append(found)

    @property
    def paths(self) -> list[str]:
        return list(self._groups)

    def count(self, path: str) -> int:
        """How many rows there are of a path."""
        return sum(group.num for group in self._groups.get(path, ()))

    def pieces(self, path: str, first: float = -np.inf, last: float = np.inf) -> Iterator[Series]:
        """The rows of a path between two steps, one row group after the other."""
        for group in self._groups.get(path, ()):
            if group.last >= first and group.first <= last:
                found = self._read(group.place)
                low, high = np.searchsorted(found.step, [first, last + 1])
                yield taken(found, slice(low, high))

    def series(self, path: str) -> Series:
        """All rows of a path that is there."""
        return joined(list(self.pieces(path)))

    def latest(self, path: str) -> float:
        """The last value of a path that is there; one row group is read."""
        table = self._file.read_row_group(self._groups[path][-1].place, columns=["value"])
        return float(table.column("value")[-1].as_py())

    def _read(self, index: int) -> Series:
        table = self._file.read_row_group(index, columns=list(Series._fields))
        return Series(*(_as_numpy(table.column(n), t) for n, t in _TYPES.items()))


def read_parquet(path: Path) -> tuple[dict[str, Series], int]:
    """Series by path and the sequence number the file reaches to; ({}, -1) without a file."""
    try:
        record = Record(path)
    except FileNotFoundError:
        return {}, -1
    return {name: record.series(name) for name in record.paths}, record.last_seq


def read_texts(path: Path) -> list[dict[str, Any]]:
    """Headers of the texts in `text.jsonl`; none without a file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def read_last_seq(path: Path) -> int:
    """Up to which frame a compacted file reaches, -1 without one. Reads its footer alone."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        return -1
    return int(metadata.get(b"basin.seq", b"-1"))
