"""Summaries of a table's columns: kind, range, what is missing, and a histogram."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.datasets import dialects, reading, table_files
from backend.errors import BadInput

MOST_ROWS = 200_000
"""Rows from the beginning that a summary is made of."""
MOST_COLUMNS = 200
NUM_BINS = 20
MOST_VALUES = 12
"""Values of a column of text that are named and counted."""


@dataclass(frozen=True)
class ColumnSummary:
    """Content of one column, as far as it was read."""

    name: str
    kind: str
    """number, whole number, yes or no, text, date, or empty"""
    num_rows: int
    missing: int
    low: float | str | None = None
    high: float | str | None = None
    """smallest and largest value; of dates in ISO 8601"""
    distinct: int = 0
    values: tuple[str, ...] = ()
    """most common values of text, the most common first"""
    counts: tuple[int, ...] = ()
    """rows in equal bins from `low` to `high`; of text, rows of each of `values`"""


def summaries(path: Path) -> list[ColumnSummary]:
    """Summarise the first columns of a text table or .parquet file; [] for what is none or cannot
    be read: reading it says why."""
    suffix = path.suffix.lower()
    if suffix not in (*reading.TEXT_SUFFIXES, ".parquet") or not path.is_file():
        return []
    with contextlib.suppress(BadInput, *table_files._damage()):
        with reading.opened(path) as file:
            names, batches = (_parquet if suffix == ".parquet" else _csv)(path.name, file)
            table = _table(batches)
        if table is not None:
            return [
                _summary(name, column) for name, column in zip(names, table.columns, strict=True)
            ][:MOST_COLUMNS]
    return []


def _csv(name: str, file: Any) -> tuple[list[str], Iterator[Any]]:
    from pyarrow import csv as arrow

    layout = dialects.layout(name, file)
    places = [str(place) for place in range(layout.width)]
    file.seek(0)
    given = open(file.fileno(), "rb", closefd=False)  # noqa: SIM115 - pyarrow closes it
    reader = arrow.open_csv(
        given,
        arrow.ReadOptions(
            use_threads=False,
            block_size=2**22,
            column_names=places,
            skip_rows=layout.num_before,
            encoding={"utf-8-sig": "utf8"}.get(layout.encoding, layout.encoding),
        ),
        arrow.ParseOptions(delimiter=layout.separator),
        arrow.ConvertOptions(
            include_columns=places[: len(layout.names)],
            strings_can_be_null=True,
            decimal_point=layout.decimal,
        ),
    )
    names = list(layout.names)
    return names, iter(reader)


def _parquet(name: str, file: Any) -> tuple[list[str], Iterator[Any]]:
    from pyarrow import parquet as arrow

    table = arrow.ParquetFile(file, memory_map=False, pre_buffer=False)
    return list(table.schema_arrow.names), table.iter_batches(batch_size=50_000, use_threads=False)


def _table(batches: Iterator[Any]) -> Any:
    """Gather the first rows; a batch that cannot be read ends them."""
    import pyarrow

    gathered: list[Any] = []
    num = 0
    with contextlib.suppress(*table_files._damage()):
        for batch in batches:
            gathered.append(batch)
            num += batch.num_rows
            if num >= MOST_ROWS:
                break
    return pyarrow.Table.from_batches(gathered) if num else None


def _summary(name: str, column: Any) -> ColumnSummary:
    import pyarrow
    from pyarrow import compute

    kind, num = column.type, len(column)
    if pyarrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pyarrow.types.is_null(kind):
        return ColumnSummary(name, "empty", num, num)
    if pyarrow.types.is_temporal(kind):
        ends = compute.min_max(column).as_py()
        counts = _histogram(_ticks(column.drop_null()))
        low, high = (None if end is None else str(end) for end in (ends["min"], ends["max"]))
        return ColumnSummary(name, "date", num, column.null_count, low, high, counts=counts)
    is_whole = pyarrow.types.is_integer(kind)
    if is_whole or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        values = column.drop_null().cast(pyarrow.float64(), safe=False).to_numpy()
        values = values[np.isfinite(values)]
        has_values = len(values) > 0
        is_whole = is_whole or (has_values and bool((values == np.rint(values)).all()))
        return ColumnSummary(
            name,
            "whole number" if is_whole else "number",
            num,
            num - len(values),
            float(values.min()) if has_values else None,
            float(values.max()) if has_values else None,
            distinct=len(np.unique(values)),
            counts=_histogram(values),
        )
    word = "yes or no" if pyarrow.types.is_boolean(kind) else "text"
    pairs = compute.value_counts(column.drop_null()).to_pylist()
    pairs.sort(key=lambda pair: -pair["counts"])
    common = pairs[:MOST_VALUES]
    return ColumnSummary(
        name,
        word,
        num,
        column.null_count,
        distinct=len(pairs),
        values=tuple(str(pair["values"])[:60] for pair in common),
        counts=tuple(pair["counts"] for pair in common),
    )


def _ticks(times: Any) -> np.ndarray:
    """Convert times to whole numbers of their own unit."""
    import pyarrow

    width = pyarrow.int32() if times.type.bit_width == 32 else pyarrow.int64()
    ticks: np.ndarray = times.cast(width).to_numpy()
    return ticks


def _histogram(values: np.ndarray) -> tuple[int, ...]:
    if not len(values):
        return ()
    counts, _ = np.histogram(values.astype(np.float64), bins=NUM_BINS)
    return tuple(int(count) for count in counts)
