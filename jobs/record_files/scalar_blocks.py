"""Blocks of scalars: frames of the log read many at a time, at microseconds a frame.

A block is some rows of some paths with their costs at the first and the last row. Blocks of the
same paths are laid end to end as columns; the path list, nine tenths of a frame that holds one row,
is read once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.events import Frame, split, unpack

_PREFIX = 12
_META = b',"meta":'


class Rows(NamedTuple):
    """Rows of several paths written together.

    Costs (rows, 4), NaN for unknown joules, sequence numbers (rows,), values (rows, paths).
    """

    costs: npt.NDArray[Any]
    seq: npt.NDArray[Any]
    values: npt.NDArray[Any]

    def series(self, column: int) -> Series:
        """Extract one path."""
        return series_of(self.costs, self.seq, self.values[:, column].copy())


class Series(NamedTuple):
    """Scalars of one path: aligned arrays, ordered by step."""

    step: npt.NDArray[np.int64]
    gradients: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    joules: npt.NDArray[np.float64]
    """NaN where nothing measured them"""
    value: npt.NDArray[np.float32]
    seq: npt.NDArray[np.int64]
    """sequence number of the frame that holds it"""


def series_of(
    costs: npt.NDArray[np.float64], seq: npt.NDArray[np.int64], value: npt.NDArray[np.float32]
) -> Series:
    """Build a Series from its rows' costs (rows, 4), sequence numbers and values."""
    step, gradients = (np.rint(costs[:, i]).astype(np.int64) for i in (0, 1))
    return Series(step, gradients, costs[:, 2].copy(), costs[:, 3].copy(), value, seq)


class Blocks(NamedTuple):
    """Blocks of the same paths, in the order in which they were written."""

    paths: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    """(blocks,) rows of each"""
    first: npt.NDArray[np.float64]
    """(blocks, 4) costs at its first row, NaN for unknown joules"""
    last: npt.NDArray[np.float64]
    seq: npt.NDArray[np.int64]
    """(blocks,)"""
    values: npt.NDArray[np.float32]
    """(rows, paths)"""

    def rows(self) -> Rows:
        """Expand to rows with costs, spread evenly from each block's first to its last."""
        costs, seq = spread(self.counts, self.first, self.last, self.seq)
        return Rows(costs, seq, self.values)

    def after(self, seq: int) -> Blocks:
        """Select the blocks with a later sequence number."""
        keep = self.seq > seq
        if keep.all():
            return self
        rows = np.repeat(keep, self.counts)
        return Blocks(
            self.paths,
            self.counts[keep],
            self.first[keep],
            self.last[keep],
            self.seq[keep],
            self.values[rows],
        )


