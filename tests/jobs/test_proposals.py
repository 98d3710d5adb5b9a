"""A method is proposed by the kind of data, before any was tried."""

from __future__ import annotations

import pytest

from backend import catalogue
from jobs.proposals import Kind, contestants, proposal

KINDS = {
    "one coordinate": Kind((1,), 8000),
    "points of the plane": Kind((2,), 8000),
    "points in ten dimensions": Kind((10,), 8000),
    "bits": Kind((16,), 8000, is_discrete=True),
    "small images": Kind((8, 8), 1000, is_image=True),
    "grey images": Kind((28, 28), 60_000, is_image=True),
    "colour images": Kind((32, 32, 3), 50_000, is_image=True),
    "rows with a context": Kind((2,), 8000, gives=("context",)),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_proposed_for_any_kind_of_data_is_there(name: str) -> None:
    kind = KINDS[name]
    proposed = proposal(kind)
    assert proposed.reason.endswith(".")
    for each in contestants(kind):
        method = catalogue.methods()[each.method]
        preset = method.presets[each.preset]
        assert set(method.needs) <= set(kind.gives)
        assert method.takes_discrete if kind.is_discrete else method.takes_real
        assert preset.wants_gpu == (kind.is_image and kind.dim > 256)


@pytest.mark.parametrize("dim", [1, 2, 5, 10])
def test_points_are_contested_by_several_methods_once_each(dim: int) -> None:
    listed = contestants(Kind((dim,), 8000))
    assert listed[0] == proposal(Kind((dim,), 8000)).contestant
    assert len(set(listed)) == len(listed) >= 5


def test_a_grid_is_proposed_in_the_plane_alone() -> None:
    assert proposal(Kind((2,))).contestant.method == "exact_likelihood"
    assert "exact_likelihood" not in {each.method for each in contestants(Kind((3,)))}
