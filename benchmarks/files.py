"""Files as people have them: each is read right, or refused in the words that help.

    python -m benchmarks.files --json

Beside it what pandas and Polars make of the tables and NumPy of the arrays, by one plain call
each, where they are installed: right, refused, or wrong without a word.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from backend.datasets.file import FileConfig, FileData
from backend.datasets.reading import Table
from backend.errors import BadInput
from benchmarks.files_cases import Case, cases
from benchmarks.report import Report

Reader = Callable[[Path], Any]
TEXT = (".csv", ".tsv", ".txt", ".dat")
RIGHT, REFUSED, WRONG = "right", "refused", "wrong without a word"


def make(case: Case, folder: Path) -> Path:
    """Write the file, or the folder, of a case."""
    path = folder / case.name
    if callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content)
    return path


def fault(case: Case, path: Path) -> str:
    """The fault in Basin's reading of a file; "" where all is as it should be."""
    try:
        dataset = FileData(FileConfig(path=str(path), **case.settings))
        table, data = dataset.table(), dataset.load()
    except BadInput as error:
        words = [part for part in case.says.split("|") if part and part in str(error)]
        return "" if case.values is None and words else f"refused: {error}"
    if case.values is None:
        return f"read as {table.values.shape}, columns {table.columns}"
    both = data.restore(np_cat(data.train, data.held_out)).double().numpy()
    return _fault_of(case, table) or _fault_of_units(np.asarray(case.values), both)


def np_cat(*parts: Any) -> Any:
    import torch

    return torch.cat(parts)


def _fault_of(case: Case, table: Table) -> str:
    values = np.asarray(case.values)
    if table.values.shape != values.shape:
        return f"read as {table.values.shape}, not {values.shape}"
    if not np.array_equal(table.values.astype(np.float64), values.astype(np.float64)):
        return "its values are others"
    if case.columns is not None and table.columns != case.columns:
        return f"its columns are {table.columns}, not {case.columns}"
    named = () if table.labels is None else tuple(table.label_names[at] for at in table.labels)
    if named != tuple(case.classes or ()):
        return f"its classes are {named[:6]}, not {tuple(case.classes or ())[:6]}"
    if case.says and not any(case.says in note for note in table.notes):
        return f"its notes are {table.notes}"
    return ""


def _fault_of_units(values: np.ndarray[Any, Any], restored: np.ndarray[Any, Any]) -> str:
    """Held against the values that training data come back as, in any order."""
    rows, back = (each.reshape(len(each), -1) for each in (values.astype(np.float64), restored))
    order, other = np.lexsort(rows.T), np.lexsort(back.round(12).T)
    if rows.shape[1] < 8:
        gap = np.abs(np.sort(rows, 0) - np.sort(back, 0)).max() / rows.std(0).max()
    else:
        gap = np.abs(rows[order].sum(0) - back[other].sum(0)).max() / rows.std() / len(rows)
    return "" if gap < 1e-5 else f"its units are lost: off by {gap:.2g} sd"


# ---------------------------------------------------------------------- other readers


def others() -> dict[str, Reader]:
    """Readers that are installed, each by one plain call: an array, or what it raises."""
    readers: dict[str, Reader] = {"numpy": _numpy}
    if find_spec("pandas"):
        readers["pandas"] = _pandas
    if find_spec("polars"):
        readers["polars"] = _polars
    return readers


def _numpy(path: Path) -> Any:
    if path.suffix in TEXT:
        return np.loadtxt(path, delimiter=None if path.suffix in (".txt", ".dat") else ",")
    loaded = np.load(path)
    return loaded[loaded.files[0]] if hasattr(loaded, "files") else loaded


def _pandas(path: Path) -> Any:
    pandas: Any = import_module("pandas")
    if path.suffix == ".parquet":
        return pandas.read_parquet(path).to_numpy()
    separator = "\t" if path.suffix == ".tsv" else r"\s+" if path.suffix != ".csv" else ","
    return pandas.read_csv(path, sep=separator).to_numpy()


def _polars(path: Path) -> Any:
    polars: Any = import_module("polars")
    if path.suffix == ".parquet":
        return polars.read_parquet(path).to_numpy()
    separator = "\t" if path.suffix == ".tsv" else "," if path.suffix == ".csv" else " "
    return polars.read_csv(path, separator=separator).to_numpy()


def outcome(case: Case, read: Callable[[], Any]) -> str:
    """The outcome of a reader: numbers that are wrong count as such; words, missing values
    and errors tell a person, so they count as refused."""
    try:
        values = np.asarray(read())
        if values.dtype.kind not in "fiub" or not np.isfinite(values.astype(np.float64)).all():
            return REFUSED
    except Exception:  # readers raise what they please
        return REFUSED
    if case.values is None:
        return WRONG
    truth = np.asarray(case.values, np.float64)
    same = values.shape == truth.shape and np.array_equal(values.astype(np.float64), truth)
    return RIGHT if same else WRONG


def measure() -> Report:
    report = Report("files")
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("basin", *others())}
    faults = 0
    every = cases()
    with tempfile.TemporaryDirectory(prefix="basin-files-") as folder:
        for case in every:
            path = make(case, Path(folder))
            problem = fault(case, path)
            faults += bool(problem)
            if problem:
                report.notes.append(f"{case.name}: {problem[:200]}")
            right = RIGHT if case.values is not None else REFUSED
            counts["basin"][WRONG if problem else right] += 1
            for name, read in others().items():
                arrays = path.suffix in (".npy", ".npz")
                if path.is_file() and path.stat().st_size and (name == "numpy" or not arrays):
                    counts[name][outcome(case, partial(read, path))] += 1
    for name, by in counts.items():
        for what in (RIGHT, REFUSED, WRONG):
            report.add("all", name, what, "files", [float(by[what])])
    report.claim_at_most("files neither read right nor refused in the words that help", faults, 0)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    np.seterr(all="ignore")
    measure().show(given.json)


if __name__ == "__main__":
    main()
