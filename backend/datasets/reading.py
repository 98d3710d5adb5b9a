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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput

if TYPE_CHECKING:
    from backend.datasets.concept_columns import Concepts

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
SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".dat", ".parquet")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".parquet")
PIECE = 2**19
"""Values that are read at a time."""
_BEGINNINGS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
_OTHER_PROGRAMS = {
    ".xlsx": "Save the sheet as .csv.",
    ".xls": "Save the sheet as .csv.",
    ".ods": "Save the sheet as .csv.",
    ".mat": "Load it by scipy.io.loadmat and save the array by numpy.save.",
    ".h5": "Read the array by h5py and save it by numpy.save.",
    ".hdf5": "Read the array by h5py and save it by numpy.save.",
    ".nc": "Read the variable by xarray and save it by numpy.save.",
    ".pt": "Save the tensor by numpy.save(path, x.numpy()).",
    ".pth": "Save the tensor by numpy.save(path, x.numpy()).",
    ".pkl": "Pickles are never opened, as they could run code. Save the array by numpy.save.",
    ".pickle": "Pickles are never opened, as they could run code. Save the array by numpy.save.",
    ".feather": "Save the table as .parquet.",
    ".arrow": "Save the table as .parquet.",
    ".json": "Save the table as .csv.",
    ".jsonl": "Save the table as .csv.",
    ".rds": "Save the table by write.csv.",
    ".rdata": "Save the table by write.csv.",
    ".sav": "Save the table as .csv.",
    ".dta": "Save the table as .csv.",
    ".gz": "Unpack it first.",
    ".zip": "Unpack it first.",
    ".tar": "Unpack it first.",
    ".7z": "Unpack it first.",
}
_NO_DATA = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself. Fetch it by "
    "`git lfs pull`.",
    b"<!doctype": "is a web page, as a download that asks for a login gives it. Download it again.",
    b"<html": "is a web page, as a download that asks for a login gives it. Download it again.",
    b"<?xml": "is XML, as a server that refuses a download gives it. Download it again.",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook by its content. Save the sheet as .csv.",
    b"\x1f\x8b": "is packed by gzip. Unpack it first.",
    b"bzh": "is packed by bzip2. Unpack it first.",
    b"\xfd7zxz": "is packed by xz. Unpack it first.",
    b"\x28\xb5\x2f\xfd": "is packed by Zstandard. Unpack it first.",
    b"\x89hdf": "is HDF5 by its content. Read the array by h5py and save it by numpy.save.",
    b"matlab": "is a MATLAB file. Load it by scipy.io.loadmat and save the array by numpy.save.",
    b"\x89png": "is one image. Put all images into a folder and name that.",
    b"\xff\xd8\xff": "is one image. Put all images into a folder and name that.",
    b"%pdf": "is a PDF document. Save its numbers as .csv.",
    b"sqlite format": "is an SQLite database. Save the table as .csv.",
    b"arrow1": "is Arrow's own format by its content. Save the table as .parquet.",
}


@dataclass(frozen=True)
class Table:
    """Content of a file: values (n, d) or (n, h, w[, c]) as they were, finite and within bounds."""

    values: Array
    columns: tuple[str, ...] = ()
    labels: npt.NDArray[np.int64] | None = None
    """(n,) 0, 1, ... in places of `label_names`"""
    label_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """sentences on what was made of the file, without their full stop"""
    concepts: Concepts | None = None


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
    labels: Callable[[int], tuple[npt.NDArray[np.int64], tuple[str, ...]] | str] | None = None
    """of so many rows: classes (n,) and their names, or a note on why there are none"""
    notes: tuple[str, ...] = ()
    concepts: Callable[[], Concepts] | None = None


def bad(message: str) -> BadInput:
    return BadInput.at("data.path", message)


@dataclass(frozen=True)
class Choice:
    """The part of a file that is read."""

    key: str = ""
    """array of an .npz file"""
    columns: Sequence[str] = ()
    """columns of a table, by their names or places from 1; all of numbers where there are none"""
    label: str = ""
    """the column that holds the classes of the rows"""
    concepts: Sequence[str] = ()
    """columns that hold concepts of the rows; of an .npz file the one array that holds them all"""
    missing: str = "refuse"
    """`refuse`, `drop` (rows with a value missing) or `take` (numbers that look like none)"""
    least_rows: int = MIN_ROWS


def read_file(
    path: Path,
    key: str = "",
    columns: Sequence[str] = (),
    label: str = "",
    missing: str = "refuse",
    concepts: Sequence[str] = (),
) -> Table:
    """The table in one file, or the part of it that is chosen as in `Choice`. Raises BadInput."""
    from backend.datasets import value_checks
    from backend.datasets.value_notes import notes_of

    choice = Choice(key, columns, label, concepts, missing)
    with opened(path) as file:
        source = _source(path.name, path.suffix.lower(), file, choice)
        if source.shape[0] >= 0:
            check_shape(path.name, source.shape)
        if choice.missing == "drop":
            return value_checks.without_gaps(path.name, source)
        shape = value_checks.check_pieces(path.name, source)
        values = filled(source, shape)
        labels = source.labels(shape[0]) if source.labels else ""
        known = source.concepts() if source.concepts else None
    if known is not None:
        known.check(path.name, shape[0])
        source = replace(source, notes=(*source.notes, *known.notes))
    if choice.missing != "take":
        value_checks.check_placeholders(values, source.columns)
    notes = (*source.notes, *notes_of(values, source.columns))
    if isinstance(labels, str):
        notes = (*notes, labels) if labels else notes
        return Table(values, source.columns, notes=notes, concepts=known)
    return Table(values, source.columns, *labels, notes, known)


