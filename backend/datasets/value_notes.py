"""Sentences on a table whose values can be learned, though not all of it is what it seems."""

from __future__ import annotations

import numpy as np

from backend.datasets.reading import Array, column_name

_LOOKED_AT = 20_000
"""Rows that are looked at."""
_MOST_COLUMNS = 256
_FEW = 200
"""Rows below which nothing is said of edges."""
_EDGE = 0.02
"""Outermost part of a range, as a share of it."""


def notes_of(values: Array, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Sentences, without their full stop, on rows and columns that repeat, columns that depend on
    each other, and sharp edges; none for images and very wide tables."""
    if values.ndim != 2 or values.shape[1] > _MOST_COLUMNS:
        return ()
    some = np.ascontiguousarray(values[:: max(1, len(values) // _LOOKED_AT)], np.float64)
    return (
        *_row_numbers(values, columns),
        *_copies(some),
        *_dependence(some, columns),
        *_edges(some, columns),
    )


def _row_numbers(values: Array, columns: tuple[str, ...]) -> list[str]:
    if values.shape[1] < 2:
        return []
    first = values[:, 0]
    counts = np.arange(len(first))
    if (first == counts).all() or (first == counts + 1).all():
        name = column_name(0, columns)
        return [f"{name} counts the rows; leave it out unless it is a quantity"]
    return []


def _copies(values: Array) -> list[str]:
    rows = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
    share = 1 - len(np.unique(rows)) / len(rows)
    if share < 0.01:
        return []
    return [f"{share:.0%} of the rows are copies of others, so that rows held out are trained on"]


def _dependence(values: Array, columns: tuple[str, ...]) -> list[str]:
    """A sentence on columns that are equal, or sums of each other."""
    _, first, places = np.unique(values, axis=1, return_index=True, return_inverse=True)
    for column, place in enumerate(places.ravel()):
        if first[place] != column:
            pair = f"{column_name(int(first[place]), columns)} and {column_name(column, columns)}"
            return [f"{pair} hold the same values, so that rows have no density; leave one out"]
    if len(values) <= values.shape[1]:
        return []
    centred = values - values.mean(0)
    centred /= np.maximum(np.abs(centred).max(0), np.finfo(np.float64).tiny)
    rank = int(np.linalg.matrix_rank(centred, tol=1e-9 * len(values) ** 0.5))
    if rank < values.shape[1]:
        return [
            f"the {values.shape[1]} columns are linear in {rank} of them, such as parts of a sum, "
            "so that rows have no density; leave columns out"
        ]
    return []


def _edges(values: Array, columns: tuple[str, ...]) -> list[str]:
    """A sentence on columns that end sharply, such as positive ones and shares."""
    if len(values) < _FEW:
        return []
    low, high = values.min(0), values.max(0)
    named = []
    for column in range(values.shape[1]):
        x = (values[:, column] - low[column]) / max(high[column] - low[column], 1e-300)
        if len(np.unique(x[:_FEW])) < _FEW // 4:  # of few values: no line to have an edge on
            continue
        shares = (x < _EDGE).mean(), (x > 1 - _EDGE).mean()
        ends = [
            f"{float(end):.4g}"
            for end, share in zip((low[column], high[column]), shares, strict=True)
            if share > _EDGE / 2
        ]
        if ends:
            named.append(f"{column_name(column, columns)} at {' and '.join(ends)}")
    if not named:
        return []
    more = f" and {len(named) - 5} more columns" if len(named) > 5 else ""
    return [
        f"values end sharply in {', '.join(named[:5])}{more}; smooth energies leave some "
        "probability beyond such an edge"
    ]
