"""Langevin, MALA and HMC against exact truth: moments within 4 standard errors, 20,000 chains.

Chains are independent, so that the standard error of a mean over them needs no autocorrelation.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers.hmc import HMC, HMCConfig
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.samplers.mala import MALA, MALAConfig, metropolis

NUM = 20_000
EULER = 0.5772156649015329
COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.2]], dtype=torch.float64)
MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)


class Skewed(Energy):
    """u ~ Gumbel(0, 1), v | u ~ N(u/2, 1/4): skewed and correlated, with moments in closed form."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        u, v = x.unbind(1)
        return u + torch.exp(-u) + 2 * (v - 0.5 * u).square()

    @staticmethod
    def moments() -> tuple[Tensor, Tensor]:
        spread = math.pi**2 / 6
        mean = torch.tensor([EULER, EULER / 2], dtype=torch.float64)
        covariance = torch.tensor(
            [[spread, spread / 2], [spread / 2, spread / 4 + 0.25]], dtype=torch.float64
        )
        return mean, covariance


TARGETS: dict[str, tuple[Energy, tuple[Tensor, Tensor]]] = {
    "correlated": (Gaussian(MEAN, COVARIANCE), (MEAN, COVARIANCE)),
    "skewed": (Skewed(), Skewed.moments()),
}
KERNELS: dict[str, tuple[Sampler, int]] = {
    "mala": (MALA(MALAConfig(step_size=0.12)), 200),
    "hmc": (HMC(HMCConfig(step_size=0.25, num_leapfrog=6)), 40),
}
SMALL: dict[str, Sampler] = {
    "langevin": Langevin(LangevinConfig()),
    "mala": MALA(MALAConfig()),
    "hmc": HMC(HMCConfig()),
}
"""As they come."""


