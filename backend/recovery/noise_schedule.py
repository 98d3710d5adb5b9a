"""The ladder of noise that diffusion recovery likelihood goes down: pure functions of its levels.

x_t = √ᾱ_t x + σ̄_t ε for t = 0 … T, ᾱ_t falling; x_{t+1} = √α_t x_t + σ_t ε between neighbours.
Level t, of 0 … T−1, is the pair (x_t, x_{t+1}).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Schedule = Literal["cosine", "linear_log_snr", "linear_beta"]

_NUM_BETAS = 1000
_BETAS = (1e-4, 0.02)


class NoiseLadder(NamedTuple):
    """Signal and noise of T levels and what lies between them."""

    alpha_bar: Tensor
    """(T + 1,) share of x_t's variance that is signal, for data of variance 1"""
    alpha: Tensor
    """(T,) the same of x_{t+1} beside x_t: ᾱ_{t+1} / ᾱ_t"""

    def to(self, device: torch.device) -> NoiseLadder:
        return NoiseLadder(*(value.to(device) for value in self))

    @property
    def num_levels(self) -> int:
        return len(self.alpha)

    @property
    def noise_sd(self) -> Tensor:
        """σ̄_t (T + 1,): of the noise in x_t."""
        return (1 - self.alpha_bar).sqrt()

    @property
    def step_sd(self) -> Tensor:
        """σ_t (T,): of the noise that x_{t+1} has over √α_t x_t."""
        return (1 - self.alpha).sqrt()

    @property
    def posterior_variance(self) -> Tensor:
        """β̃_t (T,): of q(x_t | x_{t+1}, x), the same for every x."""
        noise = 1 - self.alpha_bar
        return noise[:-1] / noise[1:] * (1 - self.alpha)


def ladder(alpha_bar: Tensor) -> NoiseLadder:
    """The ladder of ᾱ (T + 1,), in float64."""
    alpha_bar = alpha_bar.double()
    return NoiseLadder(alpha_bar, alpha_bar[1:] / alpha_bar[:-1])


def schedule(kind: Schedule, num_levels: int, highest: float, lowest: float) -> NoiseLadder:
    """The ladder of `num_levels` between two log signal-to-noise ratios, log ᾱ/(1−ᾱ).

    `linear_beta` has its own ends and takes no others.
    """
    if kind == "cosine":
        return cosine(num_levels, highest, lowest)
    if kind == "linear_log_snr":
        return linear_log_snr(num_levels, highest, lowest)
    return linear_beta(num_levels)


def cosine(num_levels: int, highest: float, lowest: float) -> NoiseLadder:
    """ᾱ = cos²θ, θ in equal steps from log-SNR `highest` to `lowest`. Zhu et al. 2024.

    log-SNR = −2 log tan θ.
    """
    first, last = (math.atan(math.exp(-ratio / 2)) for ratio in (highest, lowest))
    angles = torch.linspace(first, last, num_levels + 1, dtype=torch.float64)
    return ladder(angles.cos().square())


def linear_log_snr(num_levels: int, highest: float, lowest: float) -> NoiseLadder:
    """log ᾱ/(1−ᾱ) in equal steps from `highest` to `lowest`."""
    ratios = torch.linspace(highest, lowest, num_levels + 1, dtype=torch.float64)
    return ladder(ratios.sigmoid())


def linear_beta(num_levels: int) -> NoiseLadder:
    """1,000 steps of β from 1e-4 to 0.02, taken together: after step 0, 1·s, 2·s, … (T−1)·s with
    s = 1000 // (2 (T−1)), and after the last. Gao et al. 2021.

    The last level thus jumps from about half way to noise. `num_levels` ≥ 2.
    """
    spacing = _NUM_BETAS // (2 * (num_levels - 1))
    betas = torch.linspace(*_BETAS, _NUM_BETAS, dtype=torch.float64)
    marks = torch.tensor([*(spacing * t for t in range(num_levels)), _NUM_BETAS - 1])
    return ladder((1 - betas).cumprod(0)[marks])


def noised(rungs: NoiseLadder, x: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """x_t = √ᾱ_t x + σ̄_t noise, `level` (batch,) or 0-d of 0 … T; shaped like x."""
    signal, spread = rungs.alpha_bar.sqrt()[level], rungs.noise_sd[level]
    return per_row(signal, x) * x + per_row(spread, x) * noise


def climbed(rungs: NoiseLadder, x: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """x_{t+1} = √α_t x_t + σ_t noise of x = x_t; shaped like x."""
    signal, spread = rungs.alpha.sqrt()[level], rungs.step_sd[level]
    return per_row(signal, x) * x + per_row(spread, x) * noise


def per_row(value: Tensor, like: Tensor) -> Tensor:
    """(batch,) or 0-d values that broadcast over positions (batch, *event_shape), of their type."""
    return value.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
