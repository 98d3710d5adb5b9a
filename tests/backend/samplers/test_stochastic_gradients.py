"""SGLD on Bayesian linear regression, whose posterior and whose bias are known exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy, InUnits, check_minibatch, energy_and_gradient
from backend.errors import BadInput
from backend.randomness import generator_of
from backend.samplers.sghmc import SGHMC, SGHMCConfig
from backend.samplers.sgld import SGLD, SGLDConfig
from tests.backend.samplers.laws import DOUBLE, LAWS, worst_error

NUM_DATA, BATCH, CHAINS = 1000, 50, 1000


class Regression(Energy):
    """E(θ) = |θ|²/2 + Σ (y_i − a_i·θ)²/2: a prior N(0, I), unit noise, rows a_i (num, dim).

    A minibatch is drawn with replacement, for each chain its own so that chains are independent.
    """

    def __init__(self, rows: Tensor, y: Tensor) -> None:
        super().__init__()
        self.rows, self.y = rows, y

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        squares = (self.y - x @ self.rows.T).square().sum(1)
        return 0.5 * x.square().sum(1) + 0.5 * squares

    @property
    def num_terms(self) -> int:
        return len(self.y)

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        return Minibatch(self, size, generator)

    def posterior(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, covariance and precision, float64."""
        rows, y = self.rows.double(), self.y.double()
        precision = torch.eye(rows.shape[1], dtype=DOUBLE) + rows.T @ rows
        covariance = torch.linalg.inv(precision)
        return covariance @ (rows.T @ y), covariance, precision


