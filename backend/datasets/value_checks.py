"""Looking values over: finite, of some range, and no numbers that stand for none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from backend.datasets import reading
from backend.datasets.reading import (
    PIECE,
    Array,
    Piece,
    Source,
    Table,
    bad,
    check_shape,
    column_name,
    filled,
    place,
)
from backend.datasets.value_notes import notes_of

_PLACEHOLDERS = (
    *(sign * value for value in (9, 99, 999, 9999, 99999, 999999) for sign in (-1, 1)),
    *(sign * value for value in (99.9, 999.9, 999.99, 9999.9) for sign in (-1, 1)),
    *(sign * value for value in (1e20, 1e30, 1e34, 1e35, 1e36, 1e37) for sign in (-1, 1)),
    -8888,
    -7777,
    -32768,
    32767,
    -(2**31),
    2**31 - 1,
    9.969209968386869e36,
    -3.4028234663852886e38,
    3.4028234663852886e38,
)
"""Numbers that programs write where there is no value."""
_MOST_NAMED = 100


def check_pieces(name: str, source: Source) -> tuple[int, ...]:
    """The whole shape. Raises BadInput at the first value that is not a finite float32, for too
    many or too few rows, and for columns, or images, of one value alone."""
    if source.dtype.kind not in "fiub":
        raise bad(f"{name} holds {source.dtype} values; numbers are needed.")
    ranges: list[tuple[Array, Array]] = []
    low = high = None
    num, rest = 0, source.shape[1:]
    for piece in source.pieces():
        _check_finite(piece, source.columns)
        if piece.axis == 0:
            num += len(piece.values)
            _check_number(name, (num, *rest))
        axes = 0 if len(rest) == 1 else None
        least, most = piece.values.min(axes), piece.values.max(axes)
        if len(rest) == 1 and piece.axis == 1:
            ranges.append((least, most))
        else:
            low = least if low is None else np.minimum(low, least)
            high = most if high is None else np.maximum(high, most)
    if ranges:
        low, high = (np.concatenate(parts) for parts in zip(*ranges, strict=True))
    shape = (num, *rest) if source.shape[0] < 0 else source.shape
    check_shape(name, shape)
    if num not in (0, shape[0]):
        raise bad(f"{name} is damaged: it says it has {shape[0]:,} rows and has {num:,}.")
    _check_ranges(np.asarray(low), np.asarray(high), source.columns)
    return shape


def _check_number(name: str, shape: tuple[int, ...]) -> None:
    if shape[0] > reading.MAX_ROWS or math.prod(shape) > reading.MAX_VALUES:
        check_shape(name, shape)


def check_values(name: str, values: Array, columns: tuple[str, ...] = ()) -> None:
    """`check_pieces` of an array that is in memory."""
    step = max(1, PIECE // max(1, math.prod(values.shape[1:])))
    pieces = [Piece(at, values[at : at + step]) for at in range(0, len(values), step)]
    check_pieces(name, Source(values.dtype, values.shape, lambda: iter(pieces), columns))


def _check_finite(piece: Piece, columns: Iterable[str]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(piece.values.astype(np.float32, copy=False))
    if finite.all():
        return
    index = [int(i) for i in np.unravel_index(int(np.argmin(finite)), finite.shape)]
    value = piece.values[tuple(index)]
    index[piece.axis] += piece.start
    word = "NaN" if np.isnan(value) else f"{value:g}"
    if np.isfinite(value):
        word += ", too large for a 32-bit number"
    raise bad(
        f"{place(tuple(index), tuple(columns))} is {word}; every value must be a finite number. "
        "Remove the row or fill it in."
    )


def _check_ranges(low: Array, high: Array, columns: tuple[str, ...]) -> None:
    if not low.ndim and low == high:
        raise bad(f"every pixel is {float(low):g}; there is nothing to learn.")
    constant = np.flatnonzero(low == high) if low.ndim else np.empty(0, int)
    if not len(constant):
        return
    if len(constant) == 1:
        at = int(constant[0])
        value = float(low[at])
        name = column_name(at, columns)
        raise bad(f"{name} is constant ({value:g}); it has no density. Remove the column.")
    named = [f"{column_name(int(at), columns)} ({float(low[at]):g})" for at in constant]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    raise bad(
        f"{len(constant)} of {len(low)} columns are constant and have no density: "
        f"{', '.join(named[:_MOST_NAMED])}{more}. Remove them all."
    )


# ---------------------------------------------------------------------- numbers that stand for none


def placeholders(values: Array) -> list[tuple[int, float, int]]:
    """(column, number, times) of numbers that stand for none, by the look of (n, d): one such as
    -999 far from a range that holds all others."""
    if values.ndim != 2 or values.dtype.kind == "b":
        return []
    suspects = []
    for column, ends in enumerate(zip(values.min(0), values.max(0), strict=True)):
        for end in ends:
            if any(math.isclose(float(end), each, rel_tol=1e-6) for each in _PLACEHOLDERS):
                times = _times_far_off(values[:, column], end)
                if times:
                    suspects.append((column, float(end), times))
    return suspects


def _times_far_off(values: Array, end: Array) -> int:
    """Number of values that are `end`; 0 unless the others spread over a range far from it."""
    others = values[values != end].astype(np.float64)
    if len(others) < len(values) / 2 or len(np.unique(others[:10_000])) < 5:
        return 0
    low, high = others.min(), others.max()
    gap = max(low - float(end), float(end) - high)
    factor = 2 if abs(float(end)) < 100 else 1
    return len(values) - len(others) if gap > factor * (high - low) else 0


def check_placeholders(values: Array, columns: tuple[str, ...]) -> None:
    """Raises BadInput where there are `placeholders`."""
    suspects = placeholders(values)
    if not suspects:
        return
    parts = []
    for column, number, times in suspects[:10]:
        others = values[:, column][values[:, column] != number]
        parts.append(
            f"{column_name(column, columns)} is {number:g} in {times:,} of {len(values):,} rows "
            f"and {float(others.min()):g} to {float(others.max()):g} in all others"
        )
    raise bad(
        f"{'; '.join(parts)}: a number that stands for a missing value, by the look of it. Remove "
        "those rows or set data.missing to drop; if it is meant, set data.missing to take."
    )


def without_gaps(name: str, source: Source) -> Table:
    """The rows in which no value is missing. Raises BadInput."""
    if source.dtype.kind not in "fiub":
        raise bad(f"{name} holds {source.dtype} values; numbers are needed.")
    shape = source.shape
    if shape[0] < 0:
        num = 0
        for piece in source.pieces():
            num += len(piece.values)
            _check_number(name, (num, *shape[1:]))
        shape = (num, *shape[1:])
    check_shape(name, shape)
    values = filled(source, shape)
    whole = ~np.isnan(values).reshape(len(values), -1).any(1) if values.dtype.kind == "f" else None
    if whole is None:
        whole = np.ones(len(values), bool)
    for column, number, _ in placeholders(values[whole]):
        whole &= values[:, column] != number
    labels = source.labels(len(values)) if source.labels else ""
    concepts = source.concepts() if source.concepts else None
    if concepts is not None:
        source = replace(source, notes=(*source.notes, *concepts.notes))
        if len(concepts.values) == len(values):
            whole &= ~np.isnan(concepts.values).any(1)
            concepts = concepts.rows(whole)
    num_gaps = len(values) - int(whole.sum())
    complete = values[whole] if num_gaps else values
    check_shape(name, complete.shape)
    check_values(name, complete, source.columns)
    if concepts is not None:
        concepts.check(name, len(complete))
    notes = (*source.notes, *notes_of(complete, source.columns))
    if num_gaps:
        notes = (
            f"{num_gaps:,} of {len(values):,} rows have a value missing and are left out",
            *notes,
        )
    table = Table(complete, source.columns, notes=notes, concepts=concepts)
    if isinstance(labels, str):
        return replace(table, notes=(*notes, labels) if labels else notes)
    return replace(table, labels=labels[0][whole], label_names=labels[1])
