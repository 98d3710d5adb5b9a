"""Grid KL, modes and image figures against exact values."""

from __future__ import annotations

import math

import pytest
import torch

from backend.datasets.digits import DigitsConfig, DigitsData
from backend.energies.closed_form import Gaussian, Ring
from backend.energies.closed_form_shapes import Checkerboard
from backend.metrics.density import Grid, energies, grid_kl
from backend.metrics.images import FrechetPCA, frechet, kernel_distance, out_of_range
from backend.metrics.modes import mode_share, mode_weights
from backend.randomness import generator_of

BOX = ((-9.0, 9.0), (-9.0, 9.0))


def gaussian(variance: float, shift: float = 0.0) -> Gaussian:
    return Gaussian(torch.tensor([shift, 0.0]), variance * torch.eye(2))


def test_components_of_few_large_images_are_those_of_their_covariance() -> None:
    generator = generator_of("images")
    factors = torch.randn(5, 1500, generator=generator)
    images = (torch.randn(50, 5, generator=generator) @ factors).reshape(50, 20, 25, 3)
    components = FrechetPCA(images, dim=5).components
    centred = (images - images.mean(0)).flatten(1).double()
    exact = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -5:]
    assert torch.allclose(components @ components.T, exact @ exact.T, atol=1e-6)
    assert FrechetPCA(torch.randn(30, 64, 64, 3, generator=generator)).components.shape[1] == 20


def test_the_points_of_a_grid_far_from_the_origin_are_told_apart() -> None:
    points = Grid(((1e9, 1e9 + 1), (0.0, 1.0)), size=20).points()
    assert len(points[:, 0].unique()) == 20
    assert Grid(BOX).points().dtype == torch.float32


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


def sample(mean: list[float], sds: list[float], num: int, seed: int) -> torch.Tensor:
    white = torch.randn((num, len(sds)), generator=generator_of(seed), dtype=torch.float64)
    return torch.tensor(mean) + white * torch.tensor(sds)


def exact_moments(covariance: torch.Tensor, num: int) -> torch.Tensor:
    """Centred points (num, dim) of exactly this sample covariance."""
    white = torch.randn((num, len(covariance)), generator=generator_of(9), dtype=torch.float64)
    basis = torch.linalg.qr(white - white.mean(0)).Q
    return basis * (num - 1) ** 0.5 @ torch.linalg.cholesky(covariance).T


def test_frechet_is_the_closed_form_of_gaussians() -> None:
    """Of sets whose moments are exact: in the plane tr (C C')^½ = √(tr C C' + 2 √det C C')."""
    first = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    second = torch.tensor([[1.0, -0.4], [-0.4, 3.0]], dtype=torch.float64)
    shift = torch.tensor([1.0, -2.0], dtype=torch.float64)
    product = first @ second
    cross = (product.trace() + 2 * product.det().sqrt()).sqrt()
    exact = float(5 + first.trace() + second.trace() - 2 * cross)
    x, y = exact_moments(first, 30), exact_moments(second, 50) + shift
    assert frechet(x, y) == pytest.approx(exact, abs=1e-9)
    assert frechet(y, x) == pytest.approx(exact, abs=1e-9)
    # with coordinates that never change, more of them than points, the other algebra gives the same
    wide = [torch.cat([part, torch.zeros(len(part), 60)], 1) for part in (x, y)]
    assert frechet(*wide) == pytest.approx(exact, abs=1e-9)


def test_kernel_distance_by_hand() -> None:
    """Means of (x·y/2 + 1)³ over pairs of different points."""
    x = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    y = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    # k(x, x') = 1; k(y, y') = (1 + 1)³; k(x, y) = 1, 1, (2 + 1)³, (2 + 1)³
    assert kernel_distance(x, y) == pytest.approx(1 + 8 - 2 * (1 + 1 + 27 + 27) / 4)


def test_kernel_distance_is_unbiased() -> None:
    """Of N(0, 1) and N(m, 1), E(XY + 1)³ by moments: k(X,X') 4, k(Y,Y') and k(X,Y) below."""
    shift, repeats, num = 0.5, 400, 20
    second = 1 + shift**2
    third = shift**3 + 3 * shift
    within_y = third**2 + 3 * second**2 + 3 * shift**2 + 1
    exact = 4 + within_y - 2 * (3 * second + 1)
    values = torch.tensor(
        [
            kernel_distance(
                sample([0.0], [1.0], num, 2 * index), sample([shift], [1.0], num, 2 * index + 1)
            )
            for index in range(repeats)
        ]
    )
    error = float(values.std()) / repeats**0.5
    assert float(values.mean()) == pytest.approx(exact, abs=4 * error)
    same = torch.tensor(
        [
            kernel_distance(
                sample([0.0], [1.0], num, 2 * index), sample([0.0], [1.0], 50, 2 * index + 1)
            )
            for index in range(repeats)
        ]
    )
    assert float(same.mean()) == pytest.approx(0, abs=4 * float(same.std()) / repeats**0.5)
    assert (same < 0).any()
