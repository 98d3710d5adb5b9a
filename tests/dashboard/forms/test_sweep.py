"""Several values in a field: the runs they make, and the drafts that are checked for them."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.forms import cost_lines, draft, sweep
from dashboard.forms.cost_lines import Wait
from dashboard.forms.sweep import Several
from jobs.queueing import enqueue
from jobs.queueing.enqueue import Check

RAW: dict[str, Any] = {
    "method": "exact_likelihood",
    "preset": "default",
    "data": {"name": "ring"},
    "config": {"energy": {"width": Several((32, 64, 128))}},
    "seed": Several((0, 1)),
}


@pytest.mark.parametrize(
    ("text", "whole", "value"),
    [
        ("32, 64,128", True, Several((32, 64, 128))),
        ("0..4", True, Several((0, 1, 2, 3, 4))),
        ("1e3", True, 1000),
        ("10 000", True, 10_000),
        ("−0.5", False, -0.5),
        ("7, 7", True, 7),
        ("2.5", True, 2.5),  # refused by the check, with its bounds
        ("abc", True, "abc"),
        ("nan", False, "nan"),
        (" ", True, None),
    ],
)
def test_a_field_reads_one_value_or_several(text: str, whole: bool, value: Any) -> None:
    assert sweep.read(text, whole) == value


@pytest.mark.parametrize("value", [None, 3, 0.003, 1e-9, 2.0, Several((1, 2)), 123456789012])
def test_what_is_written_reads_back(value: Any) -> None:
    assert sweep.read(sweep.written(value), whole=False) == value


def test_values_multiply_into_runs_and_are_named() -> None:
    runs = sweep.members(RAW)
    pairs = [(run["config"]["energy"]["width"], run["seed"]) for run in runs]
    assert pairs == [(32, 0), (32, 1), (64, 0), (64, 1), (128, 0), (128, 1)]
    assert sweep.in_words(RAW) == "6: 3 width × 2 seed"
    assert sweep.in_words({"seed": 0}) == "" and sweep.members({"seed": 0}) == [{"seed": 0}]


def test_every_value_is_checked_once_and_what_is_wrong_with_any_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def check(raw: dict[str, Any], origin: str) -> Check:
        width = raw["config"]["energy"]["width"]
        asked.append(width)
        if width == 128:
            return Check(False, [{"field": "config.energy.width", "message": "must be ≤ 100."}])
        cost = {"steps": 10, "seconds": float(width), "seconds_spread": [width, width]}
        return Check(True, cost=cost)

    monkeypatch.setattr(enqueue, "check", check)
    probes = draft.check_all(RAW, {})
    assert asked == [32, 64, 128], "seeds need no check of their own"
    answer = draft.joined(RAW, probes)
    assert not answer.is_ok
    assert answer.sentences[0] == {"config.energy.width": "must be ≤ 100."}
    assert answer.check is not None and answer.check.cost["seconds"] == 48
    draft.check_all(RAW, {probe.text: probe for probe in probes})
    assert len(asked) == 3, "what is known is not asked again"
    many = {**RAW, "seed": Several(tuple(range(40)))}
    assert not draft.joined(many, draft.check_all(many, {})).is_ok and len(asked) == 3


def test_the_time_until_all_is_done_counts_looking_judging_and_the_queue() -> None:
    cost = {
        "steps": 100,
        "seconds": 20.0,
        "seconds_spread": [10.0, 30.0],
        "looking": 5.0,
        "judging": 15.0,
        "from_runs": 3,
    }
    rows = dict(cost_lines.lines(cost, "", 1, Wait(running=1, seconds=20.0)))
    assert rows["time of training"] == "about 10s to 30s"
    assert (rows["looking"], rows["judging"]) == ("about 5s", "about 15s")
    assert rows["waits for"] == "1 run, about 20s"
    assert rows["all done"].startswith("in about 1m")
    queued = dict(cost_lines.lines(cost, "", 1, Wait(running=1, queued=2)))
    assert queued["waits for"] == "3 runs" and "all done" not in queued
    unknown = dict(cost_lines.lines({**cost, "looking": None, "judging": None}, "", 1, Wait()))
    assert "all done" not in unknown
