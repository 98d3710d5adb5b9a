"""Sliced score matching against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.energies.closed_form import Ring
from backend.energy import Energy
from backend.objectives.score_matching import sliced_score_matching
from backend.randomness import generator_of

PRECISION = torch.tensor([[2.0, 0.7, 0.0], [0.7, 1.0, -0.4], [0.0, -0.4, 3.0]]).double()


class Bowl(Energy):
    """E(x) = ½ xᵀ A x."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * ((x @ PRECISION) * x).sum(1)


class Tilted(Energy):
    """θ E(x), θ learned."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy
        self.theta = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.theta * self.energy(x)


def test_its_mean_is_half_the_squared_gradient_less_the_trace_of_the_curvature() -> None:
    generator = generator_of("slices", 0)
    x = torch.randn(500, 3, generator=generator, dtype=torch.float64)
    expected = 0.5 * (x @ PRECISION).square().sum(1).mean() - PRECISION.trace()
    losses = torch.stack([sliced_score_matching(Bowl(), x, 1, generator) for _ in range(200)])
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - expected) < 4 * error
    assert error > 0, "the off-diagonal curvature makes slices differ"


def test_more_slices_are_less_noisy() -> None:
    generator = generator_of("slices", 1)
    x = torch.zeros(50, 3, dtype=torch.float64)
    spread = {}
    for num in (1, 8):
        losses = [sliced_score_matching(Bowl(), x, num, generator) for _ in range(150)]
        spread[num] = float(torch.stack(losses).detach().std())
    assert spread[1] / spread[8] == pytest.approx(8**0.5, rel=0.3)


def test_it_seeks_the_density_of_the_data_themselves() -> None:
    """The slope at θ = 1 is 0 for the data's own energy, and not for a blurred one."""
    generator = generator_of("ring", 0)
    slopes: dict[str, list[float]] = {"own": [], "blurred": []}
    for _ in range(30):
        x = Ring().draw(1000, generator).double()
        for name, ring in (("own", Ring()), ("blurred", Ring(sd=0.4))):
            energy = Tilted(ring)
            sliced_score_matching(energy, x, 1, generator).backward()
            assert energy.theta.grad is not None
            slopes[name].append(float(energy.theta.grad))
    in_errors = {
        name: float(torch.tensor(found).mean() / (torch.tensor(found).std() / len(found) ** 0.5))
        for name, found in slopes.items()
    }
    assert abs(in_errors["own"]) < 4
    assert abs(in_errors["blurred"]) > 20


def test_its_slices_are_the_generators() -> None:
    x = torch.ones(8, 3, dtype=torch.float64)
    before = torch.random.get_rng_state()
    first, second, other = (
        sliced_score_matching(Bowl(), x, 1, generator_of("n", seed)).item() for seed in (0, 0, 1)
    )
    assert first == second != other
    assert torch.equal(before, torch.random.get_rng_state())
