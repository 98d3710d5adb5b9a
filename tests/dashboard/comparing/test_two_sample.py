"""The test of two runs: a pair is of the runs that are compared, and a refusal is a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import NotAvailable
from backend.spec import RunSpec
from dashboard import comparison
from dashboard.comparing import two_sample
from dashboard.comparing.two_sample import Pair
from jobs.queueing import enqueue
from jobs.records import run_store


def test_a_pair_is_two_of_the_runs_that_are_compared() -> None:
    spec = RunSpec(method="contrastive_divergence", data={"name": "ring"})
    first, second, third = (run_store.create_run(spec).id for _ in range(3))
    groups = comparison.groups(comparison.load([first, second])[0])
    assert two_sample.pair_of(groups, f"{second},{first}") == Pair(second, first)
    for text in ("", first, f"{first},{first}", f"{first},{third}", f"{first},{second},{first}"):
        assert two_sample.pair_of(groups, text) is None, text


def test_the_first_run_is_asked_about_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(run: str, ability: str, config: dict[str, Any], **_: Any) -> dict[str, Any]:
        asked.append((run, ability, config))
        if run == "b":
            raise NotAvailable("No quick worker is running.")
        return {"id": "answer-1"}

    monkeypatch.setattr(enqueue, "ask_run", ask)
    result = two_sample.ask(Pair("a", "b"), lambda _: None)
    assert result == {"answer": "answer-1", "reason": ""}
    assert asked == [("a", "differ", {"runs": ["b"]})]
    result = two_sample.ask(Pair("b", "a"), lambda _: None)
    assert result == {"answer": "", "reason": "No quick worker is running."}
