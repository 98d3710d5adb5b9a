"""The ladder of noise against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend.randomness import generator_of
from backend.recovery.noise_schedule import (
    NoiseLadder,
    climbed,
    cosine,
    ladder,
    linear_beta,
    linear_log_snr,
    noised,
    schedule,
)

LADDERS = {
    "cosine": cosine(6, 9.8, -5.1),
    "linear_log_snr": linear_log_snr(5, 4.0, -3.0),
    "linear_beta": linear_beta(6),
}


def log_snr(rungs: NoiseLadder) -> Tensor:
    return rungs.alpha_bar.logit()


def test_the_cosine_ladder_has_its_ends_and_follows_its_formula() -> None:
    first = math.atan(math.exp(-4.9))
    slope = math.atan(math.exp(2.55)) - first
    expected = [-2 * math.log(math.tan(slope * t / 6 + first)) for t in range(7)]
    assert log_snr(cosine(6, 9.8, -5.1)).tolist() == pytest.approx(expected, abs=1e-9)
    assert expected[0] == pytest.approx(9.8) and expected[-1] == pytest.approx(-5.1)


def test_the_linear_ladder_falls_in_equal_steps_of_log_snr() -> None:
    expected = [4.0 - 1.4 * t for t in range(6)]
    assert log_snr(linear_log_snr(5, 4.0, -3.0)).tolist() == pytest.approx(expected, abs=1e-12)


def test_the_beta_ladder_groups_a_thousand_steps_and_jumps_at_the_end() -> None:
    alpha_bar, found = 1.0, {}
    for step in range(1000):
        alpha_bar *= 1 - (1e-4 + (0.02 - 1e-4) * step / 999)
        found[step] = alpha_bar
    expected = [found[step] for step in (0, 100, 200, 300, 400, 500, 999)]
    assert linear_beta(6).alpha_bar.tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", sorted(LADDERS))
def test_levels_compose_to_the_marginals(kind: str) -> None:
    rungs = LADDERS[kind]
    assert rungs.num_levels == len(rungs.alpha_bar) - 1
    products = rungs.alpha_bar[0] * rungs.alpha.cumprod(0)
    assert torch.allclose(products, rungs.alpha_bar[1:])
    # variance of x_{t+1}'s noise: what x_t had, shrunk, and what came to it
    carried = rungs.alpha * rungs.noise_sd[:-1].square() + rungs.step_sd.square()
    assert torch.allclose(carried, rungs.noise_sd[1:].square())
    assert (rungs.alpha_bar.diff() < 0).all()


@pytest.mark.parametrize("kind", sorted(LADDERS))
def test_the_posterior_variance_is_that_of_conditioned_gaussians(kind: str) -> None:
    """Var(x_t | x_{t+1}, x) = Var(x_t) − Cov² / Var(x_{t+1}) of the noise parts."""
    rungs = LADDERS[kind]
    noise, after = rungs.noise_sd[:-1].square(), rungs.noise_sd[1:].square()
    covariance = rungs.alpha.sqrt() * noise
    assert torch.allclose(rungs.posterior_variance, noise - covariance.square() / after)


def test_climbing_level_by_level_gives_the_marginals_of_one_jump() -> None:
    """Mean and variance of x_t of a fixed x, within 4 standard errors."""
    rungs, num, generator = LADDERS["cosine"], 40_000, generator_of("climb", 0)
    x = torch.full((num,), 1.5)
    zero = torch.zeros((), dtype=torch.int64)
    position = noised(rungs, x, zero, torch.randn(num, generator=generator))
    for level in range(rungs.num_levels):
        position = climbed(rungs, position, zero + level, torch.randn(num, generator=generator))
        mean = 1.5 * rungs.alpha_bar[level + 1].sqrt()
        variance = 1 - rungs.alpha_bar[level + 1]
        assert abs(position.mean() - mean) < 4 * (variance / num).sqrt()
        assert abs(position.var() - variance) < 4 * variance * (2 / num) ** 0.5


def test_every_row_gets_the_noise_of_its_own_level() -> None:
    rungs = LADDERS["linear_log_snr"]
    x, noise = torch.ones(3, 2, 2), torch.full((3, 2, 2), 2.0)
    level = torch.tensor([0, 5, 2])
    got = noised(rungs, x, level, noise)
    for row, at in enumerate(level.tolist()):
        expected = rungs.alpha_bar[at].sqrt() + 2 * (1 - rungs.alpha_bar[at]).sqrt()
        assert torch.allclose(got[row], expected.float().expand(2, 2))
    assert got.dtype == torch.float32


def test_a_schedule_is_found_by_its_name() -> None:
    for kind in ("cosine", "linear_log_snr", "linear_beta"):
        rungs = schedule(kind, 4, 5.0, -4.0)  # type: ignore[arg-type]
        assert rungs.num_levels == 4
    made = ladder(torch.tensor([0.9, 0.45]))
    assert made.alpha.tolist() == pytest.approx([0.5])
