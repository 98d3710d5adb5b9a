"""AIS, tempered SMC and annealed Langevin against exact normalisers, moments and mode weights."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian, GaussianMixture
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import Info, Sampler, State
from backend.samplers.ais import AIS, AISConfig, reverse_ais
from backend.samplers.annealed_langevin import AnnealedLangevin, AnnealedLangevinConfig
from backend.samplers.annealing import Path, level_beta, log_mean, log_z, move, weight_ess
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.samplers.tempered_smc import (
    TemperedSMC,
    TemperedSMCConfig,
    ancestors_of,
    distinct_share,
    next_beta,
)

DOUBLE = torch.float64
LOG_Z = 2.5
MEAN = torch.tensor([0.5, -1.0])
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]])


class Planted(Energy):
    """A normalised density's energy with log ∫ exp(−E) set to `log_z`."""

    def __init__(self, energy: Energy, log_z: float = LOG_Z) -> None:
        super().__init__()
        self.energy, self.log_z = energy, log_z

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(x) - self.log_z


def ring(scale: float = 4 / math.sqrt(2)) -> tuple[GaussianMixture, Tensor]:
    """Eight Gaussians of sd 0.3 on a circle of radius 4, weights 1:2 in turn, over the sd of it."""
    angles = torch.arange(8) * math.pi / 4
    means = 4 * torch.stack([angles.cos(), angles.sin()], 1) / scale
    weights = torch.tensor([1.0, 2.0] * 4, dtype=DOUBLE) / 12
    return GaussianMixture(means, 0.3 / scale, weights), weights


def variation(x: Tensor, log_weights: Tensor | None = None) -> float:
    """Total variation of the mode weights of draws from those of the ring."""
    energy, weights = ring()
    of_draws = torch.zeros(len(x)) if log_weights is None else log_weights
    nearest = torch.cdist(x, energy.means).argmin(1)
    shares = torch.zeros(8).scatter_add(0, nearest, of_draws.softmax(0))
    return float(0.5 * (shares - weights).abs().sum())


def one_pass(sampler: Sampler, energy: Energy, like: Tensor, seed: int) -> tuple[State, Info]:
    """The state and info at the end of a first pass."""
    generator = generator_of("pass", seed)
    state = sampler.init(like, energy, generator)
    for _ in range(2000):
        state, info = sampler.step(state, energy, generator)
        if info.complete:
            return state, info
    raise AssertionError("no pass is ever complete")


def weights_of(info: Info) -> Tensor:
    assert info.log_weights is not None
    return info.log_weights


# ---------------------------------------------------------------------- schedules and weights


@pytest.mark.parametrize("schedule", ["sigmoid", "linear", "geometric"])
@pytest.mark.parametrize("num", [1, 2, 7, 300])
def test_every_schedule_climbs_from_0_to_1(schedule: Any, num: int) -> None:
    beta = level_beta(torch.arange(num + 1), num, schedule)
    assert float(beta[0]) == 0 and float(beta[-1]) == 1
    assert (beta.diff() > 0).all()


def test_the_sigmoid_schedule_is_the_logistic_function_between_4_and_minus_4() -> None:
    beta = level_beta(torch.arange(11), 10, "sigmoid")
    curve = torch.sigmoid(4 * (2 * torch.arange(11) / 10 - 1))
    expected = (curve - curve[0]) / (curve[-1] - curve[0])
    assert torch.allclose(beta, expected, atol=1e-6)


def test_log_z_and_its_error_are_those_of_a_mean() -> None:
    """Log-normal weights of sd s: log Z = s²/2 forward, and in reverse from weights of 1/w."""
    num, sd = 200_000, 0.7
    drawn = sd * torch.randn(num, generator=generator_of("w", 0), dtype=DOUBLE)
    for reverse, truth in ((False, sd**2 / 2), (True, -(sd**2) / 2)):
        estimate, error = log_z(drawn, reverse)
        assert float(error) == pytest.approx(math.sqrt(math.expm1(sd**2) / num), rel=0.05)
        assert abs(float(estimate) - truth) < 4 * error
    assert float(weight_ess(drawn)) == pytest.approx(math.exp(-(sd**2)), rel=0.03)


