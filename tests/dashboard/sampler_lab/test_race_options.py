"""What the Sampler Lab knows of races: who fits a target, what racers are called, their knobs."""

from __future__ import annotations

from typing import Any

import pytest

from backend import catalogue
from dashboard.sampler_lab import race_options


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return catalogue.publish()


CONTINUOUS = {"discrete": False, "gradient": True, "exact": True}
DISCRETE = {"discrete": True, "gradient": False, "exact": True}
FREE = {"discrete": False, "gradient": False, "exact": True}


@pytest.mark.parametrize(
    ("sampler", "target", "words"),
    [
        (CONTINUOUS, {}, ""),
        (CONTINUOUS, {"discrete": False, "gradient": True}, ""),
        (CONTINUOUS, {"discrete": True}, "this target is discrete"),
        (CONTINUOUS, {"discrete": False, "gradient": False}, "this target has none"),
        (FREE, {"discrete": False, "gradient": False}, ""),
        (DISCRETE, {"discrete": True, "gradient": False}, ""),
        (DISCRETE, {"discrete": False}, "For discrete targets"),
        (DISCRETE, {}, "For discrete targets"),
    ],
)
def test_a_sampler_races_only_where_it_can_move(
    sampler: dict[str, Any], target: dict[str, Any], words: str
) -> None:
    found = race_options.misfit(sampler, target)
    assert words in found if words else found == ""


def test_a_trained_energy_has_a_gradient_whatever_its_data() -> None:
    assert (
        race_options.misfit(CONTINUOUS, {"discrete": False, "gradient": False}, trained=True) == ""
    )


def test_data_without_a_density_are_no_target(known: dict[str, Any]) -> None:
    sets = {**known["datasets"], "opaque": {"is_target": False}, "clear": {"is_target": True}}
    found = race_options.targets({"datasets": sets})
    assert {"ring", "clear"} <= set(found) and not {"file", "opaque"} & set(found)


def test_the_first_racers_are_a_biased_and_exact_ones(known: dict[str, Any]) -> None:
    entries = race_options.first_entries(known, known["samplers"], discrete=False)
    kinds = [made.kind for made in entries]
    assert kinds == ["langevin", "mala", "nuts", "parallel_tempering"]
    assert {known["samplers"][kind]["exact"] for kind in kinds} == {True, False}


def test_a_racer_says_only_what_differs_from_its_sampler(known: dict[str, Any]) -> None:
    plain = race_options.entry(known, "mala")
    assert race_options.as_racer(known, plain) == {"kind": "mala"}
    turned = race_options.entry(known, "mala", {"kind": "mala", "step_size": 0.5})
    assert race_options.as_racer(known, turned) == {"kind": "mala", "step_size": 0.5}


def test_racers_of_one_kind_are_told_apart_by_what_differs(known: dict[str, Any]) -> None:
    racers = [{"kind": "mala", "step_size": 0.5}, {"kind": "mala"}, {"kind": "hmc"}]
    assert race_options.titles(racers, known) == [
        "MALA, step size 0.5",
        "MALA, step size 0.02",
        "Hamiltonian Monte Carlo",
    ]


def test_a_race_of_unknown_samplers_is_shown_all_the_same() -> None:
    assert race_options.titles([{"kind": "of_tomorrow"}], {}) == ["of tomorrow"]
    assert race_options.knobs({"kind": "of_tomorrow", "step_size": 1.0}, {}) == {}


def test_knobs_reach_both_ways_within_the_bounds(known: dict[str, Any]) -> None:
    found = race_options.knobs({"kind": "mala", "step_size": 50.0}, known)
    assert found["step_size"] == {"value": 50.0, "low": 0.5, "high": 100.0}
    assert found["temperature"] == {"value": 1.0, "low": 0.01, "high": 100.0}
    assert "temperature" not in race_options.knobs({"kind": "langevin"}, known)
