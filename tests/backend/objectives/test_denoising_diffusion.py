"""Steps of diffusion on a Gaussian, where the best prediction of the noise is known."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from backend.objectives.denoising_diffusion import (
    denoised,
    levels_visited,
    mixed,
    signal_shares,
)
from backend.randomness import generator_of

MEAN, SD, LEVELS = 0.7, 0.4, 100


def best_noise(x: Tensor, share: float) -> Tensor:
    """E[ε | x_t] of data from N(MEAN, SD²)."""
    variance = share * SD**2 + 1 - share
    return (1 - share) ** 0.5 * (x - share**0.5 * MEAN) / variance


def drawn(num: int, num_steps: int, fresh: float) -> Tensor:
    shares = signal_shares(LEVELS).tolist()
    generator = generator_of("drawn")
    last = shares[-1]
    scale = (last * SD**2 + 1 - last) ** 0.5
    x = last**0.5 * MEAN + scale * torch.randn(num, 1, generator=generator, dtype=torch.float64)
    levels = levels_visited(LEVELS, num_steps)
    for level, following in itertools.pairwise(levels):
        normal = torch.randn(x.shape, generator=generator, dtype=torch.float64) if fresh else None
        share, next_share = shares[level], shares[following]
        x = denoised(x, best_noise(x, share), share, next_share, fresh, normal)
    return x


@pytest.mark.parametrize("num_steps", [1, 3, 20, 100])
def test_ddim_on_a_gaussian_is_its_closed_form(num_steps: int) -> None:
    """Each step takes the mean to the mean and scales what is off it by
    (√(ᾱ'ᾱ) s² + √((1 − ᾱ')(1 − ᾱ))) / (ᾱ s² + 1 − ᾱ)."""
    shares = signal_shares(LEVELS).tolist()
    levels = levels_visited(LEVELS, num_steps)
    factor, last = 1.0, shares[-1]
    for level, following in itertools.pairwise(levels):
        a, b = shares[level], shares[following]
        factor *= ((a * b) ** 0.5 * SD**2 + ((1 - a) * (1 - b)) ** 0.5) / (a * SD**2 + 1 - a)
    start = torch.randn(50, 1, generator=generator_of("drawn"), dtype=torch.float64)
    expected = MEAN + factor * (last * SD**2 + 1 - last) ** 0.5 * start
    assert torch.allclose(drawn(50, num_steps, 0.0), expected, atol=1e-12)


def test_many_steps_draw_the_gaussian_with_fresh_noise_and_without() -> None:
    """Few steps are too narrow; the error falls as their number grows."""
    start = torch.randn(4000, 1, generator=generator_of("drawn"), dtype=torch.float64)
    narrow = [
        float((drawn(4000, num, 0.0) - MEAN).std() / start.std() / SD) for num in (2, 10, 100)
    ]
    assert narrow[0] < narrow[1] < narrow[2] and narrow[2] == pytest.approx(1, abs=0.02)
    fresh = drawn(4000, 100, 1.0)
    assert fresh.mean().item() == pytest.approx(MEAN, abs=0.03)
    assert fresh.std().item() == pytest.approx(SD, abs=0.03)


def test_levels_go_from_no_noise_to_almost_nothing_else() -> None:
    shares = signal_shares(LEVELS)
    assert shares[0] == 1 and shares[-1] < 0.0011 and (shares.diff() <= 0).all()
    x = torch.full((3, 2), 2.0)
    noise = torch.ones(3, 2)
    share = torch.tensor([1.0, 0.0, 0.25])
    expected = torch.tensor([2.0, 1.0, 1.0 + 0.75**0.5])
    assert torch.allclose(mixed(x, noise, share)[:, 0], expected)


def test_what_is_out_of_range_is_held_and_the_noise_goes_with_it() -> None:
    ends = torch.tensor([-1.0]), torch.tensor([1.0])
    x = torch.tensor([[3.0]])
    held = denoised(x, torch.zeros(1, 1), 0.25, 0.5, ends=ends)
    noise = (3.0 - 0.5) / 0.75**0.5
    assert held.item() == pytest.approx(0.5**0.5 + 0.5**0.5 * noise)
    assert denoised(x, torch.zeros(1, 1), 0.25, 1.0, ends=ends).item() == 1.0
