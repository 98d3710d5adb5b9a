"""Convergence of chains: rank-normalised split R-hat, bulk and tail effective sample size.

As in Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021. Chains are (chains, draws) or
(chains, draws, figures); what is returned is 0-d or (figures,), nan where a draw is not finite.
R-hat cannot see a mode that no chain has visited.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def r_hat(draws: Tensor) -> Tensor:
    """The larger of R-hat of the ranks and of the ranks of |x - median|; 1 when mixed.

    Needs 4 draws a chain; nan where a figure never moves.
    """
    return _per_figure(draws, _r_hat)


def bulk_ess(draws: Tensor) -> Tensor:
    """Effective number of independent draws for the centre of the law. Needs 4 draws a chain."""
    return _per_figure(draws, lambda x: _ess(_rank_normal(_split(x))))


def tail_ess(draws: Tensor) -> Tensor:
    """Effective number for its tails: the lesser of the 5 % and the 95 % quantile's."""
    return _per_figure(draws, _tail_ess)


def _per_figure(draws: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    if draws.shape[1] < 4:
        raise ValueError(f"diagnostics need at least 4 draws a chain, got {draws.shape[1]}")
    draws = draws.double()
    if draws.dim() == 3:
        return torch.stack([_per_figure(figure, of) for figure in draws.unbind(2)])
    if not draws.isfinite().all():  # ranks would take it for one more number
        return draws.new_full((), torch.nan)
    return of(draws)


def _split(x: Tensor) -> Tensor:
    """Each chain as two, (2 chains, draws // 2); an odd draw in the middle is left out."""
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, -half:]])


def _rank_normal(x: Tensor) -> Tensor:
    """Normal scores of the pooled ranks, ties sharing their mean rank (Blom's offset 3/8)."""
    _, inverse, counts = x.flatten().unique(return_inverse=True, return_counts=True)
    mean_rank = counts.cumsum(0).double() - (counts.double() - 1) / 2
    share = (mean_rank[inverse].reshape(x.shape) - 0.375) / (x.numel() + 0.25)
    return torch.special.ndtri(share)


def _r_hat(x: Tensor) -> Tensor:
    folded = (_split(x) - _split(x).flatten().quantile(0.5)).abs()
    return torch.maximum(_plain_r_hat(_rank_normal(_split(x))), _plain_r_hat(_rank_normal(folded)))


def _plain_r_hat(x: Tensor) -> Tensor:
    num_draws = x.shape[1]
    between = num_draws * x.mean(1).var()
    within = x.var(1).mean()
    return ((between / within + num_draws - 1) / num_draws).sqrt()


def _tail_ess(x: Tensor) -> Tensor:
    parts = []
    for share in (0.05, 0.95):
        below = (x <= _quantile(x.flatten(), share)).double()
        parts.append(_ess(_split(below)))
    return torch.minimum(parts[0], parts[1])


def _quantile(x: Tensor, share: float) -> Tensor:
    """Linear between order statistics (`Tensor.quantile` refuses more than 16 million values)."""
    ordered = x.sort().values
    place = share * (len(x) - 1)
    low = int(place)
    high = min(low + 1, len(x) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _ess(x: Tensor) -> Tensor:
    """Geyer's initial monotone sequence on the autocorrelation pooled over chains."""
    num_chains, num_draws = x.shape
    if float(x.max() - x.min()) < 1e-15:
        return torch.tensor(float(x.numel()), dtype=x.dtype, device=x.device)
    covariance = _autocovariance(x)
    within = covariance[:, 0].mean() * num_draws / (num_draws - 1)
    total = within * (num_draws - 1) / num_draws
    if num_chains > 1:
        total = total + x.mean(1).var()
    rho = (1 - (within - covariance.mean(0)) / total).tolist()
    rho[0] = 1.0
    tau = _geyer_sum(rho)
    size = x.numel()
    # antithetic chains can beat independent draws, but not without bound
    tau = max(tau, 1 / math.log10(size))
    return torch.tensor(size / tau, dtype=x.dtype, device=x.device)


def _autocovariance(x: Tensor) -> Tensor:
    """Biased autocovariances (chains, draws), lag 0 first, by Fourier transform."""
    num_draws = x.shape[1]
    spectrum = torch.fft.rfft(x - x.mean(1, keepdim=True), 2 * num_draws)
    return torch.fft.irfft(spectrum.abs().square(), 2 * num_draws)[:, :num_draws] / num_draws


def _geyer_sum(rho: list[float]) -> float:
    """Integrated autocorrelation time: pairs summed while positive, made non-increasing.

    The first lag after the last positive pair is added once, which helps antithetic chains.
    """
    pairs: list[float] = []
    tail = 0.0
    for lag in range(0, len(rho) - 2, 2):
        pair = rho[lag] + rho[lag + 1]
        if lag > 0 and pair < 0:
            tail = max(rho[lag], 0.0)
            break
        pairs.append(pair if not pairs else min(pair, pairs[-1]))
    else:
        # never negative: the chains are too short, and the last pair is counted by its half
        if len(pairs) > 1:
            tail = rho[2 * len(pairs) - 2]
            pairs.pop()
    return -1 + 2 * sum(pairs) + tail


def e_bfmi(jumps: Tensor, spread: Tensor) -> Tensor:
    """Energy Bayesian fraction of missing information, Σ (H_t − H_{t−1})² / Σ (H_t − H̄)².

    Of the Hamiltonians at the starts of trajectories. Below .3 the momenta cannot follow the
    energy, and tails are hardly reached. Betancourt 2016.
    """
    return jumps / spread


def autocorrelation(draws: Tensor) -> Tensor:
    """Autocorrelation by lag (draws,), lag 0 first, of one figure (chains, draws) of chains whose
    common mean counts: chains that stay apart stay correlated for ever."""
    x = draws.double()
    covariance = _autocovariance(x)
    num_draws = x.shape[1]
    within = covariance[:, 0].mean() * num_draws / (num_draws - 1)
    total = within * (num_draws - 1) / num_draws
    if len(x) > 1:
        total = total + x.mean(1).var()
    return 1 - (within - covariance.mean(0)) / total
