"""Scalars of a run as columns: out of log frames, into Parquet and back. No row is a Python object.

A text frame under `run/resumed` marks that a run went on from an earlier step: what had been
written before it for later steps no longer counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.events import Frame, unpack

RESUMED = "run/resumed"
"""Path of the text that says from which step a run went on."""
_ROWS_PER_GROUP = 1_000_000


class Series(NamedTuple):
    """One path: aligned arrays, ordered by step."""

    step: npt.NDArray[np.int64]
    gradients: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    joules: npt.NDArray[np.float64]
    """NaN where nothing measured them"""
    value: npt.NDArray[np.float32]


class Mark(NamedTuple):
    """From sequence number `seq` on, the run goes on from `step`."""

    seq: int
    step: int


class Piece(NamedTuple):
    """Rows of one path with the sequence number of the frame each came in."""

    seq: npt.NDArray[np.int64]
    series: Series


class Extract(NamedTuple):
    """What frames hold: rows by path, marks, texts, and the highest sequence number."""

    pieces: dict[str, list[Piece]]
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
    pieces: dict[str, list[Piece]] = {}
    for paths, blocks in groups.items():
        for path, piece in zip(paths, _pieces(blocks), strict=True):
            pieces.setdefault(path, []).append(piece)
    return Extract(pieces, marks, texts, last)


def _pieces(blocks: Sequence[Frame]) -> list[Piece]:
    """Blocks of the same paths laid end to end: one piece a path, sharing the cost columns."""
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
    seq = np.array([block.header["seq"] for block in blocks], np.int64)[block_of]
    values = np.concatenate([block.arrays["values"] for block in blocks])
    step, gradients = (np.rint(costs[:, i]).astype(np.int64) for i in (0, 1))
    seconds, joules = costs[:, 2].copy(), costs[:, 3].copy()
    return [
        Piece(seq, Series(step, gradients, seconds, joules, column.copy())) for column in values.T
    ]


def _costs(costs: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64]:
    """(blocks, 4), NaN for null."""
    return np.array([[np.nan if x is None else x for x in cost] for cost in costs], np.float64)


def merged(old: dict[str, Series], new: Extract, old_seq: int) -> dict[str, Series]:
    """Compacted series (everything up to `old_seq`) and newer rows, voided rows left out."""
    paths = dict.fromkeys([*old, *new.pieces])
    result = {}
    for path in paths:
        pieces = list(new.pieces.get(path, ()))
        if path in old:
            before = np.full(len(old[path].step), old_seq, np.int64)
            pieces.insert(0, Piece(before, old[path]))
        series = _join(pieces, new.marks)
        if len(series.step):
            result[path] = series
    return result


def _join(pieces: list[Piece], marks: list[Mark]) -> Series:
    if len(pieces) == 1:
        seq, series = pieces[0]
    else:
        seq = np.concatenate([piece.seq for piece in pieces])
        columns = zip(*(piece.series for piece in pieces), strict=True)
        series = Series(*(np.concatenate(column) for column in columns))
    for mark in marks:
        keep = (seq > mark.seq) | (series.step <= mark.step)
        if not keep.all():
            seq, series = seq[keep], _taken(series, keep)
    gaps = np.diff(series.step)
    if (gaps <= 0).any():
        order = np.lexsort((seq, series.step))
        series = _taken(series, order)
        # Said twice at one step (floors, after a resume): the later word counts.
        newest = np.append(np.diff(series.step) > 0, True)
        series = _taken(series, newest)
    return series


def _taken(series: Series, index: npt.NDArray[Any]) -> Series:
    return Series(*(column[index] for column in series))


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


def read_parquet(path: Path) -> tuple[dict[str, Series], int]:
    """Series by path and the sequence number the file reaches to; ({}, -1) without a file."""
    import pyarrow.parquet as pq

    try:
        source = path.open("rb")
    except FileNotFoundError:
        return {}, -1
    with source:
        file = pq.ParquetFile(source, read_dictionary=["path"])
        last_seq = int((file.schema_arrow.metadata or {}).get(b"basin.seq", b"-1"))
        parts: dict[str, list[Series]] = {}
        for index in range(file.num_row_groups):
            table = file.read_row_group(index)
            columns = (table.column(name).to_numpy() for name in Series._fields)
            parts.setdefault(table.column("path")[0].as_py(), []).append(Series(*columns))
    joined = {}
    for name, groups in parts.items():
        columns = (np.concatenate(column) for column in zip(*groups, strict=True))
        joined[name] = groups[0] if len(groups) == 1 else Series(*columns)
    return joined, last_seq


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