@pytest.mark.parametrize("num_leapfrog", [1, 4])
def test_moves_keep_every_law_of_the_path(num_leapfrog: int) -> None:
    """From exact draws of exp(−U_β), Gaussian for a Gaussian E: moments after 5 moves."""
    path, beta, num = Path(1.6, 0.3), torch.tensor(0.4, dtype=DOUBLE), 20_000
    precision = beta / 1.6 * torch.linalg.inv(COVARIANCE.double())
    spread = torch.linalg.inv(precision + 0.6 * 0.3 * torch.eye(2, dtype=DOUBLE))
    centre = spread @ precision @ MEAN.double()
    energy, sampler = Gaussian(MEAN, COVARIANCE), AIS(AISConfig())
    generator, step_size = generator_of("law", 0), torch.tensor(0.6)
    white = torch.randn(num, 2, generator=generator, dtype=DOUBLE)
    start = centre + white @ torch.linalg.cholesky(spread).T
    state = Langevin(LangevinConfig()).init(start, energy, generator)
    for _ in range(5):
        state, info = move(sampler, state, energy, generator, path, beta, step_size, num_leapfrog)
        assert 0.2 < info.acceptance_rate.mean() < 0.98
        assert info.gradient_evaluations == num_leapfrog
    x = state.position - centre
    products = x[:, :, None] * x[:, None, :]
    assert (x.mean(0).abs() / (x.std(0) / math.sqrt(num))).max() < 4
    errors = (products.mean(0) - spread).abs() / (products.std(0) / math.sqrt(num))
    assert errors.max() < 4


# ---------------------------------------------------------------------- the ring


def test_ais_knows_the_rings_normaliser_and_mode_weights() -> None:
    sampler = AIS(AISConfig(num_temperatures=500, step_size=0.005))
    state, info = one_pass(sampler, Planted(ring()[0]), torch.zeros(3000, 2), 0)
    estimate, error = log_z(weights_of(info))
    assert abs(estimate - LOG_Z) < 0.05 and abs(estimate - LOG_Z) < 4 * error
    assert float(info.figures["log_z"]) == float(estimate)
    assert variation(state.position, weights_of(info)) < 0.06
    assert 0.3 < info.figures["weight_ess"] < 0.7


@pytest.mark.slow
def test_ten_passes_of_smc_know_the_rings_normaliser_and_mode_weights() -> None:
    sampler, energy = TemperedSMC(TemperedSMCConfig(step_size=0.01)), Planted(ring()[0])
    generator, found, ends = generator_of("passes", 0), [], []
    state = sampler.init(torch.zeros(2000, 2), energy, generator)
    while len(found) < 10:
        state, info = sampler.step(state, energy, generator)
        if info.complete:
            found.append(info.figures["log_z"])
            ends.append((state.position, weights_of(info)))
    estimate, error = log_z(torch.stack(found))
    assert abs(estimate - LOG_Z) < 0.05 and abs(estimate - LOG_Z) < 4 * error
    pooled = torch.cat([x for x, _ in ends]), torch.cat([w for _, w in ends])
    assert variation(*pooled) < 0.03


def test_a_pass_of_smc_is_near_the_rings_normaliser_with_all_modes() -> None:
    sampler = TemperedSMC(TemperedSMCConfig(step_size=0.01))
    state, info = one_pass(sampler, Planted(ring()[0]), torch.zeros(8000, 2), 3)
    assert abs(info.figures["log_z"] - LOG_Z) < 0.05
    assert variation(state.position, weights_of(info)) < 0.06
    assert 0.2 < info.figures["ancestors"] < 0.6


def test_annealed_langevin_finds_modes_that_langevin_does_not() -> None:
    annealed = AnnealedLangevin(AnnealedLangevinConfig(step_size=0.002))
    energy, _ = ring()
    state, _ = one_pass(annealed, energy, torch.zeros(2000, 2), 0)
    start = energy.means[1].repeat(2000, 1)
    plain = Langevin(LangevinConfig(step_size=0.002))
    walk = samplers.run(plain, start, energy, generator_of("plain", 0), annealed.config.num_steps)
    assert variation(walk.state.position) > 0.75
    assert variation(state.position) < 0.2


# ---------------------------------------------------------------------- forward and reverse


