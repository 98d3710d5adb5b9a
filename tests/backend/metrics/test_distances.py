"""Distances against closed forms and against the expectation of their statistics."""

from __future__ import annotations

import math

import pytest
import torch

from backend.metrics import distances
from backend.randomness import generator_of


def normal(num: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn((num, dim), generator=generator_of(seed))


def test_energy_distance_of_two_normals() -> None:
    """In one dimension E|N(m, 2)| has a closed form, hence the energy distance of N(0) and N(m)."""
    shift = 1.0
    sd = math.sqrt(2)
    mean_abs = sd * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / (2 * sd**2)) + shift * (
        1 - 2 * 0.5 * math.erfc(shift / (sd * math.sqrt(2)))
    )
    own = 2 / math.sqrt(math.pi)
    exact = 2 * mean_abs - 2 * own
    num = 3000
    values = torch.tensor(
        [
            distances.energy_distance(normal(num, 1, seed), normal(num, 1, seed + 50) + shift)
            for seed in range(6)
        ]
    )
    bias = 2 * own / num
    error = float(values.std()) / math.sqrt(len(values))
    assert float(values.mean()) - bias == pytest.approx(exact, abs=4 * error)


def test_floor_of_the_energy_distance() -> None:
    """Two samples of one law: mean (1/n + 1/m) E|X - X'|, and never below zero."""
    n, m = 400, 600
    values = torch.tensor(
        [
            distances.energy_distance(normal(n, 2, seed), normal(m, 2, 1000 + seed))
            for seed in range(60)
        ]
    )
    exact = (1 / n + 1 / m) * math.sqrt(math.pi)  # E|N(0, 2I)| in two dimensions
    assert float(values.min()) >= 0
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / 60**0.5)


def test_many_coordinates_agree_with_few() -> None:
    """Padding with zeros changes no distance, though it changes how they are computed."""
    x, y = normal(1500, 3, 0), normal(1200, 3, 1)
    wide_x, wide_y = (torch.nn.functional.pad(z, (0, 60)) for z in (x, y))
    few = distances.energy_distance(x, y)
    assert distances.energy_distance(wide_x, wide_y) == pytest.approx(few, abs=2e-4)


def test_mmd_of_two_normals() -> None:
    """The kernel of width h between N(0, I) and N(m, I), in one dimension, has a closed form."""
    width, shift, num = 1.0, 1.5, 3000
    scale = width**2 + 2
    factor = width / math.sqrt(scale)
    exact = 2 * factor * (1 - math.exp(-(shift**2) / (2 * scale)))
    values = torch.tensor(
        [
            distances.mmd(normal(num, 1, seed), normal(num, 1, seed + 50) + shift, [width])
            for seed in range(6)
        ]
    )
    bias = 2 * (1 - factor) / num
    error = float(values.std()) / math.sqrt(len(values))
    assert float(values.mean()) - bias == pytest.approx(exact, abs=4 * error)


def test_bandwidths_scale_with_the_data() -> None:
    x = normal(500, 2, 0)
    assert distances.bandwidths(3 * x) == pytest.approx([3 * w for w in distances.bandwidths(x)])


def test_sliced_wasserstein_of_a_shift() -> None:
    """A shift by v moves every projection by v·u, and E(v·u)² = |v|²/dim."""
    x = normal(2000, 2, 0)
    shift = torch.tensor([3.0, 4.0])
    value = distances.sliced_wasserstein(x, x + shift, generator_of(1), num_projections=4000)
    # (v·u)² = 25 cos², mean 12.5 and sd 8.8: 1 % of standard error on the square over 4,000
    assert value == pytest.approx(math.sqrt(12.5), rel=0.03)


def test_sliced_wasserstein_wants_equal_numbers() -> None:
    with pytest.raises(ValueError, match="equal numbers"):
        distances.sliced_wasserstein(normal(3, 2, 0), normal(4, 2, 0), generator_of(0))


def test_events_of_any_shape_are_flattened() -> None:
    x, y = normal(50, 12, 0), normal(50, 12, 1)
    shaped = x.reshape(50, 2, 3, 2), y.reshape(50, 2, 3, 2)
    assert distances.energy_distance(*shaped) == distances.energy_distance(x, y)
    assert distances.mmd(*shaped) == distances.mmd(x, y)