def read_rows(path: Path, columns: Sequence[str] = ()) -> Array:
    """Rows (n, d) of a table of finite numbers that is asked about and not learned: n may be 1.

    columns: as in `Choice`. Raises BadInput.
    """
    choice = Choice(columns=columns, least_rows=1)
    with opened(path) as file:
        source = _source(path.name, path.suffix.lower(), file, choice)
        parts = [piece.values for piece in source.pieces()]
    if not parts:
        raise bad(f"{path.name} has no rows.")
    values = np.concatenate(parts)
    check_shape(path.name, values.shape, choice.least_rows)
    if len(wrong := np.argwhere(~np.isfinite(values))):
        where = place(tuple(wrong[0]), source.columns)
        raise bad(f"{path.name}: {where} holds no finite number. Leave that row out.")
    return values


def filled(source: Source, shape: tuple[int, ...]) -> Array:
    """All values of a source of this shape."""
    values = np.empty(shape, source.dtype)
    for piece in source.pieces():
        places = slice(piece.start, piece.start + piece.values.shape[piece.axis])
        values[(slice(None),) * piece.axis + (places,)] = piece.values
    return values


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


def _source(name: str, suffix: str, file: FileIO, choice: Choice) -> Source:
    """Raises BadInput for what is not what its name says, or of no known kind."""
    from backend.datasets import array_files, table_columns, table_files

    if suffix not in SUFFIXES:
        advice = _OTHER_PROGRAMS.get(suffix, "")
        kinds = ", ".join(SUFFIXES)
        raise bad(f"{name} is none of {kinds} and no folder of images. {advice}".rstrip())
    _check_beginning(name, suffix, file)
    if choice.key and suffix != ".npz":
        raise BadInput.at("data.key", f"only .npz files have keys; {name} has none. Clear it.")
    if suffix in (".npy", ".npz"):
        read_array = array_files.npz(name, file, choice) if suffix == ".npz" else None
        return table_columns.of_array(name, read_array or array_files.npy(name, file), choice)
    read = table_files.csv if suffix in TEXT_SUFFIXES else table_files.parquet
    return read(name, file, choice)


def _check_beginning(name: str, suffix: str, file: FileIO) -> None:
    beginning = file.read(512)
    file.seek(0)
    if not beginning.strip(b"\0"):
        raise bad(f"{name} holds zeros alone, as a copy that broke off leaves it. Copy it again.")
    beginning = beginning.lstrip(b"\xef\xbb\xbf \r\n").lower()
    for start, sentence in _NO_DATA.items():
        if beginning.startswith(start):
            raise bad(f"{name} {sentence}")
    for start, kind in _BEGINNINGS.items():
        if beginning.startswith(start.lower()) and kind != suffix:
            if kind == ".npz" and b"[content_types].xml" in beginning:
                raise bad(f"{name} is an Excel workbook by its content. Save the sheet as .csv.")
            raise bad(f"{name} is {kind} by its content. Rename it to end in {kind}.")


def check_shape(name: str, shape: tuple[int, ...], least_rows: int = MIN_ROWS) -> None:
    """Raises BadInput unless this is the shape of points or images within the bounds."""
    if len(shape) not in (2, 3, 4):
        hint = " Reshape it to (n, 1)." if len(shape) == 1 else ""
        raise bad(
            f"{name} has shape {shape}; points are (n, d), images (n, h, w) or (n, h, w, c).{hint}"
        )
    num = shape[0]
    if num < least_rows:
        raise bad(f"{name} has {num} rows; at least {least_rows} are needed, some are held out.")
    if len(shape) == 2 and not 1 <= shape[1] <= MAX_COLUMNS:
        raise bad(f"{name} has {shape[1]:,} columns; 1 to {MAX_COLUMNS:,} are read.")
    if len(shape) > 2 and not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise bad(f"{name} has images of {shape[1]} × {shape[2]}; sides are 1 to {MAX_SIDE}.")
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        hint = ""
        if shape[1] in (1, 3, 4):
            hint = " Channels stand first here: transpose it to (n, h, w, c)."
        raise bad(f"{name} has shape {shape}; the last axis of images is 1, 3 or 4 channels.{hint}")
    if num > MAX_ROWS or math.prod(shape) > MAX_VALUES:
        raise bad(
            f"{name} has shape {shape}; at most {MAX_ROWS:,} rows and {MAX_VALUES:,} values are "
            "read. Take a part of it."
        )


def column_name(index: int, columns: tuple[str, ...]) -> str:
    return f"column “{columns[index][:60]}”" if columns else f"column {index + 1}"


def place(index: tuple[int, ...], columns: tuple[str, ...]) -> str:
    """Place of a value, in words."""
    if len(index) == 2:
        return f"row {index[0] + 1}, {column_name(index[1], columns)}"
    return f"image {index[0] + 1}, pixel row {index[1] + 1}, pixel column {index[2] + 1}"
