"""Scalar table: the scalars of a run as columns of a Parquet file. No row is a Python object.

A text frame under `run/resumed` marks that a run went on from an earlier step: what had been
written before it for later steps no longer counts.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.errors import BasinError
from jobs.record_files.scalar_blocks import Series

RESUMED = "run/resumed"
"""Path of the text that says from which step a run went on."""
_ROWS_PER_GROUP = 32_768
"""What is read at once to show a stretch of a path: some tens of thousands of rows."""


class Damaged(BasinError):
    """Error: a file of a run's record is not what was written."""


@contextlib.contextmanager
def raising_damaged(path: Path) -> Iterator[None]:
    """Raise Damaged for any error in reading a table; pyarrow alone has half a dozen kinds."""
    try:
        yield
    except (FileNotFoundError, Damaged, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Damaged(f"{path.name} cannot be read: {first.rstrip('.')}.") from error


class Mark(NamedTuple):
    """Point of a resume: from sequence number `seq` on, the run goes on from `step`."""

    seq: int
    step: int


def marks_of(texts: Iterable[dict[str, Any]]) -> list[Mark]:
    """Find where a run went on from an earlier step, by the headers of its texts."""
    return [
        Mark(int(header["seq"]), int(header["last"][0]))
        for header in texts
        if header["path"] == RESUMED
    ]


def unvoided(series: Series, marks: Sequence[Mark]) -> Series:
    """Drop the rows that a resumed run writes anew."""
    for mark in marks:
        keep = (series.seq > mark.seq) | (series.step <= mark.step)
        if not keep.all():
            series = select_rows(series, keep)
    return series


def joined(pieces: Sequence[Series], marks: Sequence[Mark] = ()) -> Series:
    """Lay pieces of one path end to end, ordered by step, without what marks void.

    Of two values at one step (floors, after a resume) the later one counts.
    """
    series = pieces[0]
    if len(pieces) > 1:
        columns: Any = map(np.concatenate, zip(*pieces, strict=True))
        series = Series(*columns)
    series = unvoided(series, marks)
    if (np.diff(series.step) <= 0).any():
        series = select_rows(series, np.lexsort((series.seq, series.step)))
        series = select_rows(series, np.append(np.diff(series.step) > 0, True))
    return series


def select_rows(series: Series, index: npt.NDArray[Any] | slice) -> Series:
    """Select some rows of a series."""
    columns: Any = (column[index] for column in series)
    return Series(*columns)


def write_parquet(
    file: BinaryIO, paths: Iterable[str], pieces: Callable[[str], Iterable[Series]], last_seq: int
) -> None:
    """Write row groups sorted by path, then step; the file says up to which frame it reaches.

    pieces: the rows of a path, in the order in which they were written. Few of them are in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: getattr(pa, _ARROW[code])() for name, code in _TYPES.items()}
    fields = [pa.field("path", pa.dictionary(pa.int32(), pa.string()))]
    fields += [pa.field(name, kind) for name, kind in types.items()]
    schema = pa.schema(fields, metadata={"basin.seq": str(last_seq)})
    encodings = {
        name: "DELTA_BINARY_PACKED" if code == "i8" else "BYTE_STREAM_SPLIT"
        for name, code in _TYPES.items()
    }
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=["path"],
        column_encoding=encodings,
        write_page_checksum=True,
    ) as writer:
        for path in sorted(paths):
            for group in _groups(pieces(path)):
                indices = pa.array(np.zeros(len(group.step), np.int32))
                names = pa.DictionaryArray.from_arrays(indices, pa.array([path], pa.string()))
                arrays = [names, *(pa.array(_stored(getattr(group, name))) for name in types)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _stored(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Round a column as the file has it: seconds and joules keep 28 significant bits.

    That is two milliseconds in a week and 0.1 μs in half a minute; the bits below are the noise
    of the clock, do not compress, and would be a third of the file.
    """
    if column.dtype != np.float64:
        return column
    bits = column.view(np.uint64) + np.uint64(1 << 24)
    rounded = (bits & ~np.uint64((1 << 25) - 1)).view(np.float64)
    return np.where(np.isfinite(column), rounded, column)


def _groups(pieces: Iterable[Series]) -> Iterator[Series]:
    """Regroup pieces of a path as row groups, each ordered by step."""
    waiting: list[Series] = []
    rows = 0
    for piece in pieces:
        waiting.append(piece)
        rows += len(piece.step)
        if rows >= 2 * _ROWS_PER_GROUP:
            whole = joined(waiting)
            # the last rows wait: what is said again at their step replaces them
            yield select_rows(whole, slice(0, _ROWS_PER_GROUP))
            waiting = [select_rows(whole, slice(_ROWS_PER_GROUP, None))]
            rows = len(waiting[0].step)
    if waiting and len((whole := joined(waiting)).step):
        for start in range(0, len(whole.step), _ROWS_PER_GROUP):
            yield select_rows(whole, slice(start, start + _ROWS_PER_GROUP))


_TYPES = {
    "step": "i8",
    "gradients": "i8",
    "seconds": "f8",
    "joules": "f8",
    "value": "f4",
    "seq": "i8",
}


_ARROW = {"i8": "int64", "f8": "float64", "f4": "float32"}


def _as_numpy(column: Any, dtype: str) -> npt.NDArray[Any]:
    """Convert an Arrow column; Arrow's own way imports pandas, 45 MB, for columns as plain as
    these."""
    parts = []
    for chunk in column.chunks:
        values = np.frombuffer(chunk.buffers()[1], f"<{dtype}")
        parts.append(values[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts)


class _Group(NamedTuple):
    """Row group: rows of one path."""

    place: int
    first: int
    last: int
    last_seq: int
    num: int


class ScalarTable:
    """Reader of a run's `scalars.parquet`, by row group; nothing is read before it is needed.

    The file stays open, so what is read stays that of one state though the run be compacted anew.
    Raises FileNotFoundError, and Damaged: here, and where rows are read that are no more what was
    written.
    """

    def __init__(self, path: Path) -> None:
        with raising_damaged(path):
            self._open(path)

    def _open(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._path = path
        self._file = pq.ParquetFile(path, read_dictionary=["path"], page_checksum_verification=True)
        self.last_seq = int((self._file.schema_arrow.metadata or {}).get(b"basin.seq", b"-1"))
        self._groups: dict[str, list[_Group]] = {}
        metadata = self._file.metadata
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            name, step = group.column(0).statistics.min, group.column(1).statistics
            seq = group.column(6).statistics
            entry = _Group(index, int(step.min), int(step.max), int(seq.max), group.num_rows)
            self._groups.setdefault(name, []).append(entry)

    @property
    def paths(self) -> list[str]:
        """List the paths in the file."""
        return list(self._groups)

    def count(self, path: str) -> int:
        """Count the rows of a path."""
        return sum(group.num for group in self._groups.get(path, ()))

    def pieces(self, path: str, first: float = -np.inf, last: float = np.inf) -> Iterator[Series]:
        """Read the rows of a path between two steps, one row group after the other."""
        return (read() for read in self.readers(path, first, last))

    def readers(
        self, path: str, first: float = -np.inf, last: float = np.inf, after: int = -1
    ) -> Iterator[Callable[[], Series]]:
        """Return readers of the rows of a path between two steps, one for each row group.

        Groups without a sequence number above `after` are left out.
        """
        for group in self._groups.get(path, ()):
            if group.last >= first and group.first <= last and group.last_seq > after:
                yield functools.partial(self._rows_between, group.place, first, last)

    def _rows_between(self, place: int, first: float, last: float) -> Series:
        rows = self._read(place)
        return select_rows(rows, slice(*np.searchsorted(rows.step, [first, last + 1])))

    def series(self, path: str) -> Series:
        """Read all rows of a path that is there."""
        return joined(list(self.pieces(path)))

    def latest(self, path: str) -> float:
        """Return the last value of a path that is there; one row group is read."""
        with raising_damaged(self._path):
            table = self._file.read_row_group(self._groups[path][-1].place, columns=["value"])
            return float(table.column("value")[-1].as_py())

    def _read(self, index: int) -> Series:
        with raising_damaged(self._path):
            table = self._file.read_row_group(index, columns=list(Series._fields))
            return Series(*(_as_numpy(table.column(n), t) for n, t in _TYPES.items()))


def read_texts(path: Path, damage: list[str]) -> list[dict[str, Any]]:
    """Read the headers of the texts in `text.jsonl`; none without a file.

    Lines that cannot be read are passed over, and reported in `damage`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        damage.append(f"{path.name} cannot be read: {error.strerror}.")
        return []
    headers, num_bad = [], 0
    for line in content.splitlines():
        try:
            header = json.loads(line)
            header["meta"]["message"], header["meta"]["level"], int(header["last"][0])
            if not isinstance(header["path"], str) or not isinstance(header["seq"], int):
                raise ValueError("not a text")
            headers.append(header)
        except (ValueError, KeyError, TypeError, IndexError):
            num_bad += 1
    if num_bad:
        sentence = f"{path.name} is damaged: {num_bad:,} of its sentences cannot be read."
        if sentence not in damage:
            damage.append(sentence)
    return headers


def read_last_seq(path: Path) -> int:
    """Read from its footer alone up to which frame a compacted file reaches, -1 without one.

    Raises Damaged.
    """
    import pyarrow.parquet as pq

    try:
        with raising_damaged(path):
            metadata = pq.read_schema(path).metadata or {}
            return int(metadata.get(b"basin.seq", b"-1"))
    except FileNotFoundError:
        return -1
