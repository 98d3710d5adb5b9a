"""Grid KL, modes and image figures against exact values."""

from __future__ import annotations

import math

import pytest
import torch

from backend.datasets.digits import DigitsConfig, DigitsData
from backend.energies.closed_form import Gaussian, Ring
from backend.energies.closed_form_shapes import Checkerboard
from backend.metrics.density import Grid, energies, grid_kl
from backend.metrics.images import FrechetPCA, out_of_range
from backend.metrics.modes import mode_share, mode_weights
from backend.randomness import generator_of

BOX = ((-9.0, 9.0), (-9.0, 9.0))


def gaussian(variance: float, shift: float = 0.0) -> Gaussian:
    return Gaussian(torch.tensor([shift, 0.0]), variance * torch.eye(2))


def test_grid_kl_of_two_gaussians() -> None:
    grid = Grid(BOX)
    x = grid.points()
    truth, model = energies(gaussian(1.0), x), energies(gaussian(2.0, 0.7), x)
    exact = 0.5 * (2 / 2 + 0.7**2 / 2 - 2 + 2 * math.log(2))
    result = grid_kl(truth, model + 3.0, grid.cell)
    assert result.kl == pytest.approx(exact, abs=1e-4)
    assert result.log_z == pytest.approx(-3.0, abs=1e-4)
    assert grid_kl(truth, truth, grid.cell).kl == pytest.approx(0, abs=1e-7)


def test_grid_kl_at_another_temperature() -> None:
    """exp(-E/T) of a unit Gaussian is a Gaussian of variance T."""
    grid = Grid(BOX)
    x = grid.points()
    energy = energies(gaussian(1.0), x)
    assert grid_kl(energies(gaussian(2.0), x), energy, grid.cell, temperature=2.0).kl < 1e-5
    assert grid_kl(energies(gaussian(2.0), x), energy, grid.cell).kl > 0.1


def test_grid_kl_where_the_truth_is_bounded() -> None:
    """The board against a uniform law over its box: log(100 / 32), cells lying on the edges."""
    target = Checkerboard()
    grid = Grid(target.box)
    truth = energies(target, grid.points())
    flat = torch.zeros_like(truth)
    assert grid_kl(truth, flat, grid.cell).kl == pytest.approx(math.log(100 / 32), abs=1e-6)
    assert grid_kl(flat, truth, grid.cell).kl == math.inf


def test_grid_rows_run_upwards() -> None:
    x = Grid(((0.0, 4.0), (10.0, 14.0)), 4).points().reshape(4, 4, 2)
    assert x[0, 0].tolist() == [0.5, 10.5]
    assert x[0, 3].tolist() == [3.5, 10.5]
    assert x[3, 0].tolist() == [0.5, 13.5]


def test_mode_share_of_exact_draws() -> None:
    ring = Ring()
    x = ring.draw(40_000, generator_of(0))
    share = 1 - math.exp(-2)
    error = math.sqrt(share * (1 - share) / len(x))
    # neighbours 1.53 apart add less than 1e-3
    assert mode_share(x, ring.modes, 0.3) == pytest.approx(share, abs=4 * error + 1e-3)


def test_mode_weights() -> None:
    modes = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    x = torch.tensor([[0.1, 0.2], [4.0, 0.3], [5.5, 0.0], [0.2, 0.1]])
    assert mode_weights(x, modes).tolist() == [0.5, 0.5, 0.0]


def test_out_of_range() -> None:
    x = torch.tensor([[[-1.5, -1.0], [1.0, 1.01]]])
    assert out_of_range(x, -1.0, 1.0) == 0.5


def test_frechet_of_gaussians() -> None:
    """All components kept: |m|² + Σ (σ - σ')² for diagonal covariances."""
    num = 40_000
    x = torch.randn((num, 3), generator=generator_of(0))
    y = 2 * torch.randn((num, 3), generator=generator_of(1)) + torch.tensor([1.0, 0.0, 0.0])
    frechet = FrechetPCA(y, dim=3)
    assert frechet.components.shape == (3, 3)
    # the standard error of a mean is 2/√n = .01, of an sd less; errors add over 4 terms near 1
    assert frechet.distance(x, y) == pytest.approx(1 + 3, abs=0.1)
    assert frechet.distance(x, x) == pytest.approx(0, abs=1e-8)


def test_frechet_floor_and_noise_on_the_digits() -> None:
    """The yardstick: real training digits .156, the first 500 .246, uniform noise 10.97."""
    data = DigitsData(DigitsConfig()).load()
    frechet = FrechetPCA(data.train)
    assert frechet.components.shape == (64, 20)
    assert frechet.distance(data.train, data.held_out) == pytest.approx(0.156, abs=0.02)
    assert frechet.distance(data.train[:500], data.held_out) == pytest.approx(0.246, abs=0.03)
    noise = data.noise(1257, generator_of(0))
    assert frechet.distance(noise, data.held_out) == pytest.approx(10.97, abs=0.4)
