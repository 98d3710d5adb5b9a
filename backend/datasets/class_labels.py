"""Classes of rows, whichever way people write them: whole numbers, words, columns, one-hot rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from backend.datasets.reading import MAX_LABELS, MIN_OF_LABEL, Array

Labels = tuple[npt.NDArray[np.int64], tuple[str, ...]]
"""Classes (n,) counted from 0, and their names"""
NAMES = ("labels", "label", "y", "targets", "target", "classes", "class")
"""Arrays beside the values that are classes of the rows, the surest first."""
_SURE = ("labels", "label")
_PAIRS = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "labels"), ("data", "target"))


def beside(key: str, keys: Iterable[str]) -> list[str]:
    """Names of arrays that may be the classes of the rows of `key`: `y_train` of `x_train`."""
    among = list(keys)
    partners = [key.replace(*pair) for pair in _PAIRS if pair[0] in key]
    wanted = [*partners, *NAMES]
    lower = {each.lower(): each for each in reversed(among)}
    chosen = [lower[name.lower()] for name in wanted if name.lower() in lower]
    return [each for each in dict.fromkeys(chosen) if each != key]


def is_one(key: str, keys: Iterable[str]) -> bool:
    """True for an array that is, by its name, the classes of another one."""
    return any(key in beside(other, [key]) for other in keys if other != key)


def is_sure(key: str) -> bool:
    """True for a name that can mean nothing else, so that it must hold classes."""
    return key.lower() in _SURE


def of(values: Array, num_rows: int) -> Labels | str:
    """Classes of `num_rows` rows, or the reason why these values are none, as a predicate.

    Taken are whole numbers, words and truths, (n,) or (n, 1), and one-hot rows (n, classes).
    """
    if values.ndim == 2 and values.shape[0] == num_rows:
        if values.shape[1] == 1:
            values = values[:, 0]
        elif _is_one_hot(values):
            values = values.argmax(1)
    if values.shape != (num_rows,):
        return f"has shape {values.shape}"
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        with contextlib.suppress(ValueError):
            numbers = values.astype(np.float64)
            values = numbers if (numbers == numbers.round()).all() else values
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == values.round()).all():
        values = values.astype(np.int64) if np.abs(values).max(initial=0) < 2**62 else values
    if values.dtype.kind not in "iubU":
        return f"holds {values.dtype}"
    names, labels = np.unique(values, return_inverse=True)
    rarest = int(np.bincount(labels).min())
    if len(names) > MAX_LABELS or rarest < MIN_OF_LABEL:
        return f"has {len(names):,} classes, the rarest of {rarest} rows"
    return labels.astype(np.int64), tuple(str(each).strip() or "(empty)" for each in names)


def _is_one_hot(values: Array) -> bool:
    if values.dtype.kind not in "fiub" or values.shape[1] > MAX_LABELS:
        return False
    ones = values == 1
    return bool(((values == 0) | ones).all() and (ones.sum(1) == 1).all())