def test_forward_is_below_the_truth_and_reverse_above_it() -> None:
    """Too few temperatures: mean log-weights miss by many errors, log mean weights by few."""
    config = AISConfig(num_temperatures=10, step_size=0.2)
    energy, num = Planted(Gaussian(MEAN, COVARIANCE)), 20_000
    _, info = one_pass(AIS(config), energy, torch.zeros(num, 2), 1)
    draws = Gaussian(MEAN, COVARIANCE).draw(num, generator_of("draws", 0))
    forward = weights_of(info)
    reverse = reverse_ais(energy, draws, generator_of("reverse", 0), config)
    for log_weights, side in ((forward, -1), (reverse, 1)):
        gap = side * (log_weights.mean() - LOG_Z)
        assert gap > 10 * log_weights.std() / math.sqrt(num)
        estimate, error = log_z(log_weights, reverse=side == 1)
        assert abs(estimate - LOG_Z) < 4 * error < 0.1


def test_forward_and_reverse_close_in_on_the_truth_with_more_temperatures() -> None:
    energy, gaps = Planted(Gaussian(MEAN, COVARIANCE)), []
    draws = Gaussian(MEAN, COVARIANCE).draw(2000, generator_of("draws", 1))
    for num in (5, 20, 80):
        config = AISConfig(num_temperatures=num, step_size=0.2)
        _, info = one_pass(AIS(config), energy, torch.zeros(2000, 2), 2)
        reverse = reverse_ais(energy, draws, generator_of("reverse", 1), config)
        gaps.append(float(reverse.mean() - weights_of(info).mean()))
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0


@pytest.mark.parametrize(("num_leapfrog", "moves"), [(1, 1), (5, 2)])
def test_ais_weights_have_mean_z_however_few_temperatures(num_leapfrog: int, moves: int) -> None:
    config = AISConfig(
        num_temperatures=4, step_size=0.3, num_leapfrog=num_leapfrog, moves=moves, base_scale=1.5
    )
    like = torch.zeros(50_000, 2)
    _, info = one_pass(AIS(config), Planted(Gaussian(MEAN, COVARIANCE)), like, 4)
    ratio = (weights_of(info) - LOG_Z).double().exp()
    assert ratio.std() > 0.3, "the weights have work to do"
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))
    assert info.gradient_evaluations == num_leapfrog * moves


def test_smcs_estimates_of_z_are_right_on_average() -> None:
    """Over 50 passes of 250 chains, to 4 standard errors: the bias of adapting is O(1/250)."""
    sampler = TemperedSMC(TemperedSMCConfig(moves=1, step_size=0.2, num_steps_at_target=1))
    energy = Planted(Gaussian(MEAN, COVARIANCE))
    ratios, generator = [], generator_of("repeats", 0)
    state = sampler.init(torch.zeros(250, 2), energy, generator)
    while len(ratios) < 50:
        state, info = sampler.step(state, energy, generator)
        if info.complete:
            ratios.append((info.figures["log_z"] - LOG_Z).exp())
    ratio = torch.stack(ratios).double()
    assert 0.01 < ratio.std() < 0.3
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio)) + 1 / 250


# ---------------------------------------------------------------------- temperature and shape

KERNELS: dict[str, Sampler] = {
    "ais": AIS(AISConfig(num_temperatures=60, step_size=0.2, temperature=2.5, base_scale=2.5)),
    "tempered_smc": TemperedSMC(TemperedSMCConfig(temperature=2.5, base_scale=2.5)),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(2,), (1, 2, 2)], ids=str)
