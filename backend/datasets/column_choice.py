"""Choice among the columns of a table: those that are learned, and the one that names the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.datasets.reading import MAX_LABELS, MIN_OF_LABEL, Table
from backend.errors import BadInput

MOST_NAMED = 20
"""Columns that a refusal lists."""


def choose(table: Table, columns: Sequence[str], label: str) -> Table:
    """Select columns of points (n, d) by name, or by place from 1; `label` names the class.

    Without `columns` all but the label are learned. Raises BadInput at `data.columns` or
    `data.label`.
    """
    if not columns and not label:
        return table
    if table.values.ndim != 2:
        field = "data.columns" if columns else "data.label"
        raise BadInput.at(field, "is for tables; these are images. Clear it.")
    places = [_place(table, name, "data.columns") for name in columns]
    of_label = _place(table, label, "data.label") if label else None
    if of_label in places:
        raise BadInput.at("data.label", f"{label} is learned too. Take it out of `columns`.")
    if not places:
        places = [place for place in range(table.values.shape[1]) if place != of_label]
    if len(set(places)) < len(places) or not places:
        raise BadInput.at("data.columns", "must name each column once, and one at least.")
    chosen = replace(
        table,
        values=table.values[:, places],
        columns=tuple(table.columns[place] for place in places) if table.columns else (),
    )
    return chosen if of_label is None else _labelled(chosen, table, of_label, label)


def _place(table: Table, name: str, field: str) -> int:
    if name in table.columns:
        return table.columns.index(name)
    width = table.values.shape[1]
    if name.isascii() and name.isdigit() and 1 <= int(name) <= width:
        return int(name) - 1
    known = ", ".join(table.columns[:MOST_NAMED]) or f"1 to {width}"
    more = ", …" if len(table.columns) > MOST_NAMED else ""
    raise BadInput.at(field, f"there is no column {name[:60]!r} here; there are {known}{more}.")


def _labelled(chosen: Table, table: Table, place: int, name: str) -> Table:
    values, labels, sizes = np.unique(
        table.values[:, place], return_inverse=True, return_counts=True
    )
    if len(values) > MAX_LABELS:
        raise BadInput.at(
            "data.label",
            f"{name[:60]} has {len(values):,} different values; at most {MAX_LABELS:,} name "
            "classes. Learn it as a coordinate.",
        )
    if sizes.min() < MIN_OF_LABEL:
        rare = f"{values[int(sizes.argmin())]:g}"
        raise BadInput.at(
            "data.label",
            f"class {rare} of {name[:60]} has {sizes.min()} row; one is trained on and one held "
            "out. Remove it.",
        )
    names = tuple(f"{value:g}" for value in values)
    return replace(chosen, labels=labels.astype(np.int64), label_names=names)
