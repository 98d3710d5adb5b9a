"""A bakeoff is its runs and a verdict on their metrics."""

from __future__ import annotations

import math

import pytest

from backend.errors import BadInput
from jobs import bakeoffs
from jobs.bakeoffs import DENSITY, Bakeoff, Verdict, bakeoff_of, verdict
from jobs.claims.recipe_results import RunResult
from jobs.proposals import CONTRASTIVE, EXACT, PERSISTENT, Contestant, Kind
from jobs.records import run_store
from jobs.records.status import Status

POINTS = Kind((2,), 8000)
RING = {"name": "ring", "num": 1000}
BASELINES = {"gaussian": -3.6, "mixture": -2.48, "kernel": -2.5}


def ended(
    contestant: Contestant, nats: float | None, seed: int = 0, state: str = "finished"
) -> RunResult:
    status = Status(
        "run",
        status=state,
        method=contestant.method,
        preset=contestant.preset,
        seed=seed,
        seconds=30.0,
    )
    metrics = {DENSITY: nats, f"{DENSITY}_error": 0.01}
    metrics |= {f"{DENSITY}/{name}": value for name, value in BASELINES.items()}
    return RunResult("run", status, metrics)


def judged(*runs: RunResult) -> Verdict:
    return verdict(runs)


def test_the_method_with_the_most_held_out_nats_is_proposed() -> None:
    result = judged(ended(EXACT, -2.45), ended(PERSISTENT, -2.6), ended(CONTRASTIVE, -2.55))
    assert result.proposed == EXACT
    assert [item.contestant for item in result.standings] == [EXACT, CONTRASTIVE, PERSISTENT]
    assert result.reason == (
        "Exact likelihood has -2.450 nats a held-out point; the best baseline is a mixture of "
        "Gaussians -2.480."
    )


def test_an_interval_is_two_errors_of_points_and_seeds_together() -> None:
    (item,) = judged(ended(EXACT, -2.44, 0), ended(EXACT, -2.46, 1)).standings
    assert item.mean == pytest.approx(-2.45)
    error = math.hypot(0.01, 0.02 / math.sqrt(2) / math.sqrt(2))
    assert item.mean is not None and item.low is not None
    assert item.mean - item.low == pytest.approx(2 * error)


def test_methods_within_the_spread_of_their_seeds_are_not_told_apart() -> None:
    result = judged(
        ended(EXACT, -2.4, 0),
        ended(EXACT, -2.5, 1),
        ended(CONTRASTIVE, -2.5, 0),
        ended(CONTRASTIVE, -2.5, 1),
        ended(PERSISTENT, -2.8, 0),
        ended(PERSISTENT, -2.8, 1),
    )
    assert "noise contrastive cannot be told from it" in result.reason
    assert "persistent" not in result.reason


def test_a_method_whose_likelihood_is_not_known_is_never_proposed() -> None:
    result = judged(
        ended(EXACT, None), ended(CONTRASTIVE, -2.6), ended(PERSISTENT, -2.3, 0, "lost")
    )
    assert result.proposed == CONTRASTIVE
    notes = {item.contestant: item.note for item in result.standings}
    assert notes == {
        CONTRASTIVE: "",
        EXACT: "log-likelihood of 1 not known",
        PERSISTENT: "1 lost",
    }
    assert judged(ended(EXACT, None)).proposed is None


def test_what_a_baseline_beats_is_said_to_be_beaten() -> None:
    assert "Nothing here beats a mixture of Gaussians" in judged(ended(EXACT, -2.6)).reason
    worse = judged(ended(EXACT, -4.0))
    assert worse.proposed is None and "less than one Gaussian" in worse.reason


def test_all_runs_have_the_same_data_seconds_and_tag() -> None:
    specs = bakeoff_of(RING, POINTS, seconds=7.0, num_seeds=2).specs()
    assert len({spec.tags[0] for spec in specs}) == 1
    assert {spec.budget.seconds for spec in specs} == {7.0}
    assert [spec.seed for spec in specs] == sorted([0, 1] * (len(specs) // 2))
    assert all(spec.data == RING for spec in specs)


def test_images_are_not_judged_by_held_out_nats() -> None:
    with pytest.raises(BadInput, match="Launch `contrastive_divergence`"):
        bakeoff_of({"name": "digits"}, Kind((8, 8), 1000, is_image=True))


def test_the_newest_bakeoff_of_these_very_data_is_found(basin_home: object) -> None:
    older, newer, other = (
        [run_store.create_run(spec).id for spec in Bakeoff(data, (EXACT, CONTRASTIVE)).specs()]
        for data in (RING, RING, {"name": "ring", "num": 2000})
    )
    assert bakeoffs.newest_of(RING) == sorted(newer) != sorted(older)
    assert bakeoffs.newest_of({"name": "ring", "num": 2000}) == sorted(other)
    assert bakeoffs.newest_of({"name": "moons"}) == []
