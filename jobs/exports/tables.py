"""Tables: scalars and samples of a run as CSV or Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from backend.errors import NotAvailable
from jobs.exports.places import new_folder
from jobs.records.run_directory import RunDirectory

if TYPE_CHECKING:
    import pyarrow as pa

Say = Callable[[str], None]
COLUMNS = ("step", "gradients", "seconds", "joules", "value")


def write_csv(directory: RunDirectory, to: Path, say: Say) -> list[str]:
    """Write `scalars.csv` and one table for each file of samples; returns the names.

    Raises BadInput at `to`, NotAvailable where the run has recorded nothing.
    """
    from pyarrow import csv

    return _write(directory, to, say, "csv", csv.write_csv)


def write_parquet(directory: RunDirectory, to: Path, say: Say) -> list[str]:
    """Write the same tables as Parquet. Raises as `write_csv`."""
    from pyarrow import parquet

    return _write(directory, to, say, "parquet", parquet.write_table)


def _write(
    directory: RunDirectory,
    to: Path,
    say: Say,
    suffix: str,
    write: Callable[[pa.Table, Path], object],
) -> list[str]:
    names = []
    with new_folder(to) as folder:
        for name, table in _tables(directory):
            say(f"{name}.{suffix}: {table.num_rows:,} rows")
            write(table, folder / f"{name}.{suffix}")
            names.append(f"{name}.{suffix}")
        if not names:
            raise NotAvailable(f"`{directory.id}` has recorded no scalars and no samples yet.")
    return names


def _tables(directory: RunDirectory) -> Iterator[tuple[str, pa.Table]]:
    scalars = scalar_table(directory)
    if scalars.num_rows:
        yield "scalars", scalars
    for file in sorted((directory.path / "samples").glob("*.npz")):
        yield f"samples-{file.stem}", sample_table(file)


def scalar_table(directory: RunDirectory) -> pa.Table:
    """Read every scalar as rows of path, the four costs and value, by path and step."""
    import pyarrow as pa

    series = directory.scalars()
    parts = [
        pa.table(
            {
                "path": np.full(len(curve.step), path, object),
                **{name: getattr(curve, name) for name in COLUMNS},
            }
        )
        for path, curve in series.items()
    ]
    return pa.concat_tables(parts) if parts else pa.table({name: [] for name in COLUMNS})


def sample_table(file: Path) -> pa.Table:
    """Read a file of samples as a row for each: `x_0`, `x_1`, … for the values of an event in
    row-major order, and a column for each number that stands beside it.

    Where there are fewer of one kind than of another, its last rows are empty. Raises NotAvailable
    for a file that cannot be read.
    """
    import pyarrow as pa

    columns: dict[str, npt.NDArray[Any]] = {}
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            for name in arrays.files:
                array = arrays[name]
                if array.ndim == 1:
                    columns[name] = array
                elif array.ndim:
                    flat = array.reshape(len(array), -1)
                    columns |= {f"{name}_{place}": values for place, values in enumerate(flat.T)}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise NotAvailable(f"{file.name} cannot be read: {error}") from error
    num = max(map(len, columns.values()), default=0)
    return pa.table({name: _padded(pa.array(column), num) for name, column in columns.items()})


def _padded(column: pa.Array, num: int) -> pa.ChunkedArray:
    import pyarrow as pa

    empty = pa.nulls(num - len(column), column.type)
    return pa.chunked_array([column, empty])
