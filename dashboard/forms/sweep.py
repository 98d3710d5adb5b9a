"""Sweep: several values in a field of a draft, and the runs that they make. No Streamlit here."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_RUNS = 100
"""Runs of one launch."""
_RANGE = re.compile(r"^(-?\d{1,9})\s*(?:\.\.|…)\s*(-?\d{1,9})$")


@dataclass(frozen=True)
class Several:
    """Values of one field, each of which makes runs."""

    values: tuple[Any, ...]


def read(text: str, whole: bool) -> Any:
    """Read what was typed into a field of numbers: a number, Several, or None where it is empty.

    Commas stand between values; `0..4` are the whole numbers from 0 to 4. What is no number is
    left as it was typed, so that the check refuses it with its bounds.

    >>> read("64", True), read("0.1, .2", False), read("0..2", True), read("", True)
    (64, Several(values=(0.1, 0.2)), Several(values=(0, 1, 2)), None)
    """
    parts = [part.strip() for part in text.replace("\N{MINUS SIGN}", "-").split(",")]
    values: list[Any] = []
    for part in filter(None, parts):
        ends = _RANGE.match(part)
        if ends and whole and 0 <= int(ends[2]) - int(ends[1]) < MOST_RUNS:
            values += range(int(ends[1]), int(ends[2]) + 1)
        else:
            values.append(_number(part, whole))
    values = list(dict.fromkeys(values))
    if not values:
        return None
    return values[0] if len(values) == 1 else Several(tuple(values))


def _number(text: str, whole: bool) -> Any:
    text = text.replace("\N{THIN SPACE}", "").replace(" ", "")
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    if whole and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def written(value: Any) -> str:
    """Write a value, or several, as `read` reads them.

    >>> written(None), written(64), written(0.003), written(Several((1, 2)))
    ('', '64', '0.003', '1, 2')
    """
    if value is None:
        return ""
    if isinstance(value, Several):
        return ", ".join(map(written, value.values))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def places(raw: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Several]]:
    """List the fields of plain data that hold several values."""
    if isinstance(raw, Several):
        yield at, raw
    elif isinstance(raw, dict):
        for name, value in raw.items():
            yield from places(value, (*at, name))


def number_of(raw: dict[str, Any]) -> int:
    """Count the runs that a draft makes."""
    return math.prod(len(several.values) for _, several in places(raw))


def members(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Multiply a draft out: plain data of every run, the first field changing slowest."""
    fields = list(places(raw))
    combinations = itertools.product(*(several.values for _, several in fields))
    return [_with(raw, [path for path, _ in fields], values) for values in combinations]


def probes(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """List the drafts to check: every value of every field once, beside the others' first. Seeds
    need no check of their own."""
    fields = list(places(raw))
    first = [several.values[0] for _, several in fields]
    paths = [path for path, _ in fields]
    drafts = [_with(raw, paths, first)]
    for index, (path, several) in enumerate(fields):
        for value in several.values[1:] if path != ("seed",) else ():
            drafts.append(_with(raw, paths, [*first[:index], value, *first[index + 1 :]]))
    return drafts


def _with(raw: Any, paths: list[tuple[str, ...]], values: Any) -> dict[str, Any]:
    by_path = dict(zip(paths, values, strict=True))

    def plain(part: Any, at: tuple[str, ...]) -> Any:
        if isinstance(part, Several):
            return by_path[at]
        if isinstance(part, dict):
            return {name: plain(value, (*at, name)) for name, value in part.items()}
        return part

    copied: dict[str, Any] = plain(raw, ())
    return copied


def in_words(raw: dict[str, Any]) -> str:
    """Name the product: `6: 3 width × 2 seed`; "" for a single run."""
    parts = [f"{len(several.values)} {path[-1].replace('_', ' ')}" for path, several in places(raw)]
    return f"{number_of(raw)}: {' × '.join(parts)}" if parts else ""
