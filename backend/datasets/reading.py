"""Reading what people bring: arrays and tables, bounded, never unpickled.

Everything that can be wrong is a BadInput at `data.path` (or `data.key`) that says where and what
to do. Rows and columns count from 1.
"""

from __future__ import annotations

import csv
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
LABELS = ("labels", "y")
"""Arrays of an .npz file that are classes of the rows."""
SUFFIXES = (".npy", ".npz", ".csv", ".parquet")


@dataclass(frozen=True)
class Table:
    """What a file held: values (n, d) or (n, h, w[, c]) as they were, finite and within bounds."""

    values: Array
    columns: tuple[str, ...] = ()
    labels: npt.NDArray[np.int64] | None = None
    """(n,) 0, 1, ... in places of `label_names`"""
    label_names: tuple[str, ...] = ()


def bad(message: str) -> BadInput:
    return BadInput.at("data.path", message)


def read_file(path: Path, key: str) -> Table:
    """The table in one file. Raises BadInput."""
    size = path.stat().st_size
    if size == 0:
        raise bad(f"{path.name} is empty.")
    if size > MAX_BYTES:
        limit = MAX_BYTES // 2**20
        raise bad(f"{path.name} has {size / 2**20:.0f} MB; at most {limit} MB are read.")
    suffix = path.suffix.lower()
    if key and suffix != ".npz":
        raise BadInput.at("data.key", f"only .npz files have keys; {path.name} has none. Clear it.")
    if suffix == ".npy":
        table = Table(_read_npy(path))
    elif suffix == ".npz":
        table = _read_npz(path, key)
    elif suffix == ".csv":
        table = _read_csv(path)
    elif suffix == ".parquet":
        table = _read_parquet(path)
    else:
        known = ", ".join(SUFFIXES)
        raise bad(f"{path.name} is none of {known} and no folder of images.")
    check_shape(path.name, table.values.shape)
    check_values(table)
    return table


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
    if num > MAX_ROWS or int(np.prod(shape, dtype=np.int64)) > MAX_VALUES:
        raise bad(
            f"{name} has shape {shape}; at most {MAX_ROWS:,} rows and {MAX_VALUES:,} values are "
            "read. Take a part of it."
        )
    if len(shape) == 2 and not 1 <= shape[1] <= MAX_COLUMNS:
        raise bad(f"{name} has {shape[1]} columns; 1 to {MAX_COLUMNS} are read.")
    if len(shape) > 2 and not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise bad(f"{name} has images of {shape[1]} × {shape[2]}; sides are 1 to {MAX_SIDE}.")
    if len(shape) == 4 and shape[3] not in (1, 3, 4):
        raise bad(f"{name} has shape {shape}; the last axis of images is 1, 3 or 4 channels.")


def check_values(table: Table) -> None:
    """Raises BadInput at the first value that is not a finite float32, or a constant column."""
    values = table.values
    if values.dtype.kind not in "fiub":
        raise bad(f"holds {values.dtype} values; numbers are needed.")
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32, copy=False))
    if not finite.all():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), finite.shape))
        value = values[index]
        word = "NaN" if np.isnan(value) else f"{value:g}"
        if np.isfinite(value):
            word += ", too large for a 32-bit number"
        raise bad(
            f"{_place(index, table.columns)} is {word}; every value must be a finite number. "
            "Remove the row or fill it in."
        )
    if values.ndim == 2:
        constant = np.flatnonzero(values.min(0) == values.max(0))
        if len(constant):
            name = column_name(int(constant[0]), table.columns)
            value = float(values[0, constant[0]])
            raise bad(f"{name} is constant ({value:g}); it has no density. Remove the column.")
    elif values.min() == values.max():
        raise bad(f"every pixel is {float(values.flat[0]):g}; there is nothing to learn.")


def column_name(index: int, columns: tuple[str, ...]) -> str:
    return f"column “{columns[index]}”" if columns else f"column {index + 1}"


def _place(index: tuple[int, ...], columns: tuple[str, ...]) -> str:
    if len(index) == 2:
        return f"row {index[0] + 1}, {column_name(index[1], columns)}"
    return f"image {index[0] + 1}, pixel row {index[1] + 1}, pixel column {index[2] + 1}"


def _read_npy(path: Path) -> Array:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise bad(f"{path.name} {_npy_trouble(error)}") from error
    if isinstance(values, np.lib.npyio.NpzFile):
        values.close()
        raise bad(f"{path.name} is an .npz archive by its content. Rename it.")
    check_shape(path.name, values.shape)
    return np.array(values)


def _npy_trouble(error: Exception) -> str:
    text = str(error).lower()
    if "pickle" in text or "object" in text:
        return (
            "holds pickled Python objects, which are never opened: they could run code. Rows of "
            "different lengths are saved so too. Save one array of numbers."
        )
    return "cannot be read: it is damaged or no NumPy file."