def worst_error(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Largest error of any entry of mean and covariance, in standard errors of independent x."""
    x = x.double() - mean
    products = torch.einsum("ni,nj->nij", x, x)
    root = math.sqrt(len(x))
    of_mean = x.mean(0).abs() / (x.std(0) / root)
    of_covariance = (products.mean(0) - covariance).abs() / (products.std(0) / root)
    return float(max(of_mean.max(), of_covariance.max()))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_moment_is_exact_within_four_standard_errors(kernel: str, target: str) -> None:
    energy, (mean, covariance) = TARGETS[target]
    sampler, num_steps = KERNELS[kernel]
    # not far to the left, where the skewed target is a wall: chains would not leave their start
    start = 1 + 0.5 * torch.randn(NUM, 2, generator=generator_of("start", 0))
    walk = samplers.run(sampler, start, energy, generator_of("walk", kernel, target), num_steps)
    assert 0.3 < walk.acceptance_rate < 0.995
    assert worst_error(walk.state.position, mean, covariance) < 4


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_temperature_widens_the_law(kernel: str) -> None:
    temperature = 2.5
    sampler: Sampler = (
        MALA(MALAConfig(step_size=0.1, temperature=temperature))
        if kernel == "mala"
        else HMC(HMCConfig(step_size=0.3, num_leapfrog=6, temperature=temperature))
    )
    energy = Gaussian(MEAN, COVARIANCE)
    start = torch.randn(NUM, 2, generator=generator_of("start", 1))
    walk = samplers.run(sampler, start, energy, generator_of("hot", kernel), 150)
    assert worst_error(walk.state.position, MEAN, temperature * COVARIANCE) < 4


@pytest.mark.parametrize("shape", [(3, 4), (1, 5, 5), (3, 2, 2, 2)], ids=str)
def test_hmc_on_image_shapes(shape: tuple[int, ...]) -> None:
    """Independent pixels of known mean and spread, whatever the shape of the event."""
    spread = torch.linspace(0.5, 2, math.prod(shape)).reshape(shape)

    class Pixels(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0.5 * ((x - 1) / spread).square().flatten(1).sum(1)

    start = torch.zeros(4000, *shape)
    sampler = HMC(HMCConfig(step_size=0.35, num_leapfrog=8))
    walk = samplers.run(sampler, start, Pixels(), generator_of("images", *shape), 80)
    x = walk.state.position.double()
    assert x.shape == (4000, *shape)
    root = math.sqrt(len(x))
    # 50 entries at once: 4.5 standard errors of each leaves one failure in 1,500 such tests
    assert ((x.mean(0) - 1).abs() / (spread / root)).max() < 4.5
    assert ((x.var(0) - spread**2).abs() / (spread**2 * math.sqrt(2) / root)).max() < 4.5


@pytest.mark.parametrize("step_size", [0.05, 0.2, 0.35])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_langevins_bias_is_its_closed_form(step_size: float, scale: float) -> None:
    """On a Gaussian of precision Λ its covariance is T (Λ − aΛ²/2)⁻¹; its mean is exact."""
    precision = torch.linalg.inv(COVARIANCE)
    sampler = Langevin(LangevinConfig(step_size=step_size, noise_scale=scale))
    assert sampler.temperature == scale**2
    start = torch.randn(NUM, 2, generator=generator_of("start", 2))
    # the slowest direction has precision 0.5: its start is forgotten to exp(−10)
    num_steps = int(20 / step_size)
    walk = samplers.run(
        sampler,
        start,
        Gaussian(MEAN, COVARIANCE),
        generator_of("ula", f"{step_size} {scale}"),
        num_steps,
    )
    drift = precision - 0.5 * step_size * precision @ precision
    biased = sampler.temperature * torch.linalg.inv(drift)
    assert worst_error(walk.state.position, MEAN, biased) < 4
    assert walk.gradient_evaluations == num_steps + 1
    if step_size > 0.1:
        unbiased = sampler.temperature * COVARIANCE
        assert worst_error(walk.state.position, MEAN, unbiased) > 6, "the bias can be seen"


def test_langevin_is_the_update_it_says_with_the_gradient_carried_over() -> None:
    energy = Gaussian(MEAN, COVARIANCE)
    sampler = Langevin(LangevinConfig(step_size=0.1, noise_scale=0.5))
    start = torch.randn(5, 2, generator=generator_of("start", 3))
    state = sampler.init(start, energy, generator_of("a", 0))
    after, info = sampler.step(state, energy, generator_of("a", 1))
    noise = torch.randn(5, 2, generator=generator_of("a", 1))
    _, gradient = energy_and_gradient(energy, start)
    expected = start - 0.1 * gradient + 0.5 * math.sqrt(0.2) * noise
    assert torch.allclose(after.position, expected, atol=1e-6)
    assert info.gradient_evaluations == 1
    assert torch.allclose(after.gradient, energy_and_gradient(energy, after.position)[1], atol=1e-5)


def test_a_clipped_gradient_moves_no_further_than_it_says() -> None:
    """Element by element; what is within the clip is left alone, and the gradient carried on is
    the true one."""
    energy = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = Langevin(LangevinConfig(step_size=0.1, noise_scale=1e-6, gradient_clip=2.0))
    start = torch.tensor([[5.0, 0.5], [-7.0, -1.5], [0.0, 2.5]])
    state = sampler.init(start, energy, generator_of("a", 0))
    after, _ = sampler.step(state, energy, generator_of("a", 1))
    expected = torch.tensor([[0.2, 0.05], [-0.2, -0.15], [0.0, 0.2]])
    assert torch.allclose(start - after.position, expected, atol=1e-4)
    assert torch.allclose(after.gradient, after.position)


@pytest.mark.parametrize("value", [1e3, math.inf, math.nan])
@pytest.mark.parametrize("kernel", sorted(SMALL))
def test_one_chain_that_runs_away_leaves_the_others_alone(kernel: str, value: float) -> None:
    """The others walk exactly as they do beside a chain that behaves."""

    class Cliff(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return torch.where(x[:, 0] > 100, torch.nan, 0.5 * x.square().sum(1))

    good = torch.zeros(4, 2)
    bad = good.clone()
    bad[2, 0] = value
    walks = [
        samplers.run(SMALL[kernel], start, Cliff(), generator_of("cliff", 0), 20)
        for start in (good, bad)
    ]
    others = [walk.state.position[[0, 1, 3]] for walk in walks]
    assert others[0].isfinite().all() and (others[0] != 0).all()
    assert torch.equal(*others)
    if SMALL[kernel].exact:
        stuck = walks[1].state.position[2]
        assert torch.equal(stuck.nan_to_num(), bad[2].nan_to_num()), "it stays where it was"


@pytest.mark.parametrize("kernel", sorted(SMALL))
def test_global_randomness_is_left_alone_and_the_generator_decides(kernel: str) -> None:
    energy, start = Gaussian(MEAN, COVARIANCE), torch.zeros(6, 2)
    before = torch.random.get_rng_state()
    first, second, other = (
        samplers.run(SMALL[kernel], start, energy, generator_of("walk", seed), 5).state.position
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not (first == other).any()
    assert len(first.unique(dim=0)) == 6, "chains draw noise of their own"
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("kernel", sorted(SMALL))
def test_no_graph_is_kept_and_none_is_needed(kernel: str) -> None:
    energy = Gaussian(MEAN, COVARIANCE)
    start = torch.zeros(3, 2, requires_grad=True)
    open_walk = samplers.run(SMALL[kernel], start, energy, generator_of("x", 0), 2)
    with torch.no_grad():
        closed_walk = samplers.run(SMALL[kernel], start, energy, generator_of("x", 0), 2)
    *parts, extra = open_walk.state
    assert not any(part.requires_grad for part in (*parts, *extra.values()))
    assert torch.equal(open_walk.state.position, closed_walk.state.position)


def test_metropolis_takes_each_chain_with_its_own_probability() -> None:
    num = 40_000
    old = torch.zeros(num, 1)
    rate = torch.tensor([0.0, 0.3, 1.0]).repeat_interleave(num // 3 + 1)[:num]
    before = State(old, old[:, 0], old)
    after = State(old + 1, old[:, 0] + 1, old + 1)
    uniform = torch.rand(num, generator=generator_of("u", 0))
    state, info = metropolis(before, after, rate.log(), uniform, 1)
    for value in (0.0, 0.3, 1.0):
        share = state.position[rate == value].mean()
        assert abs(float(share) - value) < 4 * math.sqrt(0.25 / (num / 3))
    assert torch.equal(info.accepted.float(), state.position[:, 0])


def test_weights_get_no_gradient_from_sampling() -> None:
    from backend.energies.mlp import MLPConfig, MLPEnergy

    network = MLPEnergy(MLPConfig(width=8, depth=1), torch.Size([2]), generator_of("net", 0))
    start = torch.zeros(4, 2)
    for sampler in SMALL.values():
        samplers.run(sampler, start, network, generator_of("x", 0), 3)
        assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())


def test_double_precision_stays_double() -> None:
    energy = Gaussian(MEAN, COVARIANCE)
    start = torch.zeros(4, 2, dtype=torch.float64)
    for sampler in SMALL.values():
        walk = samplers.run(sampler, start, energy, generator_of("x", 0), 2)
        assert walk.state.position.dtype == torch.float64
        assert walk.state.energy.dtype == torch.float64
