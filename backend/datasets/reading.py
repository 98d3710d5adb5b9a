"""Reading what people bring: arrays and tables, bounded, never unpickled.

A file is read twice, piece by piece: first it is looked over and nothing is kept, so that one that
is refused takes little memory whatever it unpacks to; then the array is filled. Everything that
can be wrong is a BadInput at `data.path` (or `data.key`) that says where and what to do. Rows and
columns count from 1.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput

Array = npt.NDArray[Any]

MAX_BYTES = 512 * 2**20
MAX_VALUES = 50_000_000
MAX_ROWS = 5_000_000
MAX_COLUMNS = 4096
MAX_SIDE = 256
"""Pixels along a side of an image."""
MIN_ROWS = 20
MAX_LABELS = 1000
MIN_OF_LABEL = 2
"""Rows of a class: one to train on, one held out."""
SUFFIXES = (".npy", ".npz", ".csv", ".parquet")
PIECE = 2**19
"""Values that are read at a time."""
_BEGINNINGS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
_NO_DATA = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself. Fetch it by "
    "`git lfs pull`.",
    b"<!doctype": "is a web page, as a download that asks for a login gives it. Download it again.",
    b"<html": "is a web page, as a download that asks for a login gives it. Download it again.",
}


@dataclass(frozen=True)
class Table:
    """Content of a file: values (n, d) or (n, h, w[, c]) as they were, finite and within bounds."""

    values: Array
    columns: tuple[str, ...] = ()
    labels: npt.NDArray[np.int64] | None = None
    """(n,) 0, 1, ... in places of `label_names`"""
    label_names: tuple[str, ...] = ()


class Piece(NamedTuple):
    """Some of the values, whole along all axes but one."""

    start: int
    values: Array
    axis: int = 0


@dataclass(frozen=True)
class Source:
    """A file that was opened: what it says it holds, and a way to go through it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """-1 rows where they have to be counted"""
    pieces: Callable[[], Iterator[Piece]]
    columns: tuple[str, ...] = ()
    labels: Callable[[int], tuple[npt.NDArray[np.int64], tuple[str, ...]] | None] | None = None
    """of so many rows: classes (n,) and their names, None where there are none"""


def bad(message: str) -> BadInput:
    return BadInput.at("data.path", message)


def read_file(path: Path, key: str) -> Table:
    """The table in one file. Raises BadInput."""
    with opened(path) as file:
        source = _source(path.name, path.suffix.lower(), file, key)
        if source.shape[0] >= 0:
            check_shape(path.name, source.shape)
        shape = check_pieces(path.name, source)
        values = np.empty(shape, source.dtype)
        for piece in source.pieces():
            places = slice(piece.start, piece.start + piece.values.shape[piece.axis])
            values[(slice(None),) * piece.axis + (places,)] = piece.values
        labels = source.labels(shape[0]) if source.labels else None
    if labels is None:
        return Table(values, source.columns)
    return Table(values, source.columns, *labels)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[FileIO]:
    """A regular file of 1 to MAX_BYTES bytes, which must not change meanwhile. Raises BadInput."""
    try:
        # a pipe or a device that took the file's place must not hang
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise bad(f"{path} cannot be read: {error.strerror}.") from error
    # unbuffered: readers share the descriptor's place in the file
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise bad(f"{path} is neither a file nor a folder.")
        if before.st_size == 0:
            raise bad(f"{path.name} is empty.")
        if before.st_size > MAX_BYTES:
            megabytes, limit = before.st_size / 2**20, MAX_BYTES // 2**20
            raise bad(f"{path.name} has {megabytes:,.0f} MB; at most {limit} MB are read.")
        try:
            yield file
        except BadInput:
            raise
        except Exception as error:  # bytes of a stranger: their parsers have many ways to fail
            raise bad(f"{path.name} cannot be read: it is damaged.") from error
        finally:
            after = os.fstat(descriptor)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise bad(f"{path.name} was written while it was read. Try again when it is whole.")


def _source(name: str, suffix: str, file: FileIO, key: str) -> Source:
    """Raises BadInput for what is not what its name says, or of no known kind."""
    from backend.datasets import array_files, table_files

    if suffix not in SUFFIXES:
        raise bad(f"{name} is none of {', '.join(SUFFIXES)} and no folder of images.")
    beginning = file.read(64).lstrip(b"\xef\xbb\xbf \r\n").lower()
    file.seek(0)
    for start, sentence in _NO_DATA.items():
        if beginning.startswith(start):
            raise bad(f"{name} {sentence}")
    for start, kind in _BEGINNINGS.items():
        if beginning.startswith(start.lower()) and kind != suffix:
            raise bad(f"{name} is {kind} by its content. Rename it to end in {kind}.")
    if key and suffix != ".npz":
        raise BadInput.at("data.key", f"only .npz files have keys; {name} has none. Clear it.")
    if suffix == ".npy":
        return array_files.npy(name, file)
    if suffix == ".npz":
        return array_files.npz(name, file, key)
    return (table_files.csv if suffix == ".csv" else table_files.parquet)(name, file)


