"""Questions of a page, read with distrust. Everything here raises BadInput."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from backend.errors import BadInput

MOST_RUNS = 64
MOST_PATHS = 64
MOST_MESSAGE_BYTES = 64_000
MOST_STEP = 2**53
"""Whole numbers beyond it are not told apart in a browser."""


class Position(NamedTuple):
    """Position of a page: the last sequence numbers of the log and of the keyframes it has."""

    log: int
    keyframe: int


def parsed(text: str | bytes) -> Any:
    """Parse JSON of bounded size. Depth is bounded by Python, which calls it another kind of
    error."""
    if len(text) > MOST_MESSAGE_BYTES:
        raise BadInput.at("", f"a message of more than {MOST_MESSAGE_BYTES:,} bytes.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput.at("", "a message is JSON.") from error


def message(text: str | None) -> dict[str, Any]:
    """Parse a message, an object with its `op`."""
    content = parsed(text) if text is not None else None
    if not isinstance(content, dict) or not isinstance(content.get("op"), str):
        raise BadInput.at("", "a message is the text of a JSON object with `op`.")
    return content


def about(question: dict[str, Any]) -> dict[str, Any]:
    """Extract the `run` and the `id` of a question, for its answer."""
    fields: dict[str, Any] = {}
    if isinstance(question.get("run"), str):
        fields["run"] = question["run"]
    if _is_whole(question.get("id")):
        fields["id"] = question["id"]
    return fields


def run(question: dict[str, Any]) -> str:
    """Extract the run a question is about."""
    name = question.get("run")
    if not isinstance(name, str):
        raise BadInput.at("run", "must name a run.")
    return name


def paths(question: dict[str, Any], otherwise: list[str] | None) -> list[str] | None:
    """Extract the paths a question names."""
    names = question.get("paths", otherwise)
    listed = isinstance(names, list) and all(isinstance(path, str) for path in names)
    if names is not None and not (listed and len(names) <= MOST_PATHS):
        raise BadInput.at("paths", f"must be a list of at most {MOST_PATHS} paths.")
    return names


def number(question: dict[str, Any], name: str) -> float:
    """Extract a finite number, cut to the range of steps."""
    value: Any = question.get(name)
    if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
        raise BadInput.at(name, f"must be a number, got {str(value)[:40]}.")
    return float(min(max(value, -MOST_STEP), MOST_STEP))


def watched(question: dict[str, Any]) -> list[tuple[str, Position | None]]:
    """Extract the runs to be watched, each with the position the page has reached."""
    runs = question.get("runs")
    if not isinstance(runs, list) or len(runs) > MOST_RUNS:
        raise BadInput.at("runs", f'must be at most {MOST_RUNS} of {{"run": ID}}.')
    return [_watch(item) for item in runs]


def _watch(item: Any) -> tuple[str, Position | None]:
    name = item.get("run") if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise BadInput.at("runs", 'must be a list of {"run": ID}.')
    after = item.get("after")
    if after is None:
        return name, None
    if not (isinstance(after, list) and len(after) == 2 and all(map(_is_whole, after))):
        raise BadInput.at("after", "must be two whole numbers.")
    return name, Position(*after)


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= MOST_STEP
