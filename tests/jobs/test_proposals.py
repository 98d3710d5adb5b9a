"""A method is proposed by the kind of data, before any was tried."""

from __future__ import annotations

import pytest

from backend import catalogue
from backend.requests import fitting
from jobs.models import data_outline
from jobs.proposals import Kind, contestants, kind_of, proposal

KINDS = {
    "one coordinate": Kind((1,), 8000),
    "points of the plane": Kind((2,), 8000),
    "points in ten dimensions": Kind((10,), 8000),
    "bits": Kind((16,), 8000, is_discrete=True),
    "small images": Kind((8, 8), 1000, is_image=True),
    "grey images": Kind((28, 28), 60_000, is_image=True),
    "colour images": Kind((32, 32, 3), 50_000, is_image=True),
    "rows with a context": Kind((2,), 8000, gives=("context",)),
    "images with a context": Kind((28, 28), 4000, is_image=True, gives=("context",)),
    "states that follow": Kind((2,), 8000, gives=("context",), has_future=True),
    "frames that follow": Kind((8, 8), 4000, is_image=True, gives=("context",), has_future=True),
    "plans": Kind((16,), 8000, gives=("context",), has_future=True, acts=True),
    "text": Kind((32,), 8000, is_discrete=True, gives=("context",)),
    "patterns": Kind((8, 8), 40, is_image=True, is_discrete=True),
    "rows with concepts": Kind((20,), 2000, gives=("concepts",)),
    "rows in threes": Kind((8, 8), 5000, is_image=True, gives=("triple",)),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_proposed_for_any_kind_of_data_is_there(name: str) -> None:
    kind = KINDS[name]
    proposed = proposal(kind)
    assert proposed.reason.endswith(".")
    for each in contestants(kind):
        method = catalogue.methods()[each.method]
        preset = method.presets[each.preset]
        taken = {*method.needs, *method.learns_from}
        assert taken <= set(kind.gives) and bool(taken) == bool(kind.gives)
        assert method.takes_discrete if kind.is_discrete else method.takes_real
        assert preset.wants_gpu == (kind.is_image and kind.dim > 256 and not kind.gives)


ELSEWHERE = {"file", "energy_file", "discrete_energy_file", "mnist", "fashion_mnist", "cifar_10"}
"""Data sets that need a path, or a download."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*catalogue.datasets()} - ELSEWHERE))
def test_what_is_proposed_takes_the_data_and_is_made_for_what_they_give(name: str) -> None:
    data = catalogue.resolve_data({"name": name}).load()
    contestant = proposal(kind_of(data_outline.kind(data), {})).contestant
    method = catalogue.methods()[contestant.method]
    config = catalogue.configured(method, contestant.preset)
    assert not fitting.problems(method, config, data)
    taken = {*method.needs, *method.learns_from}
    assert taken <= {*data.given} and bool(taken) == bool(data.given)
    if contestant.method == "energy_world_model":
        assert data.future is not None
    if data.alphabet and "context" in data.given:
        assert contestant.method == "energy_text"


@pytest.mark.parametrize("dim", [1, 2, 5, 10])
def test_points_are_contested_by_several_methods_once_each(dim: int) -> None:
    listed = contestants(Kind((dim,), 8000))
    assert listed[0] == proposal(Kind((dim,), 8000)).contestant
    assert len(set(listed)) == len(listed) >= 5


def test_a_grid_is_proposed_in_the_plane_alone() -> None:
    assert proposal(Kind((2,))).contestant.method == "exact_likelihood"
    assert "exact_likelihood" not in {each.method for each in contestants(Kind((3,)))}
