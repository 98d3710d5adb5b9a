"""R-hat and ESS against arviz, and against the closed form of an autoregression."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from backend.metrics.convergence import bulk_ess, r_hat, tail_ess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import arviz


def autoregression(rho: float, chains: int, draws: int, seed: int) -> np.ndarray:
    """Stationary AR(1) chains of variance 1, (chains, draws)."""
    x = np.random.default_rng(seed).normal(size=(chains, draws))
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.9, 0.99])
@pytest.mark.parametrize("shape", [(4, 1000), (3, 501), (64, 100), (2, 40)])
@pytest.mark.parametrize("digits", [None, 1])
def test_agrees_with_arviz(rho: float, shape: tuple[int, int], digits: int | None) -> None:
    x = autoregression(rho, *shape, seed=shape[1])
    x += np.arange(shape[0])[:, None] * 0.2
    if digits is not None:
        x = np.round(x, digits)  # ties
    mine = torch.from_numpy(x)
    assert float(r_hat(mine)) == pytest.approx(float(arviz.rhat(x)), rel=1e-6)
    assert float(bulk_ess(mine)) == pytest.approx(float(arviz.ess(x, method="bulk")), rel=1e-6)
    assert float(tail_ess(mine)) == pytest.approx(float(arviz.ess(x, method="tail")), rel=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_bulk_ess_of_an_autoregression(rho: float) -> None:
    """ESS / draws = (1 - ρ) / (1 + ρ); with 80,000 draws the estimate scatters by about 5 %."""
    x = torch.from_numpy(autoregression(rho, 16, 5000, seed=1))
    expected = x.numel() * (1 - rho) / (1 + rho)
    assert float(bulk_ess(x)) == pytest.approx(expected, rel=0.1)


def test_separate_chains_have_not_mixed() -> None:
    x = torch.from_numpy(autoregression(0.0, 4, 500, seed=2))
    assert float(r_hat(x)) < 1.01
    x[0] += 3
    assert float(r_hat(x)) > 1.2


def test_r_hat_sees_a_difference_in_spread_alone() -> None:
    x = torch.from_numpy(autoregression(0.0, 4, 500, seed=3))
    x[0] *= 5
    assert float(r_hat(x)) > 1.1


def test_figures_are_judged_one_by_one() -> None:
    x = torch.from_numpy(autoregression(0.3, 4, 200, seed=4))
    both = torch.stack([x, x**3], 2)
    assert both.shape == (4, 200, 2)
    # ranks do not see a monotone transformation
    assert torch.allclose(bulk_ess(both), bulk_ess(x).expand(2))


def test_too_few_draws() -> None:
    with pytest.raises(ValueError, match="at least 4 draws"):
        r_hat(torch.zeros(4, 3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("diagnostic", [r_hat, bulk_ess, tail_ess])
def test_a_draw_that_is_not_finite_leaves_no_diagnostic(
    bad: float, diagnostic: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    draws = torch.from_numpy(autoregression(0.5, 4, 100, seed=1))
    sound = float(diagnostic(draws))
    spoilt = draws.clone()
    spoilt[2, 7] = bad
    assert diagnostic(spoilt).isnan()
    beside = diagnostic(torch.stack([draws, spoilt], 2))
    assert float(beside[0]) == sound and beside[1].isnan()
