"""Sliders of an answer: the values that can be asked one after another, and what stands for them.

A slider has few stops, so that an answer that was given once is there when the thumb returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase
from typing import Any

from dashboard.forms import field_words

NUM_STOPS = 13
_NO_EFFECT = "No effect"


def sweeps_of(
    schema: dict[str, Any],
    answer: dict[str, Any],
    standing: list[dict[str, Any]],
    idle: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """List the sliders of an answer: `field`, `label`, `unit`, `stops`, and `cells`, the id of the
    answer that stands for each stop or None; all else is as in the answer itself. A field that is
    a list has a slider for each `place` in it, named a, b, c, …; of others `place` is None.

    standing: answers of the run that stand, newest first. idle: fields the run cannot be given.
    """
    without_effect = set(idle) | {
        field
        for field, words in (answer.get("derived") or {}).items()
        if words.startswith(_NO_EFFECT)
    }
    sweeps = []
    for field, part in schema["properties"].items():
        if "sweep" not in part or field in without_effect or field not in answer["config"]:
            continue
        value = answer["config"][field]
        places: Iterable[int | None] = range(len(value)) if isinstance(value, list) else (None,)
        sweeps += [_sweep(field, place, part, answer, standing) for place in places]
    return sweeps


def _sweep(
    field: str,
    place: int | None,
    part: dict[str, Any],
    answer: dict[str, Any],
    standing: list[dict[str, Any]],
) -> dict[str, Any]:
    """Describe one slider: of a field, or of one place of a field that is a list."""
    by_value = {
        _at(other["config"].get(field), place): other["id"]
        for other in reversed([answer, *standing])
        if _differs_at_most(answer, other, field, place)
    }
    stops = stops_of(part, *by_value)
    label = str(part.get("label") or field_words.field(field))
    return {
        "field": field,
        "place": place,
        "label": label if place is None else f"{label}, {ascii_lowercase[place]}",
        "unit": part.get("unit", ""),
        "stops": stops,
        "cells": [by_value.get(stop) for stop in stops],
    }


def stops_of(part: dict[str, Any], *values: float | None) -> list[float]:
    """List the stops of a field's slider, the values that were asked before among them."""
    low, high = part["sweep"]
    shares = [index / (NUM_STOPS - 1) for index in range(NUM_STOPS)]
    if part.get("log"):
        stops = [float(low) * (high / low) ** share for share in shares]
    else:
        stops = [low + (high - low) * share for share in shares]
    is_whole = "integer" in (
        part.get("type"),
        *(kind.get("type") for kind in part.get("anyOf", ())),
    )
    rounded: list[float] = [round(x) if is_whole else float(f"{x:.2g}") for x in stops]
    return sorted({*rounded, *(value for value in values if value is not None)})


def _at(value: Any, place: int | None) -> Any:
    return value if place is None else value[place]


def _differs_at_most(
    answer: dict[str, Any], other: dict[str, Any], field: str, place: int | None
) -> bool:
    """Return True for an answer to the same question but for one field, or one place of it."""
    asked = ("ability", "seed", "step")
    if any(answer[name] != other[name] for name in asked):
        return False
    return _without(answer["config"], field, place) == _without(other["config"], field, place)


def _without(config: dict[str, Any], field: str, place: int | None) -> dict[str, Any]:
    value = config.get(field)
    if place is None or not isinstance(value, list):
        return {**config, field: None}
    return {**config, field: [*value[:place], None, *value[place + 1 :]]}