def test_any_temperature_and_any_shape(kernel: str, shape: tuple[int, ...]) -> None:
    """Independent pixels N(1, s²) at T = 2.5: weighted moments, and log Z = Σ log √(2πT s²)."""
    spread = torch.linspace(0.6, 1.2, math.prod(shape)).reshape(shape)

    class Pixels(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0.5 * ((x - 1) / spread).square().flatten(1).sum(1)

    state, info = one_pass(KERNELS[kernel], Pixels(), torch.zeros(8000, *shape), 5)
    assert state.position.shape == (8000, *shape)
    weights = weights_of(info)
    truth = float((2 * math.pi * 2.5 * spread**2).log().sum() / 2)
    # of SMC the error of the weights at the end says too little: those before count too
    error = float(log_z(weights)[1]) if kernel == "ais" else 0.015
    assert abs(float(log_mean(weights)) - truth) < 4 * error < 0.1
    share = weights.softmax(0)
    mean = torch.einsum("n,n...->...", share, state.position)
    variance = torch.einsum("n,n...->...", share, (state.position - 1).square())
    effective = 8000 * float(weight_ess(weights) * info.figures.get("ancestors", 1))
    sd = spread * math.sqrt(2.5)
    assert ((mean - 1).abs() / (sd / math.sqrt(effective))).max() < 4
    assert ((variance - sd**2).abs() / (sd**2 * math.sqrt(2 / effective))).max() < 4


# ---------------------------------------------------------------------- passes

PASSES: dict[str, tuple[Sampler, int]] = {
    "ais": (AIS(AISConfig(num_temperatures=7, step_size=0.1, moves=2)), 7),
    "annealed_langevin": (
        AnnealedLangevin(AnnealedLangevinConfig(num_levels=4, num_steps_per_level=3)),
        12,
    ),
}


@pytest.mark.parametrize("kernel", PASSES)
def test_a_pass_is_complete_once_and_the_next_begins_with_fresh_draws(kernel: str) -> None:
    sampler, length = PASSES[kernel]
    energy, generator = Gaussian(MEAN, COVARIANCE), generator_of("passes", kernel)
    state = sampler.init(torch.full((4000, 2), 50.0), energy, generator)
    complete, betas, ends, begins = [], [], [], [state.position]
    for _ in range(2 * length + 2):
        state, info = sampler.step(state, energy, generator)
        assert info.complete is not None
        complete.append(bool(info.complete))
        betas.append(float(info.figures["beta"]))
        if complete[-1]:
            ends.append(state.position)
        if betas[-1] == 0:
            begins.append(state.position)
    assert [i for i, done in enumerate(complete) if done] == [length - 1, 2 * length]
    assert [i for i, beta in enumerate(betas) if beta == 0] == [length, 2 * length + 1]
    assert [i for i, beta in enumerate(betas) if beta == 1][-1] == 2 * length
    for x in begins:
        assert x.mean(0).abs().max() < 4 * 2 / math.sqrt(4000)
        assert (x.var(0) / 4 - 1).abs().max() < 4 * math.sqrt(2 / 4000)
    for pair in (ends, begins[:2]):
        both = torch.corrcoef(torch.cat(pair[:2], 1).T)[:2, 2:]
        assert both.abs().max() < 4 / math.sqrt(4000), "passes have nothing in common"


def test_smc_settles_at_the_target_and_then_begins_anew() -> None:
    sampler = TemperedSMC(TemperedSMCConfig(num_steps_at_target=3, moves=1))
    energy, generator = Gaussian(MEAN, COVARIANCE), generator_of("smc", 0)
    state = sampler.init(torch.zeros(500, 2), energy, generator)
    betas, complete, told = [], [], []
    for _ in range(40):
        state, info = sampler.step(state, energy, generator)
        betas.append(float(info.figures["beta"]))
        complete.append(bool(info.complete))
        told.append(float(info.figures["log_z"]))
        if betas[-1] == 0:
            assert float(info.figures["weight_ess"]) == pytest.approx(1, abs=1e-5)
            assert float(info.figures["ancestors"]) == 1
            base = Path(1.0, 0.25).log_z_base(state.position)
            assert torch.allclose(weights_of(info), torch.full((500,), base))
    first = betas.index(1.0)
    assert complete.index(True) == first + 2 and betas[first + 3] == 0
    assert all(a < b for a, b in itertools.pairwise(betas[: first + 1]))
    assert all(math.isnan(value) for value in told[: first + 2])
    assert len(set(told[first + 2 :])) == sum(complete) > 1


# ---------------------------------------------------------------------- the parts of SMC


def test_without_resampling_smcs_weights_are_those_of_ais_at_its_temperatures() -> None:
    """log w = log Z_0 + Σ Δβ (|x|²/2s² − E) over the positions before each change of β."""
    sampler = TemperedSMC(TemperedSMCConfig(resample_below=0.0, share_kept=0.7))
    energy, generator = Planted(Gaussian(MEAN, COVARIANCE)), generator_of("plain", 1)
    state = sampler.init(torch.zeros(500, 2, dtype=DOUBLE), energy, generator)
    expected, beta = torch.full((500,), math.log(2 * math.pi * 4), dtype=DOUBLE), 0.0
    for _ in range(60):
        ratio = state.position.square().sum(1) / 8 - energy(state.position)
        state, info = sampler.step(state, energy, generator)
        after = float(info.figures["beta"])
        expected, beta = expected + (after - beta) * ratio, after
        assert torch.allclose(weights_of(info), expected)
        assert float(info.figures["ancestors"]) == 1
        if info.complete:
            break
    assert beta == 1 and expected.std() > 0.3
    estimate, error = log_z(expected)
    assert abs(estimate - LOG_Z) < 4 * error


def test_the_next_temperature_keeps_the_share_it_is_told() -> None:
    weights = torch.randn(4000, generator=generator_of("w", 1), dtype=DOUBLE)
    ratio = 20 * torch.randn(4000, generator=generator_of("w", 2), dtype=DOUBLE)
    beta = torch.tensor(0.3, dtype=DOUBLE)
    following = next_beta(weights, ratio, beta, 0.9)
    share, factors = weights.softmax(0), ((following - beta) * ratio).exp()
    kept = (share * factors).sum() ** 2 / (share * factors**2).sum()
    assert 0.3 < following < 1 and float(kept) == pytest.approx(0.9, abs=1e-5)
    assert float(next_beta(weights, ratio / 1000, beta, 0.9)) == 1
    assert float(next_beta(weights, 1e30 * ratio, beta, 0.9)) > 0.3


@pytest.mark.parametrize("resampling", ["systematic", "multinomial"])
def test_ancestors_come_in_proportion_to_their_weights(resampling: str) -> None:
    num = 20_000
    log_weights = torch.randn(num, generator=generator_of("w", 3), dtype=DOUBLE)
    log_weights[:100] = -math.inf
    index = ancestors_of(log_weights, resampling, generator_of("ancestors", 0))
    counts = torch.bincount(index, minlength=num).double()
    expected = num * log_weights.softmax(0)
    assert (counts[:100] == 0).all() and counts.sum() == num
    if resampling == "systematic":
        assert (counts - expected).abs().max() < 1
    else:
        # of a sum over even indices, binomial
        share = float(expected[::2].sum() / num)
        error = math.sqrt(num * share * (1 - share))
        assert abs(float(counts[::2].sum()) - num * share) < 4 * error
        deviance = float(((counts - expected).square() / expected)[100:].mean())
        assert deviance == pytest.approx(1, abs=0.2)
    assert float(distinct_share(index)) == pytest.approx(len(index.unique()) / num)


def test_one_chain_that_runs_away_has_no_weight_and_leaves_the_rest_alone() -> None:
    class Cliff(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return torch.where(x[:, 0] > 3, torch.inf, 0.5 * x.square().sum(1))

    for sampler in (AIS(AISConfig(step_size=0.2)), TemperedSMC(TemperedSMCConfig())):
        state, info = one_pass(sampler, Cliff(), torch.zeros(4000, 2), 6)
        share = weights_of(info).softmax(0)
        assert share[state.position[:, 0] > 3].sum() == 0
        truth = math.log(2 * math.pi) + math.log(0.5 * (1 + math.erf(3 / math.sqrt(2))))
        assert abs(float(info.figures["log_z"]) - truth) < 0.1


def test_warm_up_tunes_ais_to_the_acceptance_of_its_moves() -> None:
    for num_leapfrog, target in ((1, 0.574), (5, 0.8)):
        config = AISConfig(num_temperatures=20, step_size=5.0, num_leapfrog=num_leapfrog)
        sampler, energy = AIS(config), Gaussian(MEAN, COVARIANCE)
        generator = generator_of("tune", 0)
        state = sampler.init(torch.zeros(500, 2), energy, generator)
        for index in range(210):
            state, info = sampler.step(state, energy, generator)
            state = sampler.tune(state, info, index, 210)
        rates = []
        for _ in range(21):
            state, info = sampler.step(state, energy, generator)
            rates.append(info.acceptance_rate.mean())
        assert torch.stack(rates).mean() == pytest.approx(target, abs=0.1)
    still = AIS(AISConfig(adapt=False))
    state = still.init(torch.zeros(9, 2), energy, generator)
    assert still.tune(state, info, 0, 9) is state
