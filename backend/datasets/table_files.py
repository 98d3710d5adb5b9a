"""Tables of numbers: text in any dialect and .parquet, read in pieces by pyarrow."""

from __future__ import annotations

import contextlib
import csv as csv_module
import itertools
import json
import re
from collections.abc import Iterator
from io import FileIO
from typing import Any

import numpy as np

from backend.datasets import class_labels, concept_columns, reading
from backend.datasets.concept_columns import Concepts
from backend.datasets.dialects import BLANKS, MISSING, Layout, is_missing, layout
from backend.datasets.reading import PIECE, Array, Choice, Piece, Source, bad, check_shape, place
from backend.datasets.table_columns import Taken, choose, classes_of
from backend.datasets.text_lines import MAX_LINE, is_comment, lines_of

_BLOCK = 2 * MAX_LINE
_LEVEL = re.compile(r"__index_level_\d+__")


def csv(name: str, file: FileIO, choice: Choice) -> Source:
    """Rows of numbers under an optional line of names; blank lines are passed over."""
    table = layout(name, file)
    columns = [at for at in range(len(table.names)) if at != table.index]
    titles = {at: table.names[at] for at in columns}
    taken = choose(name, titles, table.words, table.whole, choice)
    text = _Text(name, file, table, taken, choice.missing == "drop")
    labels = text.labels if taken.label is not None else None
    return Source(
        np.dtype(np.float64),
        (-1, len(taken.places)),
        text.pieces,
        text.columns,
        labels,
        (*table.notes, *taken.notes),
        text.concepts if taken.concepts else None,
    )


