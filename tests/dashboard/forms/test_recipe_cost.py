"""The time that a launch from the Gallery is said to take."""

from __future__ import annotations

from dashboard.forms import recipe_cost
from dashboard.forms.cost_lines import Wait
from dashboard.forms.draft import Answer
from jobs.queueing.enqueue import Check


def answer(seconds: float | None, from_runs: int = 0) -> Answer:
    return Answer("", Check(True, cost={"seconds": seconds, "from_runs": from_runs}))


def test_every_variant_counts_under_every_seed() -> None:
    summed = recipe_cost._summed([answer(10.0, 3), answer(30.0, 3)], seeds=3)
    assert summed == recipe_cost.Expected(120.0, "from like runs")


def test_one_variant_that_never_ran_is_said_to_be_timed() -> None:
    summed = recipe_cost._summed([answer(10.0, 3), answer(30.0)], seeds=1)
    assert summed.source == "from a few steps timed here"


def test_a_silent_worker_leaves_the_time_unknown() -> None:
    silent = recipe_cost._summed([answer(10.0), Answer("", None, "Nobody checks.")], seeds=1)
    words = recipe_cost.in_words(silent, Wait())
    assert words == "How long it takes is not known. Nobody checks."


def test_workers_share_the_work_and_what_waits_comes_first() -> None:
    cost = recipe_cost.Expected(90.0, "from like runs")
    words = recipe_cost.in_words(cost, Wait(running=1, queued=1, workers=2))
    assert words == (
        "About 1m 30s of training, from like runs; 45s on 2 workers. 2 runs come first."
    )
