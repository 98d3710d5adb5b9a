"""Parallel tempering against exact truth: every rung's law, its swaps, its round trips."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian, GaussianMixture
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import State
from backend.samplers.parallel_tempering import (
    ParallelTempering,
    ParallelTemperingConfig,
    swaps,
    turned,
)

DOUBLE = torch.float64


class Gumbels(Energy):
    """Independent Gumbel coordinates. At β they are −log of Gamma(β, rate β) draws."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x + torch.exp(-x)).flatten(1).sum(1)

    @staticmethod
    def moments(beta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of a coordinate at each β."""
        mean = beta.log() - torch.digamma(beta)
        return mean, torch.polygamma(1, beta)

    @staticmethod
    def draw(beta: Tensor, num: int, seed: int) -> Tensor:
        """(len(beta), num, 2)"""
        torch_state = torch.random.get_rng_state()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            shape = beta[:, None, None].expand(-1, num, 2)
            drawn = -torch.distributions.Gamma(shape, shape).sample().log()
        assert torch.equal(torch_state, torch.random.get_rng_state())
        return drawn


def ring(scale: float = 4 / math.sqrt(2)) -> tuple[GaussianMixture, Tensor]:
    """Eight Gaussians of sd 0.3 on a circle of radius 4, weights 1:2 in turn, over the sd of it."""
    angles = torch.arange(8) * math.pi / 4
    means = 4 * torch.stack([angles.cos(), angles.sin()], 1) / scale
    weights = torch.tensor([1.0, 2.0] * 4, dtype=DOUBLE) / 12
    return GaussianMixture(means, 0.3 / scale, weights), weights


def ladder_of(state: State) -> Tensor:
    """Positions of all rungs, (R, chains, *event_shape)."""
    return torch.cat([state.position[None], state.extra["hot_position"]])


def worst(x: Tensor, expected: Tensor) -> float:
    """Largest error of the mean of x (chains, ...) in its standard errors."""
    return float(((x.mean(0) - expected).abs() / (x.std(0) / math.sqrt(len(x)))).max())


def test_from_one_mode_it_finds_every_mode_with_its_weight() -> None:
    energy, weights = ring()
    sampler = ParallelTempering(ParallelTemperingConfig(step_size=0.01))
    generator = generator_of("ring", 0)
    start = energy.means[1].repeat(250, 1)
    warm = samplers.run(sampler, start, energy, generator, 150).state
    walk = samplers.run(sampler, warm, energy, generator, 250, record_every=10)
    assert walk.positions is not None
    pooled = walk.positions.flatten(0, 1)
    assert len(pooled) >= 5000
    nearest = torch.cdist(pooled, energy.means).argmin(1)
    shares = torch.bincount(nearest, minlength=8) / len(pooled)
    assert 0.5 * (shares - weights).abs().sum() < 0.03
    assert walk.gradient_evaluations == 250 * 8


def test_every_rung_has_the_law_it_says() -> None:
    """Mean and variance of a skewed target at every β, within 4 standard errors."""
    sampler = ParallelTempering(
        ParallelTemperingConfig(num_temperatures=4, hottest=4.0, step_size=0.4)
    )
    start = 1 + 0.5 * torch.randn(2500, 2, generator=generator_of("start", 0), dtype=DOUBLE)
    walk = samplers.run(sampler, start, Gumbels(), generator_of("rungs", 0), 200)
    beta = walk.state.extra["beta"]
    assert torch.allclose(beta, 4 ** -(torch.arange(4, dtype=DOUBLE) / 3))
    mean, variance = Gumbels.moments(beta)
    assert 0.3 < walk.acceptance_rate < 0.95
    assert walk.info is not None and walk.info.figures["swap_rate_min"] > 0.3
    for rung, x in enumerate(ladder_of(walk.state)):
        assert worst(x, mean[rung].expand(2)) < 4
        assert worst((x - mean[rung]).square(), variance[rung].expand(2)) < 4


def test_from_an_exact_ladder_it_stays_exact() -> None:
    sampler = ParallelTempering(
        ParallelTemperingConfig(num_temperatures=3, hottest=5.0, step_size=0.3)
    )
    num, energy = 10_000, Gumbels()
    state = sampler.init(torch.zeros(num, 2, dtype=DOUBLE), energy, generator_of("unused", 0))
    beta = state.extra["beta"]
    x = Gumbels.draw(beta, num, 5)
    rungs = [sampler.init(part, energy, generator_of("unused", 0)) for part in x]
    state = rungs[0].carrying(
        hot_position=torch.stack([rung.position for rung in rungs[1:]]),
        hot_energy=torch.stack([rung.energy for rung in rungs[1:]]),
        hot_gradient=torch.stack([rung.gradient for rung in rungs[1:]]),
    )
    after = samplers.run(sampler, state, energy, generator_of("stay", 0), 10).state
    mean, variance = Gumbels.moments(beta)
    assert (after.position != x[0]).any(1).double().mean() > 0.9
    for rung, moved in enumerate(ladder_of(after)):
        assert worst(moved, mean[rung].expand(2)) < 4
        assert worst((moved - mean[rung]).square(), variance[rung].expand(2)) < 4


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_confined_replicas_are_mixed_with_a_gaussian(temperature: float) -> None:
    """exp(−βE/T − (1−β)κ|x|²/2) of a Gaussian E is Gaussian: its moments, at every rung."""
    mean, covariance = torch.tensor([1.5, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]])
    sampler = ParallelTempering(
        ParallelTemperingConfig(
            num_temperatures=3,
            hottest=8.0,
            step_size=0.2,
            confinement=0.5,
            temperature=temperature,
        )
    )
    start = torch.randn(3000, 2, generator=generator_of("start", 1), dtype=DOUBLE)
    energy = Gaussian(mean, covariance)
    state = samplers.run(sampler, start, energy, generator_of("confined", 0), 100).state
    for beta, x in zip(state.extra["beta"], ladder_of(state), strict=True):
        pull = beta / temperature * torch.linalg.inv(covariance.double())
        spread = torch.linalg.inv(pull + (1 - beta) * 0.5 * torch.eye(2))
        centre = spread @ pull @ mean.double()
        centred = x - centre
        assert worst(x, centre) < 4
        assert worst(centred[:, :, None] * centred[:, None, :], spread) < 4


# ---------------------------------------------------------------------- swaps


def swapped(num: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Exact draws of two rungs before and after one swap, β, and the rates told."""
    beta = torch.tensor([1.0, 0.35], dtype=DOUBLE)
    x = Gumbels.draw(beta, num, seed)
    value = torch.stack([Gumbels()(part) for part in x])
    swap = swaps(-value, beta, torch.tensor(0), generator_of("swap", seed))
    return x, x.gather(0, swap.source[..., None].expand(x.shape)), beta, swap.rate


def test_every_swap_is_balanced_by_its_reverse() -> None:
    """From exact draws, (before, after) and (after, before) are equally likely."""
    before, after, _, _ = swapped(20_000, 3)

    def features(z: Tensor) -> Tensor:
        cold, hot = z
        parts = [cold[:, 0], hot[:, 0], cold[:, 0] * hot[:, 1], cold[:, 1] ** 2, hot.amin(1)]
        return torch.stack([torch.ones_like(parts[0]), *parts], 1)

    assert 0.3 < (before != after)[0, :, 0].double().mean() < 0.9
    left, right = features(before), features(after)
    outer = left[:, :, None] * right[:, None, :]
    rows, columns = torch.triu_indices(left.shape[1], left.shape[1], 1)
    assert worst((outer - outer.mT)[:, rows, columns], torch.zeros(())) < 4


def test_the_swap_rate_is_the_ratio_of_the_joint_densities() -> None:
    before, after, beta, rate = swapped(500, 4)
    x, y = Gumbels()(before[0]), Gumbels()(before[1])
    here, there = -beta[0] * x - beta[1] * y, -beta[0] * y - beta[1] * x
    assert torch.allclose(rate[0], (there - here).exp().clamp(max=1))
    moved = (before != after)[0, :, 0].double()
    error = (rate[0] * (1 - rate[0])).sum().sqrt() / 500
    assert abs(moved.mean() - rate.mean()) < 4 * error


def test_even_and_odd_pairs_take_turns_and_a_rate_that_is_no_number_is_refused() -> None:
    beta = torch.tensor([1.0, 0.7, 0.5, 0.3, 0.1])
    # the hotter the lower the energy: every swap is certain
    certain = torch.arange(5.0)[:, None].repeat(1, 3)
    certain[3, 1] = torch.nan
    even = swaps(certain, beta, torch.tensor(0), generator_of("turns", 0)).source
    odd = swaps(certain, beta, torch.tensor(1), generator_of("turns", 0)).source
    assert even[:, 0].tolist() == [1, 0, 3, 2, 4]
    assert odd[:, 0].tolist() == [0, 2, 1, 4, 3]
    assert even[:, 1].tolist() == [1, 0, 2, 3, 4]
    assert odd[:, 1].tolist() == [0, 2, 1, 3, 4]


def test_a_round_trip_is_up_to_the_hottest_and_back() -> None:
    """One walker by hand: 0 → 1 → 2 → 1 → 0, one round trip, at the end."""
    direction = torch.tensor([[1], [0], [0]])
    trips = []
    for low in (0, 1, 1, 0):
        moved = direction.clone()
        moved[low], moved[low + 1] = direction[low + 1], direction[low]
        direction, count = turned(moved)
        trips.append(int(count))
    assert trips == [0, 0, 0, 1]
    assert direction[:, 0].tolist() == [1, 1, 0]


def test_coming_back_without_having_been_hottest_is_no_round_trip() -> None:
    direction = torch.tensor([[1], [0], [0]])
    for _ in range(4):
        direction, count = turned(direction[[1, 0, 2]])
        assert int(count) == 0
    # and one that started hottest has not come up: it goes down as nothing
    assert turned(torch.tensor([[1], [0], [0]]))[0].tolist() == [[1], [0], [0]]


# ---------------------------------------------------------------------- tuning


def test_warm_up_finds_the_steps_and_evens_out_the_swaps() -> None:
    energy, _ = ring()
    config = ParallelTemperingConfig(step_size=1.0, num_temperatures=5)
    start = energy.draw(500, generator_of("start", 2))

    def rates(adapt: bool) -> tuple[Tensor, Tensor, State]:
        sampler = ParallelTempering(config.model_copy(update={"adapt": adapt}))
        generator = generator_of("tune", 0)
        state, seen = sampler.init(start, energy, generator), []
        for index in range(250):
            state, info = sampler.step(state, energy, generator)
            state = sampler.tune(state, info, index, 250)
            seen.append(state.extra["swaps"])
        acceptance = []
        for _ in range(20):
            state, _ = sampler.step(state, energy, generator)
            acceptance.append(state.extra["acceptance"])
            seen.append(state.extra["swaps"])
        return torch.stack(acceptance).mean(0), torch.stack(seen[-60:]).mean(0), state

    acceptance, swap, state = rates(True)
    assert (acceptance - 0.574).abs().max() < 0.05
    assert swap.max() - swap.min() < 0.05
    beta = state.extra["beta"]
    assert float(beta[0]) == 1 and float(beta[-1]) == pytest.approx(1 / 30, rel=1e-4)
    assert (beta.diff() < 0).all()
    acceptance, swap, state = rates(False)
    assert acceptance.max() < 0.1
    assert float(state.extra["step_size"]) == 1 and (state.extra["step_ratio"] == 1).all()


def test_the_step_size_it_carries_is_the_one_it_takes() -> None:
    energy, _ = ring()
    sampler = ParallelTempering(ParallelTemperingConfig())
    state = sampler.init(torch.zeros(50, 2), energy, generator_of("a", 0))
    state = state.carrying(step_size=torch.tensor(1e-10))
    _, info = sampler.step(state, energy, generator_of("a", 1))
    assert info.proposal.abs().max() < 1e-3 and info.acceptance_rate.min() > 0.99