def _read_npz(path: Path, key: str) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = archive.files
            if not keys:
                raise bad(f"{path.name} holds no array.")
            names = ", ".join(keys[:10])
            likely = [name for name in keys if name not in LABELS] or keys
            if not key and len(likely) > 1:
                raise BadInput.at("data.key", f"{path.name} holds {names}; say which one to read.")
            if key and key not in keys:
                raise BadInput.at(
                    "data.key", f"{path.name} holds no array “{key}”; it holds {names}."
                )
            chosen = key or likely[0]
            values = _member(archive, path, chosen)
            for name in LABELS:
                if name in keys and name != chosen:
                    found = _labels(path, name, _member(archive, path, name), len(values))
                    if found is not None:
                        return Table(values, labels=found[0], label_names=found[1])
            return Table(values)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        raise bad(f"{path.name} {_npy_trouble(error)}") from error


def _member(archive: Any, path: Path, name: str) -> Array:
    """One array of an .npz file that does not unpack to more than the limit."""
    member = name if name in archive.zip.namelist() else f"{name}.npy"
    if archive.zip.getinfo(member).file_size > MAX_BYTES:
        limit = MAX_BYTES // 2**20
        raise bad(f"{path.name}: “{name}” unpacks to more than {limit} MB.")
    return np.asarray(archive[name])


def _labels(
    path: Path, name: str, given: Array, num_rows: int
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]] | None:
    """Classes (n,) counted from 0 and their names, of whole numbers or words.

    None for a `y` that can be no classes; BadInput for `labels` that are none.
    """
    if given.shape != (num_rows,) or given.dtype.kind not in "iubU":
        said = f"has shape {given.shape} and holds {given.dtype}"
    else:
        values, labels = np.unique(given, return_inverse=True)
        rarest = int(np.bincount(labels).min())
        if len(values) <= MAX_LABELS and rarest >= MIN_OF_LABEL:
            return labels.astype(np.int64), tuple(str(value) for value in values)
        said = f"has {len(values):,} classes, the rarest of {rarest} rows"
    if name != LABELS[0]:
        return None
    raise bad(
        f"{path.name}: “{name}” {said}; it must be one whole number or word a row ({num_rows},), "
        f"of at most {MAX_LABELS:,} classes with at least {MIN_OF_LABEL} rows each."
    )


def _read_csv(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(itertools.chain([first], file), delimiter=delimiter)
            return _parse_rows(path.name, (row for row in reader if row))
    except UnicodeDecodeError as error:
        raise bad(f"{path.name} is not UTF-8 text.") from error
    except csv.Error as error:
        raise bad(f"{path.name} cannot be read as a table: {error}.") from error


def _parse_rows(name: str, rows: Iterator[list[str]]) -> Table:
    """Rows of numbers under an optional line of names; blank lines are passed over."""
    first = next(rows, None)
    if first is None:
        raise bad(f"{name} is empty.")
    columns: tuple[str, ...] = ()
    if any(cell.strip() and not _is_number(cell) for cell in first):
        columns = tuple(cell.strip() or str(i + 1) for i, cell in enumerate(first))
    else:
        rows = itertools.chain([first], rows)
    width, parts, num = len(first), [], 0
    while block := list(itertools.islice(rows, 10_000)):
        parts.append(_parse_block(block, num, width, columns))
        num += len(block)
        if num > MAX_ROWS or num * width > MAX_VALUES:
            check_shape(name, (num, width))
    if not parts:
        raise bad(f"{name} has a line of names and no rows.")
    return Table(np.concatenate(parts), columns)


def _parse_block(
    block: list[list[str]], num_before: int, width: int, columns: tuple[str, ...]
) -> Array:
    for row, cells in enumerate(block, num_before + 1):
        if len(cells) != width:
            raise bad(f"row {row} has {len(cells)} values, the first line has {width}.")
    try:
        return np.array([[float(cell) for cell in cells] for cells in block])
    except ValueError:
        row, column, cell = next(
            (num_before + i, j, cell)
            for i, cells in enumerate(block)
            for j, cell in enumerate(cells)
            if not _is_number(cell)
        )
    what = f"“{cell[:40]}”, not a number" if cell.strip() else "empty"
    raise bad(
        f"{_place((row, column), columns)} is {what}; every value must be a finite number. "
        "Remove the row or the column, or fill it in."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        shape = (file.metadata.num_rows, len(file.schema_arrow.names))
        check_shape(path.name, shape)
        columns = tuple(file.schema_arrow.names)
        for field in file.schema_arrow:
            numeric = pyarrow.types.is_floating(field.type) or pyarrow.types.is_integer(field.type)
            if not numeric:
                raise bad(f"column “{field.name}” holds {field.type}; numbers are needed.")
        table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise bad(f"{path.name} cannot be read: it is damaged or no Parquet file.") from error
    parts = []
    for name, column in zip(columns, table.columns, strict=True):
        if column.null_count:
            row = column.is_null().to_numpy().argmax() + 1
            raise bad(
                f"row {row}, column “{name}” is missing; every value must be a finite number. "
                "Remove the row or fill it in."
            )
        parts.append(column.to_numpy().astype(np.float64))
    return Table(np.stack(parts, 1), columns)
