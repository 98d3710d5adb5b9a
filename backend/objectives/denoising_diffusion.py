"""Denoising diffusion: noise that data are mixed with by level, and steps that take it away.

x_t = √ᾱ_t x + √(1 − ᾱ_t) ε, ε normal, ᾱ falling from 1 to nearly 0. Ho et al. 2020; the schedule
and the steps without noise are of Nichol & Dhariwal 2021 and Song et al. 2021 (DDIM).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

OFFSET = 0.008
"""Keeps the first level from having hardly any noise."""
LEAST = 1e-3
"""Share ᾱ of the signal at the last level, that the noise there may be divided by."""


def signal_shares(num_levels: int) -> Tensor:
    """ᾱ (num_levels + 1,) float64 at levels 0 (no noise) to num_levels (almost nothing else)."""
    time = torch.arange(num_levels + 1, dtype=torch.float64) / num_levels
    falling = ((time + OFFSET) / (1 + OFFSET) * math.pi / 2).cos().square()
    return (falling / falling[0]).clamp(min=LEAST)


def levels_visited(num_levels: int, num_steps: int) -> list[int]:
    """num_steps + 1 levels, evenly from the last to 0, that `num_steps` steps go through.

    >>> levels_visited(100, 4)
    [100, 75, 50, 25, 0]
    """
    return [round(num_levels * (1 - index / num_steps)) for index in range(num_steps + 1)]


def mixed(x: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """√ᾱ x + √(1 − ᾱ) ε of events (batch, *event_shape) with shares ᾱ (batch,)."""
    share = share.reshape(-1, *[1] * (x.dim() - 1)).to(x)
    return share.sqrt() * x + (1 - share).sqrt() * noise


def denoised(
    x: Tensor,
    noise: Tensor,
    share: float,
    next_share: float,
    fresh: float = 0.0,
    normal: Tensor | None = None,
    ends: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """x at the next level, given the noise ε̂ predicted in it.

    √ᾱ' x̂ + √(1 − ᾱ' − σ²) ε̂ + σ η, x̂ = (x − √(1 − ᾱ) ε̂) / √ᾱ and σ² = fresh² (1 − ᾱ')/(1 − ᾱ) ·
    (1 − ᾱ/ᾱ'). fresh = 0 is DDIM, and needs no `normal` η; 1 is the step of DDPM. x̂ is held between
    `ends` (*event_shape) where they are given, and ε̂ then goes with it: where there is little
    signal x̂ is mostly error.
    """
    clean = (x - (1 - share) ** 0.5 * noise) / share**0.5
    if ends is not None:
        clean = clean.clamp(*ends)
        noise = (x - share**0.5 * clean) / (1 - share) ** 0.5
    variance = fresh**2 * (1 - next_share) / (1 - share) * (1 - share / next_share)
    rest = max(1 - next_share - variance, 0.0)
    x = next_share**0.5 * clean + rest**0.5 * noise
    return x if normal is None else x + variance**0.5 * normal