class _Text:
    """A text table whose layout is known."""

    def __init__(self, name: str, file: FileIO, table: Layout, taken: Taken, gaps: bool) -> None:
        self.name, self.file, self.table, self.taken, self.gaps = name, file, table, taken, gaps
        self.columns = (
            tuple(table.names[at] for at in taken.places)
            if table.has_names
            else tuple(f"column {at + 1}" for at in taken.places)
            if len(taken.places) < len(table.names)
            else ()
        )

    def pieces(self) -> Iterator[Piece]:
        """The rows by pyarrow as far as it reads; from there on by Python, which reads more forms
        of numbers and says in which row and column there is none."""
        num = 0
        try:
            for part in self._by_arrow(self.taken.places, words=False):
                yield Piece(num, part)
                num += len(part)
        except _damage():
            yield from self._by_python(num)
            return
        if not num and self.table.has_names:
            raise bad(f"{self.name} has a line of names and no rows.")

    def labels(self, num_rows: int) -> class_labels.Labels | str:
        """Classes of the rows, by the column that was chosen. Raises BadInput."""
        assert self.taken.label is not None
        [words] = self._words((self.taken.label,))
        return classes_of(self.name, self.table.names, words, num_rows, self.taken)

    def concepts(self) -> Concepts:
        """Concepts of the rows, by the columns that were chosen. Raises BadInput."""
        names = [self.table.names[at] for at in self.taken.concepts]
        return concept_columns.of_cells(self._words(self.taken.concepts), names)

    def _words(self, places: tuple[int, ...]) -> list[Array]:
        """The cells of some columns, (n,) each, as they are written."""
        try:
            cells = np.concatenate(list(self._by_arrow(places, words=True)))
        except _damage():
            rows = itertools.chain.from_iterable(self._rows())
            chosen = [[row[at] for at in places] for row in rows if len(row) > max(places)]
            cells = np.array(chosen, object)
        return [np.array([str(cell).strip() for cell in column]) for column in cells.T]

    def _by_arrow(self, places: tuple[int, ...], words: bool) -> Iterator[Array]:
        """Some columns (n, len(places)) in pieces. Raises what pyarrow does."""
        import pyarrow
        from pyarrow import csv as arrow

        table = self.table
        names = [str(at) for at in range(table.width)]
        chosen = [names[at] for at in places]
        kind = pyarrow.string() if words else pyarrow.float64()
        gaps = sorted(MISSING | {each.upper() for each in MISSING} | {"", "NaN", "nan"})
        self.file.seek(0)
        # a copy of the descriptor: pyarrow closes what it is given
        with (
            open(self.file.fileno(), "rb", closefd=False) as given,
            arrow.open_csv(
                given,
                arrow.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK,
                    column_names=names,
                    skip_rows=table.num_before,
                    encoding={"utf-8-sig": "utf8"}.get(table.encoding, table.encoding),
                ),
                arrow.ParseOptions(delimiter=table.separator),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(chosen, kind),
                    include_columns=chosen,
                    null_values=gaps if self.gaps and not words else [],
                    strings_can_be_null=False,
                    decimal_point=table.decimal,
                ),
            ) as reader,
        ):
            for batch in reader:
                if batch.num_rows:
                    columns = [part.to_numpy(zero_copy_only=False) for part in batch.columns]
                    yield np.stack(columns, 1)

    def _rows(self, num: int = 0) -> Iterator[list[list[str]]]:
        """The rows after the first `num`, in blocks. Raises BadInput."""
        table = self.table
        step = max(1, PIECE // (4 * table.width))
        try:
            with contextlib.closing(lines_of(self.name, self.file, table.encoding)) as lines:
                below = itertools.islice(lines, table.num_before, None)
                text = (line for line in below if not is_comment(line))
                if table.separator == BLANKS:
                    rows: Iterator[list[str]] = (table.split(line) for line in text)
                else:
                    rows = csv_module.reader(text, delimiter=table.separator)
                rows = filter(None, rows)
                for _ in itertools.islice(rows, num):
                    pass
                while block := list(itertools.islice(rows, step)):
                    yield block
        except csv_module.Error as error:
            raise bad(f"{self.name} cannot be read as a table: {error}.") from error
        except UnicodeError as error:
            raise bad(f"{self.name} is no text in UTF-8 or UTF-16.") from error

    def _by_python(self, num: int) -> Iterator[Piece]:
        for block in self._rows(num):
            yield Piece(num, self._parsed(block, num))
            num += len(block)

    def _parsed(self, block: list[list[str]], num_before: int) -> Array:
        table, places = self.table, self.taken.places
        widths = (len(table.names), table.width)
        for row, cells in enumerate(block, num_before + 1):
            if len(cells) not in widths or (len(cells) > widths[0] and cells[-1].strip()):
                raise self._crooked(row, cells)
        try:
            return np.array([[self._number(cells[at]) for at in places] for cells in block])
        except ValueError:
            row, column, cell = next(
                (num_before + i, j, cells[at])
                for i, cells in enumerate(block)
                for j, at in enumerate(places)
                if not self._reads(cells[at])
            )
        raise bad(self._no_number(cell, place((row, column), self.columns)))

    def _crooked(self, row: int, cells: list[str]) -> Exception:
        width = len(self.table.names)
        hint = ""
        if self.table.separator == "," and len(cells) == 2 * width and self.table.decimal == ".":
            hint = " Decimal commas need another separator, such as a semicolon."
        elif len(cells) == 1 and row > 1:
            hint = f" It is “{cells[0][:40]}”: remove it if it is a remark."
        return bad(f"row {row} has {len(cells):,} values, the first line has {width:,}.{hint}")

    def _number(self, cell: str) -> float:
        if self.gaps and is_missing(cell):
            return float("nan")
        return self.table.number(cell)

    def _reads(self, cell: str) -> bool:
        try:
            self._number(cell)
        except ValueError:
            return False
        return True

    def _no_number(self, cell: str, where: str) -> str:
        must = "every value must be a finite number."
        drop = "or set data.missing to drop."
        if not cell.strip():
            return f"{where} is empty; {must} Remove the row or the column, fill it in, {drop}"
        if is_missing(cell):
            word = f"missing (“{cell.strip()}”)"
            return f"{where} is {word}; {must} Remove the row, fill it in, {drop}"
        text = f"{where} is “{cell.strip()[:40]}”, not a number; {must}"
        if "," in cell and self.table.decimal == ".":
            return f"{text} Write decimal points, or separate values by semicolons."
        return f"{text} Remove the row or the column, or fill it in."


# ---------------------------------------------------------------------- .parquet


def parquet(name: str, file: FileIO, choice: Choice) -> Source:
    """Columns of numbers. Raises BadInput."""
    from pyarrow import parquet as arrow

    try:
        table = arrow.ParquetFile(file, memory_map=False, pre_buffer=False)
        names = [str(each) for each in table.schema_arrow.names]
        kinds = [field.type for field in table.schema_arrow]
        index = _index_columns(table.schema_arrow.metadata, names)
        num_bytes = sum(
            table.metadata.row_group(at).total_byte_size
            for at in range(table.metadata.num_row_groups)
        )
        num_rows = table.metadata.num_rows
    except _damage() as error:
        raise bad(f"{name} cannot be read: it is damaged or no Parquet file.") from error
    check_shape(name, (num_rows, len(names) - len(index)), choice.least_rows)
    words = [at for at, kind in enumerate(kinds) if _is_words(kind)]
    titles = {at: title for at, title in enumerate(names) if at not in index}
    whole = [at for at in titles if _is_whole(kinds[at])]
    taken = choose(name, titles, words, whole, choice)
    for at in taken.places:
        if not _is_number(kinds[at]):
            kind = str(kinds[at])[:60]
            raise bad(
                f"column “{names[at][:60]}” holds {kind}; numbers are needed. Turn it into "
                "numbers, or name the other columns in data.columns."
            )
    if num_bytes > 2 * reading.MAX_BYTES:
        raise bad(f"{name} unpacks to more than {2 * reading.MAX_BYTES // 2**20} MB.")
    columns = tuple(names[at] for at in taken.places)
    notes = [f"“{names[at][:60]}” is pandas' index and is left out" for at in sorted(index)]

    def cells(at: int) -> list[Any]:
        read: list[Any] = table.read(columns=[names[at]], use_threads=False).column(0).to_pylist()
        return read

    def labels(num: int) -> class_labels.Labels | str:
        assert taken.label is not None
        words = np.array([str(cell) for cell in cells(taken.label)])
        return classes_of(name, names, words, num, taken)

    def concepts() -> Concepts:
        columns = [np.array(cells(at), object) for at in taken.concepts]
        return concept_columns.of_cells(columns, [names[at] for at in taken.concepts])

    return Source(
        np.dtype(np.float64),
        (num_rows, len(columns)),
        lambda: _parquet_pieces(name, table, columns, choice.missing == "drop"),
        columns,
        None if taken.label is None else labels,
        (*notes, *taken.notes),
        concepts if taken.concepts else None,
    )


def _index_columns(metadata: dict[bytes, bytes] | None, names: list[str]) -> set[int]:
    """Places of the columns that pandas wrote as its index."""
    try:
        index = json.loads((metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        index = []
    wanted = {each for each in index if isinstance(each, str)}
    places = {
        at for at, name in enumerate(names) if name in wanted or _LEVEL.fullmatch(name) is not None
    }
    return places if len(places) < len(names) else set()


def _is_words(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind))


def _is_whole(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_boolean(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in tests)


def _parquet_pieces(name: str, table: Any, columns: tuple[str, ...], gaps: bool) -> Iterator[Piece]:
    num, step = 0, max(1, PIECE // len(columns))
    try:
        for batch in table.iter_batches(batch_size=step, columns=list(columns), use_threads=False):
            parts = []
            for column in columns:
                values = batch.column(column)
                if values.null_count and not gaps:
                    row = num + int(values.is_null().to_numpy(zero_copy_only=False).argmax()) + 1
                    raise bad(
                        f"row {row}, column “{column[:60]}” is missing; every value must be a "
                        "finite number. Remove the row, fill it in, or set data.missing to drop."
                    )
                parts.append(_numbers(values))
            if batch.num_rows:
                yield Piece(num, np.stack(parts, 1))
                num += batch.num_rows
    except _damage() as error:
        raise bad(f"{name} cannot be read: it is damaged.") from error


def _numbers(values: Any) -> Array:
    import pyarrow
    from pyarrow import types

    if types.is_decimal(values.type) or types.is_boolean(values.type):
        values = values.cast(pyarrow.int8()) if types.is_boolean(values.type) else values
        values = values.cast(pyarrow.float64())
    numbers: Array = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


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
        LookupError,
    )
