"""Tables of numbers: .csv and .parquet, read in pieces by pyarrow."""

from __future__ import annotations

import contextlib
import csv as csv_module
import io
import itertools
from collections.abc import Generator, Iterator
from io import FileIO
from typing import Any, NamedTuple

import numpy as np

from backend.datasets import reading
from backend.datasets.reading import (
    MAX_COLUMNS,
    PIECE,
    Array,
    Piece,
    Source,
    bad,
    check_shape,
    place,
)

MAX_LINE = 2**20
"""Characters of one line of a .csv file."""
MAX_BLANK = 1000
"""Empty lines before the first."""
_BLOCK = 2 * MAX_LINE


class Layout(NamedTuple):
    """First line of a .csv file."""

    delimiter: str
    width: int
    columns: tuple[str, ...]
    """empty where the first line holds numbers"""
    num_before: int
    """lines before the first row of numbers"""


def csv(name: str, file: FileIO) -> Source:
    """Rows of numbers under an optional line of names; blank lines are passed over."""
    layout = _layout(name, file)
    return Source(
        np.dtype(np.float64),
        (-1, layout.width),
        lambda: _csv_pieces(name, file, layout),
        layout.columns,
    )


def _lines(name: str, file: FileIO) -> Generator[str, None, None]:
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        for number in itertools.count(1):
            line = text.readline(MAX_LINE)
            if not line:
                return
            if len(line) == MAX_LINE and line[-1] not in "\r\n":
                raise bad(
                    f"line {number:,} of {name} has more than {MAX_LINE:,} characters; a table has "
                    f"at most {MAX_COLUMNS:,} columns, and a line for every row."
                )
            yield line
    except UnicodeDecodeError as error:
        raise bad(f"{name} is not UTF-8 text.") from error
    finally:
        text.detach()


def _layout(name: str, file: FileIO) -> Layout:
    num_blank, first = 0, ""
    with contextlib.closing(_lines(name, file)) as lines:
        for line in itertools.islice(lines, MAX_BLANK + 1):
            if first := line.strip("\r\n"):
                break
            num_blank += 1
    if not first:
        more = f", or begins with more than {MAX_BLANK:,} empty lines" if num_blank else ""
        raise bad(f"{name} is empty{more}.")
    delimiter = max(",;\t", key=first.count)
    try:
        cells = next(csv_module.reader([first], delimiter=delimiter))
    except csv_module.Error as error:
        raise bad(f"{name} cannot be read as a table: {error}.") from error
    if len(cells) > MAX_COLUMNS:
        raise bad(f"{name} has {len(cells):,} columns; 1 to {MAX_COLUMNS:,} are read.")
    if any(cell.strip() and not _is_number(cell) for cell in cells):
        columns = tuple(cell.strip() or str(i + 1) for i, cell in enumerate(cells))
        return Layout(delimiter, len(cells), columns, num_blank + 1)
    return Layout(delimiter, len(cells), (), num_blank)


def _csv_pieces(name: str, file: FileIO, layout: Layout) -> Iterator[Piece]:
    """Pieces by pyarrow as far as it reads; from there on by Python, which reads some more forms
    of numbers and says in which row and column there is none."""
    import pyarrow
    from pyarrow import csv as arrow

    num = 0
    file.seek(0)
    kinds = {str(index): pyarrow.float64() for index in range(layout.width)}
    try:
        # a copy of the descriptor: pyarrow closes what it is given
        with (
            open(file.fileno(), "rb", closefd=False) as given,
            arrow.open_csv(
                given,
                arrow.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK,
                    column_names=list(kinds),
                    skip_rows=layout.num_before,
                ),
                arrow.ParseOptions(delimiter=layout.delimiter),
                arrow.ConvertOptions(column_types=kinds, null_values=[], strings_can_be_null=False),
            ) as reader,
        ):
            for batch in reader:
                if batch.num_rows:
                    yield Piece(num, np.stack([part.to_numpy() for part in batch.columns], 1))
                    num += batch.num_rows
    except _damage():
        yield from _python_pieces(name, file, layout, num)
        return
    if not num and layout.columns:
        raise bad(f"{name} has a line of names and no rows.")


def _python_pieces(name: str, file: FileIO, layout: Layout, num: int) -> Iterator[Piece]:
    """The rows after the first `num`. Raises BadInput at the first that is none."""
    step = max(1, PIECE // (4 * layout.width))
    try:
        with contextlib.closing(_lines(name, file)) as lines:
            below = itertools.islice(lines, layout.num_before, None)
            rows = filter(None, csv_module.reader(below, delimiter=layout.delimiter))
            for _ in itertools.islice(rows, num):
                pass
            while block := list(itertools.islice(rows, step)):
                yield Piece(num, _parse_block(block, num, layout))
                num += len(block)
    except csv_module.Error as error:
        raise bad(f"{name} cannot be read as a table: {error}.") from error


def _parse_block(block: list[list[str]], num_before: int, layout: Layout) -> Array:
    for row, cells in enumerate(block, num_before + 1):
        if len(cells) != layout.width:
            raise bad(f"row {row} has {len(cells):,} values, the first line has {layout.width:,}.")
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
        f"{place((row, column), layout.columns)} is {what}; every value must be a finite number. "
        "Remove the row or the column, or fill it in."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def parquet(name: str, file: FileIO) -> Source:
    """Columns of numbers. Raises BadInput."""
    import pyarrow
    from pyarrow import parquet as arrow

    try:
        table = arrow.ParquetFile(file, memory_map=False, pre_buffer=False)
        shape = (table.metadata.num_rows, len(table.schema_arrow.names))
        columns = tuple(str(each) for each in table.schema_arrow.names)
        kinds = [field.type for field in table.schema_arrow]
        num_bytes = sum(
            table.metadata.row_group(index).total_byte_size
            for index in range(table.metadata.num_row_groups)
        )
    except _damage() as error:
        raise bad(f"{name} cannot be read: it is damaged or no Parquet file.") from error
    check_shape(name, shape)
    for column, kind in zip(columns, kinds, strict=True):
        if not (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)):
            raise bad(f"column “{column[:60]}” holds {str(kind)[:60]}; numbers are needed.")
    if num_bytes > 2 * reading.MAX_BYTES:
        raise bad(f"{name} unpacks to more than {2 * reading.MAX_BYTES // 2**20} MB.")
    return Source(
        np.dtype(np.float64), shape, lambda: _parquet_pieces(name, table, columns), columns
    )


def _parquet_pieces(name: str, table: Any, columns: tuple[str, ...]) -> Iterator[Piece]:
    num, step = 0, max(1, PIECE // len(columns))
    try:
        for batch in table.iter_batches(batch_size=step, use_threads=False):
            parts = []
            for column, values in zip(columns, batch.columns, strict=True):
                if values.null_count:
                    row = num + int(values.is_null().to_numpy(zero_copy_only=False).argmax()) + 1
                    raise bad(
                        f"row {row}, column “{column[:60]}” is missing; every value must be a "
                        "finite number. Remove the row or fill it in."
                    )
                parts.append(values.to_numpy(zero_copy_only=False).astype(np.float64))
            if batch.num_rows:
                yield Piece(num, np.stack(parts, 1))
                num += batch.num_rows
    except _damage() as error:
        raise bad(f"{name} cannot be read: it is damaged.") from error


def _damage() -> tuple[type[Exception], ...]:
    """Errors that pyarrow raises at a file that is not what it should be."""
    import pyarrow

    return (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        OverflowError,
        MemoryError,
        KeyError,
        NotImplementedError,
    )
