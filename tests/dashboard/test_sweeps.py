"""Sliders of an answer: their stops, and which answer stands for each."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.studio.sweeps import sweeps_of

SCHEMA = {
    "properties": {
        "num": {"type": "integer"},
        "steps": {"anyOf": [{"type": "integer"}, {"type": "null"}], "sweep": [1, 100], "log": True},
        "radius": {"type": "number", "sweep": [0.0, 1.2]},
    }
}


def answer(name: str, seed: int = 0, step: int = 9, **config: Any) -> dict[str, Any]:
    fields = {"num": 5, "steps": None, "radius": 0.5, **config}
    return {"id": name, "ability": "a", "seed": seed, "step": step, "config": fields}


def test_stops_are_few_round_whole_where_the_field_is_and_on_its_scale() -> None:
    steps, radius = sweeps_of(SCHEMA, answer("now"), [])
    assert steps["stops"] == [1, 2, 3, 5, 7, 10, 15, 22, 32, 46, 68, 100]
    assert radius["stops"] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    assert [radius["cells"][radius["stops"].index(0.5)]] == ["now"]
    assert steps["cells"] == [None] * len(steps["stops"])  # left to the run is no stop


def test_what_was_asked_between_stops_is_a_stop() -> None:
    steps, _ = sweeps_of(SCHEMA, answer("now"), [answer("odd", steps=12)])
    assert steps["cells"][steps["stops"].index(12)] == "odd"


def test_only_an_answer_that_differs_in_the_field_alone_stands_for_its_value() -> None:
    others = [
        answer("new", radius=0.7),
        answer("old", radius=0.7),
        answer("seed", radius=0.1, seed=1),
        answer("step", radius=0.2, step=8),
        answer("num", radius=0.3, num=6),
        answer("two", radius=0.4, steps=3),
    ]
    _, radius = sweeps_of(SCHEMA, answer("now"), others)
    cells = dict(zip(radius["stops"], radius["cells"], strict=True))
    assert {stop: name for stop, name in cells.items() if name} == {0.5: "now", 0.7: "new"}


def test_a_field_without_effect_has_no_slider() -> None:
    idle = {**answer("now"), "derived": {"radius": "No effect unless `x`.", "steps": "2 of 4."}}
    assert [sweep["field"] for sweep in sweeps_of(SCHEMA, idle, [])] == ["steps"]
    assert [sweep["field"] for sweep in sweeps_of(SCHEMA, idle, [], idle=["steps"])] == []


def test_each_number_of_a_list_has_a_slider_and_the_others_stay() -> None:
    schema = {"properties": {"weights": {"type": "array", "sweep": [0, 2.4]}}}
    others = [
        answer("second", weights=[1.0, 2.0]),
        answer("both", weights=[0.5, 2.0]),
        answer("longer", weights=[1.0, 1.0, 2.0]),
    ]
    first, second = sweeps_of(schema, answer("now", weights=[1.0, 1.0]), others)
    assert [first["place"], second["place"]] == [0, 1]
    assert [first["label"], second["label"]] == ["Weights, a", "Weights, b"]
    assert first["stops"] == second["stops"] == pytest.approx([index / 5 for index in range(13)])
    assert [name for name in first["cells"] if name] == ["now"]
    cells = dict(zip(second["stops"], second["cells"], strict=True))
    assert {stop: name for stop, name in cells.items() if name} == {1.0: "now", 2.0: "second"}