def spread(
    counts: npt.NDArray[Any], first: npt.NDArray[Any], last: npt.NDArray[Any], seq: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Interpolate costs (rows, 4) and sequence numbers (rows,) of blocks; a single row is at
    `last`."""
    if (counts == 1).all():
        costs = last.copy()
    else:
        block = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        span = np.repeat(counts - 1, counts)
        share = np.where(span > 0, row / np.maximum(span, 1), 1.0)[:, None]
        costs = first[block] + share * (last - first)[block]
        seq = seq[block]
    costs[:, :2] = np.rint(costs[:, :2])
    return costs, seq


class LogContent(NamedTuple):
    """Content of a stretch of the log: scalars and texts."""

    blocks: list[Blocks]
    """one of each list of paths"""
    texts: list[dict[str, Any]]
    """headers"""
    last_seq: int
    """the highest one there is, -1 for none"""
    damaged: int
    """bytes that are no frame, a torn tail left out, and frames that do not say what they should"""

    def series(self) -> dict[str, list[Series]]:
        """Group the rows by path."""
        by_path: dict[str, list[Series]] = {}
        for each in self.blocks:
            rows = each.rows()
            for column, path in enumerate(each.paths):
                by_path.setdefault(path, []).append(rows.series(column))
        return by_path


def merged_content(stretches: Iterable[LogContent], after: int) -> LogContent:
    """Merge the content of several stretches with sequence numbers above `after`."""
    blocks: list[Blocks] = []
    texts: list[dict[str, Any]] = []
    last, damaged = after, 0
    for content in stretches:
        blocks += [later for each in content.blocks if len((later := each.after(after)).seq)]
        texts += [header for header in content.texts if header["seq"] > after]
        last, damaged = max(last, content.last_seq), damaged + content.damaged
    return LogContent(blocks, texts, last, damaged)


class _Piece(NamedTuple):
    """Scalar frame before its header is parsed."""

    head: bytes
    tail: bytes
    body: int


def read(data: bytes, frames: Iterable[tuple[int, int]] | None = None) -> LogContent:
    """Parse the frames in `data`.

    frames: offset and size of each, where they are known.
    """
    pieces: list[_Piece] = []
    texts: list[dict[str, Any]] = []
    end = damaged = 0
    last = -1
    for offset, size in split(data) if frames is None else frames:
        damaged += offset - end
        end = offset + size
        body = offset + _PREFIX + int.from_bytes(data[offset + 4 : offset + 8], "little")
        head, _, tail = data[offset + _PREFIX : body].partition(_META)
        if b'"kind":"scalar"' in head:
            pieces.append(_Piece(head, tail, body))
            continue
        try:
            header = _text_of(data[offset:end])
        except (ValueError, KeyError, TypeError, IndexError):
            damaged += size
            continue
        last = max(last, header["seq"])
        texts.append(header)
    try:
        blocks = _blocks(data, pieces)
    except (ValueError, KeyError, TypeError, IndexError):
        good = [piece for piece in pieces if _is_whole(data, piece)]
        damaged += sum(len(p.head) + len(p.tail) for p in pieces) - sum(
            len(p.head) + len(p.tail) for p in good
        )
        blocks = _blocks(data, good)
    last = max([last, *(int(group.seq.max()) for group in blocks)])
    return LogContent(blocks, texts, last, damaged)


def _text_of(data: bytes) -> dict[str, Any]:
    """Parse the header of a text with all its fields. Raises what a damaged one raises."""
    header = unpack(data).header
    str(header["meta"]["message"]), str(header["meta"]["level"]), int(header["last"][0])
    if not isinstance(header["path"], str) or not isinstance(header["seq"], int):
        raise ValueError("not whole")
    return header


def _is_whole(data: bytes, piece: _Piece) -> bool:
    try:
        _blocks(data, [piece])
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return True


@functools.lru_cache(maxsize=256)
def _shape(tail: bytes) -> tuple[tuple[str, ...], int]:
    """Parse paths and number of rows from the end of a block's header, the same for many."""
    header = json.loads(b'{"meta":' + tail)
    ((name, code, (rows, columns), _),) = header["arrays"]
    paths = tuple(header["meta"]["paths"])
    if (name, code) != ("values", "f4") or columns != len(paths) or rows < 1:
        raise ValueError("not a block of scalars")
    return paths, rows


def _blocks(data: bytes, pieces: Sequence[_Piece]) -> list[Blocks]:
    if not pieces:
        return []
    # NaN is a word of Python's JSON alone, and joules are all that can be null here
    heads = b"},".join(piece.head for piece in pieces).replace(b",null]", b",NaN]")
    headers = json.loads(b"[" + heads + b"}]")
    shapes = [_shape(piece.tail) for piece in pieces]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, (paths, _) in enumerate(shapes):
        groups.setdefault(paths, []).append(index)
    return [
        Blocks(
            paths,
            np.array([shapes[i][1] for i in group], np.int64),
            _costs([headers[i]["first"] for i in group]),
            _costs([headers[i]["last"] for i in group]),
            np.array([headers[i]["seq"] for i in group], np.int64),
            _values(data, [(pieces[i].body, shapes[i][1]) for i in group], len(paths)),
        )
        for paths, group in groups.items()
    ]


def _values(
    data: bytes, bodies: Sequence[tuple[int, int]], columns: int
) -> npt.NDArray[np.float32]:
    content = b"".join(data[at : at + 4 * rows * columns] for at, rows in bodies)
    return np.frombuffer(content, "<f4").reshape(-1, columns)


def _costs(costs: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    table = np.array(costs, np.float64)
    if table.ndim != 2 or table.shape[1] != 4:
        raise ValueError("not four costs")
    return table


def of_frames(frames: Sequence[Frame]) -> Blocks:
    """Lay scalar frames of the same paths end to end."""
    return Blocks(
        tuple(frames[0].header["meta"]["paths"]),
        np.array([len(frame.arrays["values"]) for frame in frames], np.int64),
        _costs([[np.nan if x is None else x for x in f.header["first"]] for f in frames]),
        _costs([[np.nan if x is None else x for x in f.header["last"]] for f in frames]),
        np.array([frame.header["seq"] for frame in frames], np.int64),
        np.concatenate([frame.arrays["values"] for frame in frames]),
    )
