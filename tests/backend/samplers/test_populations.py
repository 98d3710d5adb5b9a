"""SVGD and consensus against closed forms; and what every kernel that carries more must keep."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy, energy_and_gradient
from backend.errors import BadInput
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers.ais import AIS, AISConfig
from backend.samplers.annealed_langevin import AnnealedLangevin, AnnealedLangevinConfig
from backend.samplers.consensus import (
    ConsensusOptimisation,
    ConsensusOptimisationConfig,
    ConsensusSampling,
    ConsensusSamplingConfig,
    consensus,
    drift_alignment,
)
from backend.samplers.parallel_tempering import ParallelTempering, ParallelTemperingConfig
from backend.samplers.svgd import SVGD, SVGDConfig, stein_direction
from backend.samplers.tempered_smc import TemperedSMC, TemperedSMCConfig
from jobs.models import method_state as saved

DOUBLE = torch.float64
MEAN = torch.tensor([0.5, -1.0])
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]])
KERNELS: dict[str, Sampler] = {
    "ais": AIS(AISConfig(num_temperatures=6)),
    "annealed_langevin": AnnealedLangevin(
        AnnealedLangevinConfig(num_levels=3, num_steps_per_level=2)
    ),
    "consensus_optimisation": ConsensusOptimisation(ConsensusOptimisationConfig()),
    "consensus_sampling": ConsensusSampling(ConsensusSamplingConfig(measure_alignment=True)),
    "parallel_tempering": ParallelTempering(ParallelTemperingConfig(num_temperatures=3)),
    "svgd": SVGD(SVGDConfig(anneal_steps=5)),
    "tempered_smc": TemperedSMC(TemperedSMCConfig(num_steps_at_target=1, share_kept=0.3)),
}


class Underivable(Energy):
    """|x|²/2 whose derivative must never be taken."""

    class _NoBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            raise AssertionError("a gradient was taken")

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        self.calls += 1
        return 0.5 * Underivable._NoBackward.apply(x).square().flatten(1).sum(1)


class Pixels(Energy):
    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (x - 1).square().flatten(1).sum(1)


# ---------------------------------------------------------------------- SVGD


@pytest.mark.parametrize("adagrad", [True, False])
def test_stein_particles_have_the_gaussians_moments(adagrad: bool) -> None:
    """Deterministic; 200 particles in 2-D keep the covariance to a tenth, the mean to 0.05."""
    config = SVGDConfig(adagrad=adagrad, step_size=0.1 if adagrad else 1.0, temperature=1.5)
    start = torch.randn(200, 2, generator=generator_of("start", 0)) - 2
    energy = Gaussian(MEAN, COVARIANCE)
    walk = samplers.run(SVGD(config), start, energy, generator_of("x", 0), 250)
    x = walk.state.position
    assert (x.mean(0) - MEAN).abs().max() < 0.05
    assert (torch.cov(x.T) / (1.5 * COVARIANCE) - 1).abs().max() < 0.1


@pytest.mark.parametrize("dim", [3, 12])
def test_the_stein_direction_is_the_sum_over_pairs(dim: int) -> None:
    """The kernel differentiated by autograd, pair by pair."""
    x = torch.randn(9, dim, generator=generator_of("x", 1), dtype=DOUBLE)
    score = torch.randn(9, dim, generator=generator_of("x", 2), dtype=DOUBLE)
    pairs = torch.cdist(x, x)
    h = pairs.flatten().sort().values[40] ** 2 / math.log(10)
    expected = torch.zeros_like(x)
    for i in range(9):
        other = x.clone().requires_grad_(True)
        kernel = torch.exp(-(other - x[i]).square().sum(1) / h)
        (push,) = torch.autograd.grad(kernel.sum(), other)
        expected[i] = (kernel.detach()[:, None] * score + push).mean(0)
    direction, bandwidth = stein_direction(x, score)
    assert torch.allclose(direction, expected, atol=1e-12)
    assert float(bandwidth) == pytest.approx(float(h.sqrt()))


def test_a_stein_step_is_scaled_by_its_past_and_its_pull_grows() -> None:
    energy = Gaussian(MEAN, COVARIANCE)
    x = torch.randn(20, 2, generator=generator_of("x", 3))
    sampler = SVGD(SVGDConfig(step_size=0.1, anneal_steps=3, decay=0.9))
    state, squares = sampler.init(x, energy, generator_of("x", 0)), torch.zeros(20, 2)
    for count in range(1, 7):
        weight = min(1.0, count / 4) ** 4
        direction, _ = stein_direction(state.position, -weight * state.gradient)
        squares = direction**2 if count == 1 else 0.9 * squares + 0.1 * direction**2
        expected = state.position + 0.1 * direction / (squares.sqrt() + 1e-6)
        state, _ = sampler.step(state, energy, generator_of("x", 0))
        assert torch.allclose(state.position, expected, atol=1e-5)


def test_particles_in_one_place_stay_finite() -> None:
    walk = samplers.run(SVGD(SVGDConfig()), torch.zeros(5, 2), Pixels(), generator_of("x", 0), 5)
    assert walk.state.position.isfinite().all()
    assert (walk.state.position > 0).all(), "they go down the energy together"


@pytest.mark.bad_input
def test_too_many_stein_particles_are_refused_with_a_reason() -> None:
    with pytest.raises(BadInput, match=r"at most 2,048 for `svgd`.* got 2,049"):
        SVGD(SVGDConfig()).init(torch.zeros(2049, 2), Pixels(), generator_of("x", 0))


# ---------------------------------------------------------------------- consensus


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("inverse_temperature", [0.5, 2.0])
def test_consensus_sampling_keeps_a_gaussian(
    inverse_temperature: float, temperature: float
) -> None:
    """From far off, pooled over 40 draws of 1,000 particles: covariance to a tenth."""
    sampler = ConsensusSampling(
        ConsensusSamplingConfig(inverse_temperature=inverse_temperature, temperature=temperature)
    )
    start = 3 + 0.5 * torch.randn(1000, 2, generator=generator_of("start", 1))
    energy = Gaussian(MEAN, COVARIANCE)
    walk = samplers.run(sampler, start, energy, generator_of("cbs", 0), 300, record_every=5)
    assert walk.positions is not None
    pooled = walk.positions[20:].flatten(0, 1)
    assert (torch.cov(pooled.T) / (temperature * COVARIANCE) - 1).abs().max() < 0.1
    assert (pooled.mean(0) - MEAN).abs().max() < 0.1 * math.sqrt(temperature)


def test_consensus_sampling_that_optimises_narrows_as_it_should_on_a_gaussian() -> None:
    """Γ ← a²Γ + (1 − a²)(Γ⁻¹ + βΣ⁻¹)⁻¹ for infinitely many particles; here 4,000."""
    config = ConsensusSamplingConfig(goal="optimising", pace=0.4, inverse_temperature=1.5)
    start = torch.randn(4000, 2, generator=generator_of("start", 2))
    energy, kept = Gaussian(MEAN, COVARIANCE), math.exp(-0.8)
    walk = samplers.run(ConsensusSampling(config), start, energy, generator_of("cbs", 1), 20)
    spread = torch.eye(2)
    for _ in range(20):
        heard = torch.linalg.inv(torch.linalg.inv(spread) + 1.5 * torch.linalg.inv(COVARIANCE))
        spread = kept * spread + (1 - kept) * heard
    x = walk.state.position
    assert spread.diagonal().max() < 0.1
    assert (torch.cov(x.T) / spread - 1).abs().max() < 0.2
    assert (x.mean(0) - MEAN).abs().max() < 0.2


@pytest.mark.parametrize("num", [6, 200])
def test_consensus_noise_has_the_weighted_covariance(num: int) -> None:
    """h so large that x is m plus noise alone: mean and covariance over 8,000 draws."""
    dim = 8
    energy = Pixels()
    x = 1 + torch.randn(num, dim, generator=generator_of("x", 4), dtype=DOUBLE)
    sampler = ConsensusSampling(ConsensusSamplingConfig(pace=50.0, inverse_temperature=0.4))
    state = sampler.init(x, energy, generator_of("x", 0))
    weights = (-0.4 * energy(x)).softmax(0)
    mean = weights @ x
    covariance = 1.4 * ((x - mean).T * weights) @ (x - mean)
    generator = generator_of("noise", 0)
    drawn = [sampler.step(state, energy, generator)[0].position for _ in range(8000 // num)]
    moved = torch.cat(drawn) - mean
    products = moved[:, :, None] * moved[:, None, :]
    root = math.sqrt(len(moved))
    assert (moved.mean(0).abs() / (moved.std(0) / root)).max() < 4
    errors = (products.mean(0) - covariance).abs() / (products.flatten(1).std(0) / root).view(8, 8)
    # 36 distinct entries at once: 4.5 standard errors of each
    assert errors.max() < 4.5


def test_consensus_optimisation_agrees_on_the_bottom_of_a_bowl() -> None:
    sampler = ConsensusOptimisation(ConsensusOptimisationConfig(step_size=0.05, noise_scale=2.0))
    start = 3 * torch.randn(100, 1, 2, 2, generator=generator_of("start", 4))
    state = samplers.run(sampler, start, Pixels(), generator_of("bowl", 0), 250).state
    assert Pixels()(start).mean() > 10
    assert state.energy.max() < 0.1


@pytest.mark.slow
def test_consensus_optimisation_finds_rastrigins_minimum_in_most_runs() -> None:
    class Rastrigin(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return (x.square() + 10 * (1 - torch.cos(2 * math.pi * x))).sum(1)

    found = 0
    for seed in range(20):
        generator = generator_of("rastrigin", seed)
        sampler = ConsensusOptimisation(ConsensusOptimisationConfig())
        start = 6 * torch.rand(100, 4, generator=generator) - 3
        state = samplers.run(sampler, start, Rastrigin(), generator, 1000).state
        found += int(state.position.mean(0).abs().max() < 0.25)
    assert found >= 13, "at random, one of 6⁴ wells"


def test_a_step_of_consensus_optimisation_is_the_update_it_says_and_beta_grows() -> None:
    config = ConsensusOptimisationConfig(inverse_temperature=2.0, growth=0.5)
    sampler, energy = ConsensusOptimisation(config), Pixels()
    x = torch.randn(30, 3, generator=generator_of("x", 5))
    state = sampler.init(x, energy, generator_of("x", 0))
    after, info = sampler.step(state, energy, generator_of("step", 0))
    noise = torch.randn(30, 3, generator=generator_of("step", 0))
    mean = (-2.0 * energy(x)).softmax(0) @ x
    expected = x - 0.01 * (x - mean) + 5 * 0.1 * (x - mean) * noise
    assert torch.allclose(after.position, expected, atol=1e-6)
    assert float(info.figures["inverse_temperature"]) == 2
    assert float(after.extra["inverse_temperature"]) == 3


@pytest.mark.parametrize("kind", ["consensus_optimisation", "consensus_sampling"])
def test_consensus_takes_no_gradient_and_counts_each_evaluation(kind: str) -> None:
    sampler: Sampler = ConsensusOptimisation(ConsensusOptimisationConfig())
    if kind == "consensus_sampling":
        sampler = ConsensusSampling(ConsensusSamplingConfig())
    energy = Underivable()
    walk = samplers.run(sampler, torch.ones(6, 2, 3), energy, generator_of("x", 0), 4)
    assert walk.gradient_evaluations == energy.calls == 5
    assert walk.state.gradient.shape == (6, 2, 3) and not walk.state.gradient.any()
    assert torch.allclose(walk.state.energy, energy(walk.state.position))


def test_a_particle_that_ran_away_is_not_heard() -> None:
    class Cliff(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return torch.where(x[:, 0] > 100, torch.nan, 0.5 * x.square().sum(1))

    x = torch.randn(50, 2, generator=generator_of("x", 6))
    x[7] = math.inf
    for kind in ("consensus_optimisation", "consensus_sampling"):
        state = samplers.run(KERNELS[kind], x, Cliff(), generator_of("x", 0), 10).state
        assert state.position[torch.arange(50) != 7].isfinite().all()
        assert consensus(state)[0][7] == 0


# ---------------------------------------------------------------------- drift and gradient


def stage(x: Tensor, energy: Energy, inverse_temperature: float) -> State:
    config = ConsensusSamplingConfig(inverse_temperature=inverse_temperature)
    return ConsensusSampling(config).init(x, energy, generator_of("x", 0))


@pytest.mark.parametrize("inverse_temperature", [1.0, 3.0])
def test_on_a_gaussian_the_drift_is_down_the_preconditioned_gradient(
    inverse_temperature: float,
) -> None:
    """Particles of the target itself: m − x = −(1 + β) C ∇E, exactly with infinitely many."""
    energy = Gaussian(MEAN, torch.tensor([[1.0, 0.0], [0.0, 0.05]]))
    x = energy.draw(50_000, generator_of("draws", 0)).double()
    preconditioned, plain = drift_alignment(stage(x, energy, inverse_temperature), energy)
    assert preconditioned > 0.999
    # the angle between z and Σ⁻¹z, from draws of their own
    z = energy.draw(50_000, generator_of("draws", 1)).double() - MEAN
    steep = z / torch.tensor([1.0, 0.05])
    expected = torch.nn.functional.cosine_similarity(z, steep, dim=1).mean()
    assert expected < 0.8 and abs(plain - expected) < 0.01


def test_alignment_by_hand() -> None:
    """Particles at ±1 on each axis, E symmetric: m = 0, C diagonal, every cosine known."""

    class Bowl(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0.5 * (x[:, 0] ** 2 + 4 * x[:, 1] ** 2)

    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    preconditioned, plain = drift_alignment(stage(corners, Bowl(), 1.0), Bowl())
    # C = I, so both are the cosine of (1, 1) and (1, 4)
    assert float(preconditioned) == pytest.approx(5 / math.sqrt(34), abs=1e-5)
    assert float(plain) == pytest.approx(5 / math.sqrt(34), abs=1e-5)
    wide = corners * torch.tensor([2.0, 1.0])
    preconditioned, plain = drift_alignment(stage(wide, Bowl(), 1.0), Bowl())
    # −x = (2, 1), ∇E = (2, 4), C = diag(4, 1): C∇E = (8, 4) is along x
    assert float(preconditioned) == pytest.approx(1, abs=1e-5)
    assert float(plain) == pytest.approx(8 / math.sqrt(5 * 20), abs=1e-5)


def test_alignment_is_measured_only_where_asked_and_changes_nothing() -> None:
    energy, x = Gaussian(MEAN, COVARIANCE), torch.randn(40, 2, generator=generator_of("x", 7))
    walks = []
    for measured in (True, False):
        sampler = ConsensusSampling(ConsensusSamplingConfig(measure_alignment=measured))
        walk = samplers.run(sampler, x, energy, generator_of("x", 8), 3)
        assert walk.info is not None and walk.gradient_evaluations == (7 if measured else 4)
        assert ("gradient_alignment" in walk.info.figures) == measured
        walks.append(walk.state.position)
    assert torch.equal(*walks)


# ---------------------------------------------------------------------- every kernel of these


class Holder:
    """Holds a state the way a method does."""

    def __init__(self, state: State, generator: torch.Generator) -> None:
        self.state, self.generator = state, generator


@pytest.mark.parametrize("kind", KERNELS)
def test_saved_and_restored_it_goes_on_to_the_same_numbers(kind: str) -> None:
    sampler, energy = KERNELS[kind], Gaussian(MEAN, COVARIANCE)
    start = torch.randn(30, 2, generator=generator_of("start", 3))
    whole = Holder(sampler.init(start, energy, generator_of("x", 1)), generator_of("walk", kind))

    def advance(holder: Holder, num: int) -> list[dict[str, float]]:
        told = []
        for _ in range(num):
            holder.state, info = sampler.step(holder.state, energy, holder.generator)
            told.append({name: float(value) for name, value in info.figures.items()})
        return told

    advance(whole, 4)
    tensors, tree = saved.collect(whole)
    other = Holder(sampler.init(start + 1, energy, generator_of("x", 2)), generator_of("x", 3))
    saved.restore(other, tensors, tree, torch.device("cpu"))
    first, second = advance(whole, 9), advance(other, 9)
    assert repr(first) == repr(second)
    assert torch.equal(whole.state.position, other.state.position)
    assert whole.state.extra.keys() == other.state.extra.keys()
    for name, value in whole.state.extra.items():
        assert (
            torch.equal(
                value,
                other.state.extra[name],
            )
            or value.isnan().all()
        ), name


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=str)
def test_images_in_any_precision_and_nothing_written_into_a_state(
    kind: str, dtype: torch.dtype
) -> None:
    sampler, energy, generator = KERNELS[kind], Pixels(), generator_of("images", kind)
    start = torch.randn(16, 1, 3, 3, generator=generator, dtype=dtype)
    state = sampler.init(start, energy, generator)
    figures = None
    for _ in range(12):
        before = {name: value.clone() for name, value in parts(state).items()}
        after, info = sampler.step(state, energy, generator)
        for name, value in parts(state).items():
            assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name
            new = parts(after)[name]
            assert (new.shape, new.dtype) == (value.shape, value.dtype), name
            assert not new.requires_grad, name
        assert figures in (None, list(info.figures))
        assert all(value.dim() == 0 for value in info.figures.values())
        assert info.acceptance_rate.shape == info.accepted.shape == (16,)
        assert info.proposal.shape == start.shape and info.accepted.dtype == torch.bool
        figures, state = list(info.figures), after
    assert state.position.isfinite().all()
    value, gradient = energy_and_gradient(energy, state.position)
    assert torch.allclose(value, state.energy, atol=1e-4)
    if not kind.startswith("consensus"):
        assert torch.allclose(gradient, state.gradient, atol=1e-5)


def parts(state: State) -> dict[str, Tensor]:
    plain = {"position": state.position, "energy": state.energy, "gradient": state.gradient}
    return plain | dict(state.extra)


@pytest.mark.parametrize("kind", KERNELS)
def test_a_step_never_asks_the_host_for_a_number(kind: str) -> None:
    """On tensors without values, which raise when one is read."""
    sampler, generator = KERNELS[kind], generator_of("fake", 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        state = sampler.init(torch.zeros(16, 3, 4), Pixels(), generator)
        with pytest.raises(DataDependentOutputException):
            float(state.energy.sum())
        for index in range(3):
            state, info = sampler.step(state, Pixels(), generator)
            state = sampler.tune(state, info, index, 3)
    assert state.position.shape == (16, 3, 4)
