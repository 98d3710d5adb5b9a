"""The flow loss, its schedules and its chains against closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.energy import Energy
from backend.objectives.energy_matching import (
    flow_matching,
    flow_steps,
    flow_weight,
    temperature_at,
)
from backend.randomness import generator_of


class Quadratic(Energy):
    """V(x) = λ x²/2 − b x summed over coordinates, with λ and b learned."""

    def __init__(self, curvature: float = 0.0, slope: float = 0.0) -> None:
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor(curvature, dtype=torch.float64))
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (0.5 * self.curvature * x.square() - self.slope * x).sum(1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator_of("normal", seed), dtype=torch.float64)


def test_at_one_time_its_least_is_the_potential_of_optimal_transport() -> None:
    """N(0, 1) to N(m, s²) is carried by T(x) = m + s x, whose lines at time t move with velocity
    v(x_t) = m + (s − 1)(x_t − t m)/(1 − t + t s): −V' with the loss 0, and no other quadratic."""
    mean, sd, moment = 1.5, 0.4, 0.3
    source = normal(400, 2)
    rate = (sd - 1) / (1 - moment + moment * sd)
    truth = Quadratic(-rate, mean - rate * moment * mean)
    time = torch.full((400,), moment, dtype=torch.float64)
    loss = flow_matching(truth, source, mean + sd * source, time).squares.mean()
    assert float(loss.detach()) < 1e-25
    for curvature, slope in ((0.1, 0.0), (0.0, 0.1)):
        off = Quadratic(-rate + curvature, mean - rate * moment * mean + slope)
        assert flow_matching(off, source, mean + sd * source, time).squares.mean() > 1e-3


def test_over_all_times_its_least_is_the_regression_of_the_lines() -> None:
    """Of N(0, 1) to N(m, s²) by transport: −V'(x) = b − λx with λ = −Cov(x_t, v)/Var(x_t) over
    time too. With x_t = c z + t m, v = (s − 1) z + m and c = 1 − t + t s: Cov = (s − 1) E[c] and
    Var = E[c²] + m² Var(t), t uniform."""
    mean, sd, num = 0.8, 0.5, 200_000
    covariance = (sd - 1) * (1 + sd) / 2
    variance = (1 + sd + sd**2) / 3 + mean**2 / 12
    curvature = -covariance / variance
    slope = mean + curvature * mean / 2
    potential = Quadratic(curvature, slope)
    source = normal(num, 1, seed=1)
    time = torch.rand(num, generator=generator_of("time"), dtype=torch.float64)
    squares = flow_matching(potential, source, mean + sd * source, time).squares
    squares.mean().backward()
    z = source[:, 0]
    x = (1 - time + time * sd) * z + time * mean
    residual = ((sd - 1) * z + mean - (slope - curvature * x)).detach()
    for parameter, factor in ((potential.curvature, x), (potential.slope, -torch.ones_like(x))):
        error = float((2 * residual * factor).std()) / math.sqrt(num)
        assert parameter.grad is not None and abs(float(parameter.grad)) < 4 * error
    wrong = Quadratic(curvature + 0.1, slope)
    flow_matching(wrong, source, mean + sd * source, time).squares.mean().backward()
    assert wrong.curvature.grad is not None and float(wrong.curvature.grad) > 0.05


def test_noise_moves_the_points_and_not_what_is_asked_there() -> None:
    source, target, noise = normal(6, 2), normal(6, 2, seed=1), normal(6, 2, seed=2)
    time = torch.linspace(0, 1, 6, dtype=torch.float64)
    flow = flow_matching(Quadratic(2.0, 0.3), source, target, time, noise)
    x = source + time[:, None] * (target - source) + noise
    expected = (0.3 - 2.0 * x - (target - source)).square().sum(1)
    assert torch.allclose(flow.squares, expected)
    assert torch.allclose(flow.values, (x.square() - 0.3 * x).sum(1))


def test_the_temperature_rises_where_the_weight_of_the_flow_falls() -> None:
    time = torch.tensor([0.0, 0.6, 0.7, 0.8, 1.0, 4.0], dtype=torch.float64)
    expected = torch.tensor([0, 0, 0.25, 0.5, 1, 1], dtype=torch.float64)
    assert torch.allclose(temperature_at(time, 0.6, 0.15), 0.15 * expected)
    assert torch.allclose(flow_weight(time, 0.6), 1 - expected)


def test_before_noise_begins_the_flow_is_the_differential_equation() -> None:
    """x' = −λx by Euler: x (1 − Δt λ)^k, whatever the generator."""
    x = normal(5, 2)
    got, time = flow_steps(
        Quadratic(2.0), x, torch.zeros(5).double(), 8, 0.1, 0.9, 5.0, generator_of("walk")
    )
    assert torch.allclose(got, x * (1 - 0.2) ** 8)
    assert torch.allclose(time, torch.full_like(time, 0.8))


@pytest.mark.parametrize("step_size", [0.05, 0.3])
def test_after_time_one_its_law_is_that_of_the_energy(step_size: float) -> None:
    """On V = λx²/2 the chain's variance is ε / (λ (1 − Δt λ/2)), near ε/λ for small steps."""
    curvature, temperature, num = 2.0, 0.3, 20_000
    x, _ = flow_steps(
        Quadratic(curvature),
        3 + torch.zeros(num, 2).double(),
        torch.ones(num).double(),
        round(8 / step_size),
        step_size,
        0.8,
        temperature,
        generator_of("law"),
    )
    expected = temperature / (curvature * (1 - step_size * curvature / 2))
    error = expected * math.sqrt(2 / (2 * num))
    assert abs(float(x.square().mean()) - expected) < 4 * error
    assert abs(float(x.mean())) < 4 * math.sqrt(expected / (2 * num))


def test_chains_keep_their_own_times() -> None:
    """Of two halves that start together, only the one past time 1 feels noise."""
    time = torch.tensor([0.0] * 500 + [1.0] * 500).double()
    x, _ = flow_steps(
        Quadratic(), torch.zeros(1000, 1).double(), time, 5, 0.1, 0.6, 0.2, generator_of("two")
    )
    assert (x[:500] == 0).all()
    assert float(x[500:].var()) == pytest.approx(2 * 0.2 * 0.5, rel=4 * math.sqrt(2 / 500))