class Minibatch(Energy):
    def __init__(self, whole: Regression, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.whole, self.size, self.generator = whole, size, generator

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        num = self.whole.num_terms
        index = torch.randint(num, (len(x), self.size), generator=self.generator)
        rows, y = self.whole.rows[index], self.whole.y[index]
        residual = y - (rows * x[:, None]).sum(2)
        return 0.5 * x.square().sum(1) + 0.5 * num / self.size * residual.square().sum(1)


def regression() -> Regression:
    generator = generator_of("regression", 0)
    rows = torch.randn(NUM_DATA, 2, generator=generator) * torch.tensor([1.0, 0.7])
    return Regression(
        rows, rows @ torch.tensor([1.0, -0.5]) + torch.randn(NUM_DATA, generator=generator)
    )


def exact_law(energy: Regression, step_size: float, batch: int) -> Tensor:
    """Covariance (dim, dim) that SGLD settles in: the fixed point of its second moment, exactly.

    With δ = θ − mean, δ′ = δ − a (Â δ + ĝ) + √(2a) ξ, where Â and ĝ are those of the minibatch:
    S = S − a (ΛS + SΛ) + a² (ΛSΛ + (n²/b) Cov_i[a_i a_iᵀ δ + g_i]) + 2a I, g_i = −a_i r_i.
    """
    mean, _, precision = energy.posterior()
    rows, y = energy.rows.double(), energy.y.double()
    num, dim = rows.shape
    eye = torch.eye(dim, dtype=DOUBLE)
    one = torch.einsum("ni,nj->nij", rows, rows)
    slope = -(rows * (y - rows @ mean)[:, None])
    average = one.mean(0)
    spread = torch.einsum("nij,nkl->ikjl", one, one).reshape(dim**2, dim**2) / num
    spread = spread - torch.kron(average, average)
    centred = slope - slope.mean(0)
    constant = 2 * step_size * eye + step_size**2 * num**2 / batch * centred.T @ centred / num
    # δ and the slopes' own correlation drops out: the mean of δ is zero once it has settled
    drift = torch.kron(eye - step_size * precision, eye - step_size * precision)
    moved = drift + step_size**2 * num**2 / batch * spread
    fixed = torch.linalg.solve(torch.eye(dim**2, dtype=DOUBLE) - moved, constant.reshape(-1))
    return fixed.reshape(dim, dim)


def settled(sampler: SGLD | SGHMC, energy: Regression, num_steps: int, name: str) -> Tensor:
    mean, covariance, _ = energy.posterior()
    generator = generator_of("settled", name)
    noise = torch.randn(CHAINS, 2, generator=generator)
    start = mean.float() + noise * covariance.diagonal().sqrt().float()
    return samplers.run(sampler, start, energy, generator, num_steps).state.position


@pytest.mark.parametrize(
    ("step_size", "num_steps", "lowest", "highest"), [(1e-5, 250, 1.05, 1.25), (1e-4, 60, 1.5, 3.6)]
)
def test_minibatches_widen_sgld_by_what_can_be_computed(
    step_size: float, num_steps: int, lowest: float, highest: float
) -> None:
    energy = regression()
    mean, covariance, _ = energy.posterior()
    law = exact_law(energy, step_size, BATCH)
    ratio = law.diagonal() / covariance.diagonal()
    assert ratio.min() > lowest and ratio.max() < highest
    sampler = SGLD(SGLDConfig(step_size=step_size, batch_size=BATCH))
    x = settled(sampler, energy, num_steps, f"{step_size}")
    assert worst_error(x, mean, law) < 4
    if step_size == 1e-4:
        assert worst_error(x, mean, covariance) > 4, "the bias can be seen"


@pytest.mark.slow
def test_a_shrinking_step_makes_sgld_right() -> None:
    """From 1e-4, where the variance is more than half too large, to where nothing can be seen."""
    energy = regression()
    mean, covariance, _ = energy.posterior()
    config = SGLDConfig(step_size=1e-4, decay=0.6, delay=5.0, batch_size=BATCH)
    x = settled(SGLD(config), energy, 800, "shrinking")
    last = 1e-4 * (1 + 800 / 5) ** -0.6
    widened = exact_law(energy, last, BATCH).diagonal() / covariance.diagonal()
    assert widened.max() < 1.06, "what is left is about the standard error of the variances, 0.045"
    assert worst_error(x, mean, covariance) < 4


def test_whole_gradients_leave_langevins_own_bias_alone() -> None:
    """Variance 1/(λ (1 − aλ/2)), T times as wide at T."""
    energy = regression()
    mean, _, precision = energy.posterior()
    sampler = SGLD(SGLDConfig(step_size=3e-4, temperature=2.0))
    x = settled(sampler, energy, 50, "whole")
    law = 2.0 * torch.linalg.inv(precision - 0.5 * 3e-4 * precision @ precision)
    assert worst_error(x, mean, law) < 4


@pytest.mark.parametrize("target", ["skewed", "bent", "two modes"])
def test_slow_exact_steps_are_right_within_what_can_be_seen(target: str) -> None:
    law, generator = LAWS[target], generator_of("slow", target)
    sampler = SGLD(SGLDConfig(step_size=0.1, decay=0.6, delay=10.0))
    start = 1 + 0.5 * torch.randn(CHAINS, law.dim, generator=generator)
    walk = samplers.run(sampler, start, law.energy, generator, 700)
    assert worst_error(walk.state.position, law.mean, law.covariance) < 4


def test_the_schedule_is_the_one_it_says_and_goes_on_from_a_state() -> None:
    law, generator = LAWS["correlated"], generator_of("schedule", 0)
    sampler = SGLD(SGLDConfig(step_size=0.3, decay=0.55, delay=4.0))
    state = sampler.init(torch.zeros(3, 2), law.energy, generator)
    for index in range(6):
        noise = torch.randn(3, 2, generator=generator_of("noise", index))
        after, info = sampler.step(state, law.energy, generator_of("noise", index))
        now = 0.3 * (1 + index / 4) ** -0.55
        assert float(info.figures["step_size"]) == pytest.approx(now)
        expected = state.position - now * state.gradient + (2 * now) ** 0.5 * noise
        assert torch.allclose(after.position, expected, atol=1e-6)
        state = after
    assert int(state.extra["num_steps"]) == 6


def test_the_noise_of_minibatches_heats_sghmc_by_what_it_says() -> None:
    """As if T were larger by ε V / 2C in each coordinate, V that of the gradients at the mean."""
    energy = regression()
    mean, covariance, precision = energy.posterior()
    step_size, friction = 2e-3, 60.0
    config = SGHMCConfig(step_size=step_size, friction=friction, batch_size=BATCH)
    x = settled(SGHMC(config), energy, 200, "sghmc").double()
    slope = -(energy.rows.double() * (energy.y.double() - energy.rows.double() @ mean)[:, None])
    noise = NUM_DATA**2 / BATCH * slope.var(0)
    heat = 1 + step_size * noise / (2 * friction)
    assert heat.min() > 1.1
    widened = 1 - step_size**2 * precision.diagonal() / (2 * (2 - step_size * friction))
    ratio = x.var(0) / (covariance.diagonal() * heat / widened)
    assert (ratio - 1).abs().max() < 4 * (2 / CHAINS) ** 0.5
    assert ((x.mean(0) - mean) / (x.std(0) / CHAINS**0.5)).abs().max() < 4


# ---------------------------------------------------------------------- the protocol


def test_minibatches_pass_through_units_with_the_right_scale() -> None:
    """The mean of many minibatch gradients is the gradient, in the units that were asked for."""
    energy = regression()
    mean, _, _ = energy.posterior()
    shift, scale = mean.float(), torch.tensor([0.03, 0.2])
    in_units = InUnits(energy, -shift / scale, 1 / scale)
    assert in_units.num_terms == NUM_DATA
    z = torch.tensor([[0.7, -1.1]])
    _, whole = energy_and_gradient(in_units, z)
    _, there = energy_and_gradient(energy, shift + scale * z)
    assert torch.allclose(whole, scale * there, rtol=1e-3)
    part = in_units.minibatch(BATCH, generator_of("units", 0))
    _, gradients = energy_and_gradient(part, z.expand(20_000, 2))
    errors = (gradients.mean(0) - whole[0]) / (gradients.std(0) / 20_000**0.5)
    assert errors.abs().max() < 4


def test_minibatches_pass_through_a_bound_condition() -> None:
    energy = regression()
    bound = energy.given("context")
    x = torch.zeros(4, 2)
    assert bound.num_terms == NUM_DATA
    left = energy_and_gradient(bound.minibatch(5, generator_of("b", 0)), x)
    right = energy_and_gradient(energy.minibatch(5, generator_of("b", 0)), x)
    assert all(map(torch.equal, left, right))


@pytest.mark.parametrize("kind", ["sgld", "sghmc"])
def test_an_energy_without_minibatches_is_refused_at_the_field(kind: str) -> None:
    plain = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = SGLD(SGLDConfig(batch_size=5)) if kind == "sgld" else SGHMC(SGHMCConfig(batch_size=5))
    with pytest.raises(BadInput, match="must be 0 for an energy that is not a sum") as caught:
        sampler.init(torch.zeros(3, 2), plain, generator_of("x", 0))
    assert caught.value.problems[0].field == "config.sampler.batch_size"


def test_what_a_minibatch_may_be() -> None:
    energy = regression()
    check_minibatch(energy, 0)
    check_minibatch(energy, NUM_DATA)
    check_minibatch(Gaussian(torch.zeros(2), torch.eye(2)), 0)
    with pytest.raises(BadInput, match="must be at most 1000, the data, got 1001"):
        check_minibatch(energy, NUM_DATA + 1, "config.sampler.batch_size")
