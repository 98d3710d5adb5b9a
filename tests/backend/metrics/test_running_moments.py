"""Running moments and thinned draws against the same figures taken of all draws at once."""

from __future__ import annotations

import math

import pytest
import torch

from backend.data import Data
from backend.metrics.convergence import autocorrelation, bulk_ess
from backend.metrics.errors_to_truth import distances, floor_of_mean
from backend.metrics.running_moments import Hamiltonians, RunningMoments, ThinnedDraws
from backend.randomness import generator_of
from backend.truth import Truth

CPU = torch.device("cpu")
SHAPE = torch.Size((2, 3))


def draws(num_sets: int, key: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (sets, 50, 2, 3) far from 0, and energies (sets, 50)."""
    generator = generator_of("running", key)
    x = 100 + torch.randn(num_sets, 50, *SHAPE, generator=generator)
    return x, x.flatten(2).square().sum(2)


def test_running_moments_are_those_of_all_draws_together() -> None:
    x, energy = draws(7)
    moments = RunningMoments(SHAPE, 3, CPU)
    nearest = torch.arange(50) % 3
    for position, value in zip(x, energy, strict=True):
        moments.add(position, value, nearest)
    every = x.flatten(0, 1).double()
    assert torch.allclose(moments.mean(), every.mean(0), rtol=1e-12)
    assert torch.allclose(moments.variance(), every.var(0, correction=0), rtol=1e-6)
    assert moments.mean_energy().item() == pytest.approx(energy.double().mean().item(), rel=1e-12)
    assert moments.mode_weights().tolist() == pytest.approx([17 / 50, 17 / 50, 16 / 50])


def test_weighted_passes_are_pooled_with_their_weights_as_they_are() -> None:
    x, energy = draws(4)
    log_w = 300 + 5 * torch.randn(4, 50, generator=generator_of("w"), dtype=torch.float64)
    moments = RunningMoments(SHAPE, 0, CPU)
    yes, no = torch.tensor(True), torch.tensor(False)
    for position, value, w in zip(x, energy, log_w, strict=True):
        spoilt = torch.full_like(position, math.nan)
        moments.add_weighted(spoilt, spoilt[:, 0, 0], None, w + 1e5, no)
        moments.add_weighted(position, value, None, w, yes)
    share = log_w.flatten().softmax(0)
    every = x.flatten(0, 1).double()
    expected = (share[:, None, None] * every).sum(0)
    assert torch.allclose(moments.mean(), expected, rtol=1e-10)
    assert moments.mean_energy().item() == pytest.approx(float(share @ energy.flatten().double()))
    assert float(moments.log_z(50)) == pytest.approx(
        float(log_w.flatten().logsumexp(0)) - math.log(200), abs=1e-9
    )
    kish = sum(float(w.softmax(0).square().sum() ** -1) for w in log_w)
    assert float(moments.effective) == pytest.approx(kish)


def test_distances_know_units_and_count_independent_draws() -> None:
    mean, sd = torch.tensor([3.0, -40.0]), torch.tensor([0.5, 20.0])
    truth = Truth("closed form", mean.double(), sd.double().square(), 0.0)
    blank = torch.zeros(1, 2)
    data = Data("x", "x", blank, blank, mean - 1, 2 * sd, blank[0], blank[0], truth=truth)
    num, rounds = 400, 300
    worst, ratios = [], []
    for key in range(rounds):
        x = mean + sd * torch.randn(num, 2, generator=generator_of("distances", key))
        moments = RunningMoments(torch.Size((2,)), 0, CPU)
        z = data.standardise(x)
        moments.add(z, z[:, 0])
        found = distances(moments, truth, data, num)
        assert list(found) == ["error/mean", "error/variance", "error/log_z"]
        worst.append(float(found["error/mean"]))
        ratios.append(float(found["error/variance"]))
    floor = floor_of_mean(truth, num)
    share = sum(error > floor for error in worst) / rounds
    assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(rounds), "the floor is the median of exact draws"
    assert 0 < max(ratios) < 0.5


def test_thinned_draws_span_the_whole_run_evenly() -> None:
    kept = ThinnedDraws(16)
    for index in range(1000):
        kept.offer(torch.full((2, 1), float(index)) if kept.wants() else None)
        assert len(kept.draws) < 16
    values = kept.stacked()[0, :, 0]
    gaps = values.diff()
    assert len(set(gaps.tolist())) == 1 and gaps[0] == kept.every
    assert values[0] < 2 * kept.every and values[-1] >= 1000 - 2 * kept.every


def test_e_bfmi_is_one_for_fresh_energies_and_small_for_slow_ones() -> None:
    generator = generator_of("h")
    fresh, slow = Hamiltonians(40, CPU), Hamiltonians(40, CPU)
    level, levels = torch.zeros(40, dtype=torch.float64), []
    for _ in range(400):
        noise = torch.randn(40, generator=generator, dtype=torch.float64)
        fresh.add([noise])
        level = 0.99 * level + math.sqrt(1 - 0.99**2) * noise
        levels.append(1e6 + level)
    for start in range(0, 400, 7):  # in what portions they come does not matter
        slow.add(levels[start : start + 7])
    # Σ(h_t − h_{t−1})² / Σ(h_t − h̄)² is 2 (1 − ρ) for an autoregression
    assert float(fresh.figure()) == pytest.approx(2.0, abs=0.1)
    assert float(slow.figure()) < 0.1


def test_autocorrelation_of_an_autoregression_is_its_power() -> None:
    generator = generator_of("ar")
    x = torch.zeros(64, 2000, dtype=torch.float64)
    x[:, 0] = torch.randn(64, generator=generator, dtype=torch.float64)
    for t in range(1, 2000):
        noise = torch.randn(64, generator=generator, dtype=torch.float64)
        x[:, t] = 0.8 * x[:, t - 1] + 0.6 * noise
    rho = autocorrelation(x)
    assert rho[0] == pytest.approx(1.0, abs=1e-3)
    for lag in (1, 3, 6):
        assert float(rho[lag]) == pytest.approx(0.8**lag, abs=0.02)
    exact = x.numel() / (1 + 2 * 0.8 / 0.2)
    assert float(bulk_ess(x)) == pytest.approx(exact, rel=0.1)


def test_autocorrelation_of_chains_that_stay_apart_does_not_end() -> None:
    x = torch.randn(8, 500, generator=generator_of("apart"), dtype=torch.float64)
    x[:4] += 10
    assert float(autocorrelation(x)[200:400].mean()) > 0.9
