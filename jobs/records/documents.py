"""Documents: the small files of a run, as far as they hold what they should.

Another version, an editor, a bad disk or a copy cut short may leave anything there. What can be
read of it is; what cannot counts as not being there.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict


class _Answer(TypedDict):
    """Fields of an answer, as `jobs.models.answering.answer_to_run` returns it."""

    id: str
    step: int
    ability: str
    title: str
    config: dict[str, Any]
    seed: int
    time: float
    summary: str
    figures: dict[str, Any]
    file: str | None
    tables: list[dict[str, Any]]
    frames: list[str]


class _Turn(TypedDict):
    """Fields of a turn, as `jobs.records.requests.Turn` has them."""

    step: Annotated[int, Field(ge=0)]
    fields: dict[str, tuple[float, float]]
    by: str
    when: float
    request: str


_ANSWER = TypeAdapter(_Answer)
_TURN = TypeAdapter(_Turn)


def answer(raw: object) -> dict[str, Any] | None:
    """Check an answer read from a run's file; None for one that is not whole."""
    try:
        _ANSWER.validate_python(raw)
    except ValidationError:
        return None
    assert isinstance(raw, dict)
    return raw


def figures(raw: object) -> dict[str, float | None]:
    """Select the final metrics by path, null where one was not finite."""
    items = raw.items() if isinstance(raw, dict) else ()
    return {path: value for path, value in items if value is None or is_number(value)}


def dismissals(raw: object) -> dict[str, dict[str, Any]]:
    """Select the dismissals of alarms by path: who, when in unix seconds, and why."""
    items = raw.items() if isinstance(raw, dict) else ()
    return {
        path: {"by": str(item.get("by", "")), "when": item["when"], "why": item["why"]}
        for path, item in items
        if isinstance(item, dict)
        and is_number(item.get("when"))
        and isinstance(item.get("why"), str)
    }


def turn_request(raw: object) -> tuple[dict[str, float], str]:
    """Select the settings that a run was asked to take, and who asked."""
    request = raw if isinstance(raw, dict) else {}
    settings = request.get("settings")
    items = settings.items() if isinstance(settings, dict) else ()
    by = request.get("by")
    return (
        {name: value for name, value in items if is_number(value)},
        by if isinstance(by, str) else "",
    )


def turn(raw: object) -> dict[str, Any] | None:
    """Check a turn read from a run's file, its pairs as tuples; None for one that is not whole."""
    try:
        checked: dict[str, Any] = dict(_TURN.validate_python(raw))
    except ValidationError:
        return None
    return checked


def is_number(value: object) -> bool:
    """Return True for a finite number, which True is not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
