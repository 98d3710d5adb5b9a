"""What makes MALA and HMC exact: detailed balance, honest rates, a leapfrog that can go back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers.hmc import HMC, HMCConfig, leapfrog
from backend.samplers.mala import MALA, MALAConfig, metropolis

NUM = 20_000
DOUBLE = torch.float64
MEAN = torch.tensor([0.5, -1.0])
COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.2]])


class Gumbels(Energy):
    """Independent Gumbel(0, 1) coordinates: skewed, with exact draws −log of exponentials."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x + torch.exp(-x)).flatten(1).sum(1)

    @staticmethod
    def draw(num: int, generator: torch.Generator) -> Tensor:
        return -torch.empty(num, 2, dtype=DOUBLE).exponential_(generator=generator).log()


def exact(kernel: str, temperature: float = 1.0) -> Sampler:
    """Steps so long that a good share is rejected: the correction has work to do."""
    if kernel == "mala":
        return MALA(MALAConfig(step_size=0.3, temperature=temperature))
    step_size = 0.8 * math.sqrt(temperature)
    return HMC(HMCConfig(step_size=step_size, num_leapfrog=3, temperature=temperature))


def gaussian(temperature: float) -> tuple[Energy, Tensor]:
    """A correlated energy and exact draws from exp(−E/T), which is a wider Gaussian."""
    wide = Gaussian(MEAN, temperature * COVARIANCE)
    return Gaussian(MEAN, COVARIANCE), wide.draw(NUM, generator_of("draws", 0)).double()


def flows(x: Tensor, y: Tensor) -> Tensor:
    """f(x) g(y) − f(y) g(x), (num, pairs), for many f and g: 0 on average if x → y is as y → x."""

    def features(z: Tensor) -> Tensor:
        u, v = z.unbind(1)
        return torch.stack([torch.ones_like(u), u, v, u * u, u * v, u.tanh(), (v > 0).to(u)], 1)

    left, right = features(x), features(y)
    outer = left[:, :, None] * right[:, None, :]
    rows, columns = torch.triu_indices(left.shape[1], left.shape[1], 1)
    return (outer - outer.mT)[:, rows, columns]


def worst(x: Tensor) -> float:
    """Largest mean of the columns of x (num, columns), in its standard errors."""
    return float((x.mean(0).abs() / (x.std(0) / math.sqrt(len(x)))).max())


@pytest.mark.parametrize("target", ["skewed", "correlated", "correlated, hot"])
@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_every_flow_is_balanced_by_its_reverse(kernel: str, target: str) -> None:
    """From exact draws, one step: (x, y) and (y, x) are equally likely, to 4 standard errors."""
    temperature = 2.5 if target.endswith("hot") else 1.0
    energy: Energy = Gumbels()
    x = Gumbels.draw(NUM, generator_of("draws", 1))
    if target != "skewed":
        energy, x = gaussian(temperature)
    sampler = exact(kernel, temperature)
    walk = samplers.run(sampler, x, energy, generator_of("flow", kernel, target), 1)
    assert 0.3 < walk.acceptance_rate < 0.95
    assert worst(flows(x, walk.state.position)) < 4


