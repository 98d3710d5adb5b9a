"""Concepts of rows, whichever way people write them: 0 and 1, yes and no, any two values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.datasets.dialects import is_missing
from backend.datasets.reading import Array
from backend.errors import BadInput

MOST_CONCEPTS = 64
_YES = ("1", "yes", "true", "y", "t", "present", "positive")
_NO = ("0", "no", "false", "n", "f", "absent", "negative")


@dataclass(frozen=True)
class Concepts:
    """Truths about the rows of a file beside their values."""

    values: npt.NDArray[np.float32]
    """(n, num_concepts), 0 or 1; NaN where nothing is written"""
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """what 1 means, of those that are written in other words"""

    def rows(self, index: Any) -> Concepts:
        """Those of some rows."""
        return Concepts(self.values[index], self.names, self.notes)

    def check(self, name: str, num_rows: int) -> None:
        """Raises BadInput for another number of rows, and where one is missing or always alike."""
        if len(self.values) != num_rows:
            reason = f"holds concepts of {len(self.values):,} rows and values of {num_rows:,}."
            raise bad(f"{name} {reason}")
        for at, concept in enumerate(self.names):
            column = self.values[:, at]
            if (gaps := np.isnan(column)).any():
                raise bad(
                    f"row {int(gaps.argmax()) + 1} of concept “{concept[:60]}” is missing. Remove "
                    "the row, fill it in, or set data.missing to drop."
                )
            if column.min() == column.max():
                raise bad(
                    f"concept “{concept[:60]}” is {column[0]:g} in every row; there is nothing to "
                    "learn. Leave it out."
                )


Read = Callable[[], Concepts]


def bad(message: str) -> BadInput:
    return BadInput.at("data.concepts", message)


def of_cells(columns: Sequence[Array], names: Sequence[str]) -> Concepts:
    """Concepts by columns (n,) of words or numbers, each of two values. Raises BadInput.

    1, yes and true are 1; of two other values the later one is, by number or alphabet.
    """
    values, notes = [], []
    for cells, name in zip(columns, names, strict=True):
        column, note = _of_column(cells, name)
        values.append(column)
        notes += [note] if note else []
    return Concepts(np.stack(values, 1), tuple(names), tuple(notes))


def of_array(values: Array, name: str) -> Concepts:
    """Concepts by an array (n, num_concepts), named by their places. Raises BadInput."""
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not 1 <= values.shape[1] <= MOST_CONCEPTS:
        raise bad(
            f"“{name[:40]}” has shape {values.shape}; concepts are (n, k), a column for each of 1 "
            f"to {MOST_CONCEPTS}."
        )
    places = [f"c{at + 1}" for at in range(values.shape[1])]
    return of_cells([values[:, at] for at in range(values.shape[1])], places)


def _of_column(cells: Array, name: str) -> tuple[npt.NDArray[np.float32], str]:
    words = np.array([_word(cell) for cell in cells.tolist()], object)
    there = np.array([not is_missing(word) and word != "" for word in words])
    present, place = np.unique(words[there].astype(str), return_inverse=True)
    ordered = sorted(present, key=_order)
    if len(ordered) > 2:
        listed = ", ".join(f"“{each[:30]}”" for each in ordered[:4])
        raise bad(
            f"column “{name[:60]}” has {len(ordered):,} values ({listed}, …); a concept has two, "
            "such as 0 and 1, or yes and no. Learn that column, or leave it out."
        )
    ones = [each for each in ordered if each.lower() in _YES]
    note = ""
    if not (len(ones) == 1 and all(each.lower() in _NO for each in ordered if each not in ones)):
        is_no = len(ordered) == 1 and ordered[0].lower() in _NO
        ones = [] if is_no or not ordered else ordered[-1:]
        if ones:
            note = f"concept “{name[:60]}” is 1 where the column holds “{ones[0][:40]}”"
    column = np.full(len(words), np.nan, np.float32)
    column[there] = np.isin(present, ones)[place]
    return column, note


def _word(cell: object) -> str:
    """A cell as it would be written: 1.0, 1, True and "1" are alike, None is nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    text = str(cell).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:g}" if np.isfinite(number) else ""


def _order(word: str) -> tuple[bool, float, str]:
    try:
        return False, float(word), word
    except ValueError:
        return True, 0.0, word