def check_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raises BadInput unless this is the shape of points or images within the bounds."""
    if len(shape) not in (2, 3, 4):
        hint = " Reshape it to (n, 1)." if len(shape) == 1 else ""
        raise bad(
            f"{name} has shape {shape}; points are (n, d), images (n, h, w) or (n, h, w, c).{hint}"
        )
    num = shape[0]
    if num < MIN_ROWS:
        raise bad(f"{name} has {num} rows; at least {MIN_ROWS} are needed, some are held out.")
    if len(shape) == 2 and not 1 <= shape[1] <= MAX_COLUMNS:
        raise bad(f"{name} has {shape[1]:,} columns; 1 to {MAX_COLUMNS:,} are read.")
    if len(shape) > 2 and not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise bad(f"{name} has images of {shape[1]} × {shape[2]}; sides are 1 to {MAX_SIDE}.")
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        raise bad(f"{name} has shape {shape}; the last axis of images is 1, 3 or 4 channels.")
    if num > MAX_ROWS or math.prod(shape) > MAX_VALUES:
        raise bad(
            f"{name} has shape {shape}; at most {MAX_ROWS:,} rows and {MAX_VALUES:,} values are "
            "read. Take a part of it."
        )


def check_pieces(name: str, source: Source) -> tuple[int, ...]:
    """The whole shape. Raises BadInput at the first value that is not a finite float32, for too
    many or too few rows, and for a column, or images, of one value alone."""
    if source.dtype.kind not in "fiub":
        raise bad(f"{name} holds {source.dtype} values; numbers are needed.")
    ranges: list[tuple[Array, Array]] = []
    low = high = None
    num, rest = 0, source.shape[1:]
    for piece in source.pieces():
        _check_finite(piece, source.columns)
        if piece.axis == 0:
            num += len(piece.values)
            if num > MAX_ROWS or num * math.prod(rest) > MAX_VALUES:
                check_shape(name, (num, *rest))
        axes = 0 if len(rest) == 1 else None
        least, most = piece.values.min(axes), piece.values.max(axes)
        if len(rest) == 1 and piece.axis == 1:
            ranges.append((least, most))
        else:
            low = least if low is None else np.minimum(low, least)
            high = most if high is None else np.maximum(high, most)
    if ranges:
        low, high = (np.concatenate(parts) for parts in zip(*ranges, strict=True))
    shape = (num, *rest) if source.shape[0] < 0 else source.shape
    check_shape(name, shape)
    if num not in (0, shape[0]):
        raise bad(f"{name} is damaged: it says it has {shape[0]:,} rows and has {num:,}.")
    _check_ranges(np.asarray(low), np.asarray(high), source.columns)
    return shape


def check_values(name: str, values: Array) -> None:
    """`check_pieces` of an array that is in memory."""
    step = max(1, PIECE // max(1, math.prod(values.shape[1:])))
    pieces = [Piece(at, values[at : at + step]) for at in range(0, len(values), step)]
    check_pieces(name, Source(values.dtype, values.shape, lambda: iter(pieces)))


def _check_finite(piece: Piece, columns: Iterable[str]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(piece.values.astype(np.float32, copy=False))
    if finite.all():
        return
    index = [int(i) for i in np.unravel_index(int(np.argmin(finite)), finite.shape)]
    value = piece.values[tuple(index)]
    index[piece.axis] += piece.start
    word = "NaN" if np.isnan(value) else f"{value:g}"
    if np.isfinite(value):
        word += ", too large for a 32-bit number"
    raise bad(
        f"{place(tuple(index), tuple(columns))} is {word}; every value must be a finite number. "
        "Remove the row or fill it in."
    )


def _check_ranges(low: Array, high: Array, columns: tuple[str, ...]) -> None:
    if not low.ndim and low == high:
        raise bad(f"every pixel is {float(low):g}; there is nothing to learn.")
    constant = np.flatnonzero(low == high)
    if low.ndim and len(constant):
        name = column_name(int(constant[0]), columns)
        value = float(low[constant[0]])
        raise bad(f"{name} is constant ({value:g}); it has no density. Remove the column.")


def column_name(index: int, columns: tuple[str, ...]) -> str:
    return f"column “{columns[index][:60]}”" if columns else f"column {index + 1}"


def place(index: tuple[int, ...], columns: tuple[str, ...]) -> str:
    """Place of a value, in words."""
    if len(index) == 2:
        return f"row {index[0] + 1}, {column_name(index[1], columns)}"
    return f"image {index[0] + 1}, pixel row {index[1] + 1}, pixel column {index[2] + 1}"