def test_malas_rate_is_the_ratio_of_the_densities() -> None:
    """π(y) q(x|y) / π(x) q(y|x), from textbook normal densities, both uphill and downhill."""
    step_size, temperature = 0.3, 1.7
    energy, x = Gumbels(), Gumbels.draw(2000, generator_of("draws", 2))
    sampler = MALA(MALAConfig(step_size=step_size, temperature=temperature))
    walk = samplers.run(sampler, x, energy, generator_of("rate", 0), 1)
    assert walk.info is not None
    y = walk.info.proposal

    def log_move(start: Tensor, end: Tensor) -> Tensor:
        centre = start - step_size * (1 - torch.exp(-start))
        sd = math.sqrt(2 * step_size * temperature)
        return torch.distributions.Normal(centre, sd).log_prob(end).sum(1)

    forth = -energy(x) / temperature + log_move(x, y)
    back = -energy(y) / temperature + log_move(y, x)
    log_ratio = back - forth
    assert 0.2 < (log_ratio > 0).double().mean() < 0.8
    expected = log_ratio.clamp(max=0).exp()
    assert torch.allclose(walk.info.acceptance_rate, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_the_rate_told_is_the_share_that_moved(kernel: str) -> None:
    energy, x = Gumbels(), Gumbels.draw(NUM, generator_of("draws", 3))
    sampler, generator = exact(kernel), generator_of("told", kernel)
    state = sampler.init(x, energy, generator)
    rates, moved = [], []
    for _ in range(5):
        after, info = sampler.step(state, energy, generator)
        stayed = (after.position == state.position).all(1)
        assert torch.equal(info.accepted, ~stayed)
        there = torch.where(info.accepted[:, None], info.proposal, state.position)
        assert torch.equal(after.position, there)
        rates.append(info.acceptance_rate)
        moved.append(info.accepted.double())
        state = after
    rate, count = torch.cat(rates), torch.cat(moved)
    error = (rate * (1 - rate)).sum().sqrt() / len(rate)
    assert 0.2 < rate.mean() < 0.95
    assert abs(rate.mean() - count.mean()) < 4 * error
    walk = samplers.run(sampler, x, energy, generator_of("told", kernel), 5)
    assert float(walk.acceptance_rate) == pytest.approx(float(rate.mean()))


def test_metropolis_knows_what_is_certain_and_what_is_no_number() -> None:
    rates = [math.nan, -math.inf, -1e6, 0.0, 1e6, math.inf]
    old, new = torch.zeros(6, 1), torch.full((6, 1), torch.nan)
    new[3:] = 1.0
    before, after = State(old, old[:, 0], old), State(new, new[:, 0], new)
    for uniform in (0.0, 1 - 2**-24):
        draws = torch.full((6,), uniform)
        state, info = metropolis(before, after, torch.tensor(rates), draws, 3)
        assert info.accepted.tolist() == [False] * 3 + [True] * 3
        assert info.acceptance_rate.tolist() == [0, 0, 0, 1, 1, 1]
        expected = torch.tensor([0.0, 0, 0, 1, 1, 1])
        for part in (state.position[:, 0], state.energy, state.gradient[:, 0]):
            assert torch.equal(part, expected), "nothing of a refused proposal stays"
        assert info.gradient_evaluations == 3


# ---------------------------------------------------------------------- leapfrog


def phase(num: int) -> tuple[State, Tensor]:
    """Positions drawn from the skewed target, and momenta, float64."""
    x = Gumbels.draw(num, generator_of("phase", 0))
    momentum = torch.randn(num, 2, generator=generator_of("phase", 1), dtype=DOUBLE)
    return HMC(HMCConfig()).init(x, Gumbels(), generator_of("unused", 0)), momentum


def test_leapfrog_goes_back_the_way_it_came() -> None:
    start, momentum = phase(500)
    end, there = leapfrog(start, momentum, Gumbels(), 0.2, 9, 1.5)
    assert (end.position - start.position).abs().mean() > 0.5
    back, again = leapfrog(end, -there, Gumbels(), 0.2, 9, 1.5)
    assert torch.allclose(back.position, start.position, atol=1e-11)
    assert torch.allclose(-again, momentum, atol=1e-11)


def test_leapfrog_keeps_volume() -> None:
    """The Jacobian of (x, p) → (x′, p′), by central differences, has determinant 1."""
    num, width = 50, 1e-5
    start, momentum = phase(num)
    columns = []
    for index in range(4):
        ends = []
        for sign in (1, -1):
            shift = torch.zeros(4, dtype=DOUBLE)
            shift[index] = sign * width
            at = HMC(HMCConfig()).init(start.position + shift[:2], Gumbels(), generator_of("u", 0))
            end, there = leapfrog(at, momentum + shift[2:], Gumbels(), 0.3, 6)
            ends.append(torch.cat([end.position, there], 1))
        columns.append((ends[0] - ends[1]) / (2 * width))
    jacobian = torch.stack(columns, 2)
    assert (jacobian - torch.eye(4, dtype=DOUBLE)).abs().amax((1, 2)).min() > 0.1
    assert torch.allclose(torch.linalg.det(jacobian), torch.ones(num, dtype=DOUBLE), atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_leapfrogs_error_in_the_hamiltonian_is_of_second_order(temperature: float) -> None:
    start, momentum = phase(2000)
    errors = []
    for step_size, length in ((0.1, 10), (0.05, 20), (0.025, 40)):
        end, there = leapfrog(start, momentum, Gumbels(), step_size, length, temperature)
        rise = (end.energy - start.energy) / temperature
        rise = rise + 0.5 * (there.square() - momentum.square()).sum(1)
        errors.append(float(rise.abs().mean()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.03)


def test_leapfrog_follows_the_exact_motion() -> None:
    """In E = x²/2 at temperature T a point swings: x cos ωt + (p/ω) sin ωt, ω = 1/√T."""
    energy, temperature, time = Gaussian(torch.zeros(1), torch.eye(1)), 1.6, 2.0
    x = torch.randn(100, 1, generator=generator_of("swing", 0), dtype=DOUBLE)
    momentum = torch.randn(100, 1, generator=generator_of("swing", 1), dtype=DOUBLE)
    start = HMC(HMCConfig()).init(x, energy, generator_of("u", 0))
    omega = temperature**-0.5
    expected = x * math.cos(omega * time) + momentum / omega * math.sin(omega * time)
    errors = []
    for length in (50, 100):
        end, _ = leapfrog(start, momentum, energy, time / length, length, temperature)
        errors.append(float((end.position - expected).abs().max()))
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_lengths_are_uniform_between_half_and_one_and_a_half() -> None:
    """Chi-squared of the counts, and no memory from one trajectory to the next."""
    sampler, generator = HMC(HMCConfig(step_size=0.01, num_leapfrog=6)), generator_of("length", 0)
    energy = Gaussian(torch.zeros(1), torch.eye(1))
    state = sampler.init(torch.zeros(2, 1), energy, generator)
    lengths = []
    for _ in range(1400):
        state, info = sampler.step(state, energy, generator)
        lengths.append(info.gradient_evaluations)
    seen = torch.tensor(lengths)
    counts = torch.bincount(seen)[3:].double()
    assert (int(seen.min()), int(seen.max())) == sampler.config.length_range == (3, 9)
    # 6 degrees of freedom: above 27.9 with a chance of 1e-4
    assert float((counts - 200).square().sum() / 200) < 27.9
    centred = seen.double() - 6
    assert abs(float((centred[1:] * centred[:-1]).mean()) / 4) < 4 / math.sqrt(1399)
