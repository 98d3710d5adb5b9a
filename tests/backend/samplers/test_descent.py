"""Projected descent: where it ends, and that it never leaves its bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from backend import samplers
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import State
from backend.samplers.descent import Descent, DescentConfig

CENTRE = torch.tensor([2.0, -1.0, 0.5])
CURVES = torch.tensor([1.0, 4.0, 0.5])


class Bowl(Energy):
    """Σ c (x − centre)²/2: its least point within a box is the centre clamped to it."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (CURVES * (x - CENTRE).square()).sum(1)


class Round(Energy):
    """|x − centre|²/2: its least point within a ball is the nearest to the centre."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (x - CENTRE).square().sum(1)


def descended(start: Tensor, energy: Energy, num_steps: int = 400, **fields: Any) -> State:
    sampler = Descent(DescentConfig(**fields))
    return samplers.run(sampler, start, energy, generator_of("none", 0), num_steps).state


def starts() -> Tensor:
    return torch.randn(20, 3, generator=generator_of("starts", 0))


def test_a_step_follows_the_gradient_its_signs_or_its_direction() -> None:
    x = starts()
    gradient = CURVES * (x - CENTRE)
    moves = {
        "gradient": gradient,
        "sign": gradient.sign(),
        "normalised": gradient / gradient.norm(dim=1, keepdim=True),
    }
    for direction, move in moves.items():
        for ascend in (False, True):
            after = descended(x, Bowl(), 1, step_size=0.1, direction=direction, ascend=ascend)
            expected = x + 0.1 * move if ascend else x - 0.1 * move
            assert torch.allclose(after.position, expected, atol=1e-6)


def test_without_bounds_it_goes_to_the_least_point() -> None:
    after = descended(starts(), Bowl(), step_size=0.2)
    assert torch.allclose(after.position, CENTRE.expand(20, 3), atol=1e-5)
    assert after.energy.abs().max() < 1e-9


@pytest.mark.parametrize("direction", ["gradient", "sign"])
def test_in_a_box_it_goes_to_the_least_point_of_the_box(direction: str) -> None:
    after = descended(
        starts(),
        Bowl(),
        direction=direction,
        step_size=0.01 if direction == "sign" else 0.2,
        projection="box",
        low=-0.4,
        high=0.7,
    )
    error = (after.position - CENTRE.clamp(-0.4, 0.7)).abs().max()
    assert error < (0.0101 if direction == "sign" else 1e-5)


def test_in_a_ball_around_its_start_it_goes_to_the_point_nearest_the_centre() -> None:
    x = starts()
    after = descended(x, Round(), step_size=0.1, projection="l2_ball", radius=0.5)
    away = CENTRE - x
    expected = x + 0.5 * away / away.norm(dim=1, keepdim=True)
    assert torch.allclose(after.position, expected, atol=1e-5)


@pytest.mark.parametrize("ascend", [False, True])
def test_signs_go_to_a_corner_of_the_cube_around_the_start(ascend: bool) -> None:
    x = starts() - 5  # all of the centre's coordinates lie above
    after = descended(
        x,
        Bowl(),
        20,
        direction="sign",
        ascend=ascend,
        step_size=0.1,
        projection="linf_ball",
        radius=0.3,
    )
    assert torch.allclose(after.position, x - 0.3 if ascend else x + 0.3)


@pytest.mark.parametrize("projection", ["box", "l2_ball", "linf_ball"])
def test_no_step_leaves_the_bounds_of_any_shape(projection: str) -> None:
    class Slope(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return x.flatten(1).pow(3).sum(1)

    x = torch.randn(6, 2, 3, 3, generator=generator_of("images", 0))
    config = DescentConfig(projection=projection, step_size=0.7, radius=0.4, low=-0.5, high=0.6)  # type: ignore[arg-type]
    sampler = Descent(config)
    state = sampler.init(x, Slope(), generator_of("none", 0))
    for _ in range(5):
        state, info = sampler.step(state, Slope(), generator_of("none", 0))
        shift = (state.position - x).flatten(1)
        reach = shift.norm(dim=1) if projection == "l2_ball" else shift.abs().amax(1)
        if projection == "box":
            assert state.position.min() >= -0.5 and state.position.max() <= 0.6
        else:
            assert reach.max() <= 0.4 + 1e-5
            assert reach.max() > 0.39
        assert info.gradient_evaluations == 1


def test_where_the_gradient_is_zero_it_stays() -> None:
    at_rest = CENTRE.expand(2, 3).clone()
    for direction in ("gradient", "sign", "normalised"):
        for projection in ("none", "l2_ball", "linf_ball"):
            after = descended(at_rest, Bowl(), 3, direction=direction, projection=projection)
            assert torch.equal(after.position, at_rest)


def test_a_box_without_an_inside_is_refused() -> None:
    with pytest.raises(ValidationError, match="`low` must be below `high`, got 2 and 1"):
        DescentConfig(low=2.0, high=1.0)


def test_it_says_that_it_does_not_sample() -> None:
    assert not Descent.exact and "does not sample" in Descent.bias
