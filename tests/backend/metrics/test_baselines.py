"""Baselines against the closed forms of Gaussians."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import MultivariateNormal

from backend.data import Data
from backend.datasets.digits import DigitsConfig, DigitsData
from backend.metrics import baselines
from backend.metrics.detection import auroc
from backend.randomness import generator_of

DIGITS = DigitsData(DigitsConfig()).load()
MEAN = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
COVARIANCE = torch.tensor(
    [[1.0, 0.6, 0.2], [0.6, 0.8, -0.1], [0.2, -0.1, 0.5]], dtype=torch.float64
)


def test_draws_of_large_events_have_the_mean_and_the_variance_of_the_data() -> None:
    scale = torch.linspace(0.2, 2.0, 1200)
    z = 3 + scale * torch.randn((400, 1200), generator=generator_of("wide"))
    data = replace(DIGITS, train=z, image_range=None)
    draws = baselines.single_gaussian(data, 4000, generator_of("draws"))
    assert torch.allclose(draws.mean(0), z.mean(0), atol=0.2)
    assert torch.allclose(draws.var(0), z.var(0) + baselines.RIDGE, rtol=0.2)


def with_moments(num: int, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Points whose sample mean and covariance, less the ridge, are exactly these."""
    white = torch.randn((num, len(mean)), generator=generator_of(num), dtype=torch.float64)
    white = white - white.mean(0)
    root = torch.linalg.cholesky(white.T @ white / (num - 1))
    white = torch.linalg.solve_triangular(root, white.T, upper=False).T
    ridge = baselines.RIDGE * torch.eye(len(mean), dtype=torch.float64)
    return (mean + white @ torch.linalg.cholesky(covariance - ridge).T).float()


def points(*sets: torch.Tensor) -> Data:
    """Data whose classes are these sets."""
    train = torch.cat(sets)
    labels = torch.cat([torch.full((len(part),), index) for index, part in enumerate(sets)])
    zero, one = torch.zeros(()), torch.ones(())
    low, high = train.amin(0), train.amax(0)
    return Data("points", "Points", train, train, zero, one, low, high, labels=labels)


ONE = points(with_moments(200, MEAN, COVARIANCE))
TWO = points(with_moments(300, MEAN, COVARIANCE), with_moments(100, -2 * MEAN, 2 * COVARIANCE))


def test_the_energy_of_one_gaussian() -> None:
    x = torch.randn((50, 3), generator=generator_of(0))
    exact = -MultivariateNormal(MEAN, COVARIANCE).log_prob(x.double())
    assert baselines.gaussian_energy(ONE)(x).double() == pytest.approx(exact, abs=1e-4)


def test_the_energy_of_one_gaussian_a_class() -> None:
    x = torch.randn((50, 3), generator=generator_of(0))
    first = MultivariateNormal(MEAN, COVARIANCE).log_prob(x.double()) + math.log(0.75)
    second = MultivariateNormal(-2 * MEAN, 2 * COVARIANCE).log_prob(x.double()) + math.log(0.25)
    exact = -torch.logaddexp(first, second)
    assert baselines.class_gaussian_energy(TWO)(x).double() == pytest.approx(exact, abs=1e-4)


def test_energies_of_images_are_finite_though_some_pixels_never_change() -> None:
    assert (DIGITS.train[:, 0, 0] == -1).all()
    for energy in (baselines.gaussian_energy(DIGITS), baselines.class_gaussian_energy(DIGITS)):
        assert energy(DIGITS.held_out).isfinite().all()
        assert energy(DIGITS.held_out).mean() < energy(DIGITS.noise(100, generator_of(0))).mean()


def test_draws_have_the_moments_of_their_class() -> None:
    num = 40_000
    one = baselines.single_gaussian(ONE, num, generator_of(1))
    labels = torch.tensor([0, 1]).repeat(num)
    two = baselines.class_gaussian(TWO, labels, generator_of(2))
    for draws, mean, covariance in (
        (one, MEAN, COVARIANCE),
        (two[labels == 0], MEAN, COVARIANCE),
        (two[labels == 1], -2 * MEAN, 2 * COVARIANCE),
    ):
        # five standard errors: √(C_ii / num), √((C_ii C_jj + C_ij²) / num)
        scale = covariance.diagonal()
        gap = (draws.double().mean(0) - mean).abs()
        assert (gap < 5 * (scale / num).sqrt()).all()
        error = ((scale[:, None] * scale + covariance.square()) / num).sqrt()
        assert ((torch.cov(draws.double().T) - covariance).abs() < 5 * error).all()


def test_images_are_clipped_and_of_the_shape_asked_for() -> None:
    for draws in (
        baselines.single_gaussian(DIGITS, 30, generator_of(0)),
        baselines.class_gaussian(DIGITS, torch.arange(10).repeat(3), generator_of(0)),
        baselines.pixel_resampled(DIGITS, 30, generator_of(0)),
    ):
        assert draws.shape == (30, 8, 8)
        assert draws.min() == -1 and draws.max() == 1


def test_resampled_pixels_keep_their_marginals_and_lose_the_rest() -> None:
    x = baselines.pixel_resampled(ONE, 20_000, generator_of(3)).double()
    truth = ONE.train.double()
    assert (x.mean(0) - truth.mean(0)).abs().max() < 5 * float(truth.std(0).max()) / 20_000**0.5
    assert torch.corrcoef(x.T)[0, 1].abs() < 5 / 20_000**0.5
    assert torch.corrcoef(truth.T)[0, 1].abs() > 0.3
    assert set(x[:, 0].tolist()) <= set(truth[:, 0].tolist())


def test_inpainting_by_the_nearest_and_by_the_mean() -> None:
    train = torch.tensor([[0.0, 0.0, 9.0], [1.0, 0.0, 8.0], [5.0, 5.0, 7.0]])
    data, mask = points(train), torch.tensor([True, True, False])
    known = torch.tensor([[0.9, 0.1, 100.0], [4.0, 9.0, 100.0]])
    filled = baselines.nearest_inpaint(data, known, mask)
    assert torch.equal(filled, torch.tensor([[0.9, 0.1, 8], [4, 9, 7]]))
    assert baselines.mean_inpaint(data, known, mask)[:, 2].tolist() == [8, 8]
    each = torch.tensor([[False, False, True], [True, False, False]])
    known = torch.tensor([[0.0, 0.0, 9.0], [5.0, 0.0, 0.0]])
    filled = baselines.nearest_inpaint(data, known, each)
    assert filled.tolist() == [[0, 0, 9], [5, 5, 7]]


def test_inpainting_by_a_gaussian_follows_its_conditional() -> None:
    """By the precision matrix: mean m_u - P_uu⁻¹ P_uk (x_k - m_k), covariance P_uu⁻¹."""
    num = 40_000
    mask = torch.tensor([False, True, False])
    known = torch.tensor([0.0, 0.7, 0.0]).expand(num, 3)
    precision = torch.linalg.inv(COVARIANCE)
    unknown = torch.linalg.inv(precision[~mask][:, ~mask])
    mean = MEAN[~mask] - unknown @ precision[~mask][:, mask] @ (0.7 - MEAN[mask])
    filled = baselines.gaussian_inpaint(ONE, known[:1], mask, None)
    assert filled[0, ~mask].double() == pytest.approx(mean, abs=1e-5)
    drawn = baselines.gaussian_inpaint(ONE, known, mask, generator_of(4))[:, ~mask].double()
    error = (unknown.diagonal() / num).sqrt()
    assert ((drawn.mean(0) - mean).abs() < 5 * error).all()
    assert torch.cov(drawn.T) == pytest.approx(unknown, abs=5 * 2**0.5 / num**0.5)
    labels = torch.zeros(1, dtype=torch.long)
    same = baselines.gaussian_inpaint(TWO, known[:1], mask, None, labels)
    assert same[0, ~mask].double() == pytest.approx(mean, abs=1e-5)


def test_lower_halves_of_digits_as_the_yardstick_has_them() -> None:
    """MSE of the hidden half: nearest .221, mean image .313, one Gaussian .210, a class .106."""
    mask = torch.arange(8)[:, None].expand(8, 8) < 4
    known, labels = DIGITS.held_out, DIGITS.held_out_labels

    def error(filled: torch.Tensor) -> float:
        assert torch.equal(filled[:, mask], known[:, mask])
        return float((filled - known)[:, ~mask].square().mean())

    hidden = torch.where(mask, known, 99.0)
    assert error(baselines.nearest_inpaint(DIGITS, hidden, mask)) == pytest.approx(0.221, abs=0.01)
    assert error(baselines.mean_inpaint(DIGITS, hidden, mask)) == pytest.approx(0.313, abs=0.01)
    for classes, expected in ((None, 0.210), (labels, 0.106)):
        filled = baselines.gaussian_inpaint(DIGITS, hidden, mask, None, classes)
        assert error(filled) == pytest.approx(expected, abs=0.01)


def test_upside_down_digits_are_told_as_well_as_the_yardstick_says() -> None:
    """AUROC of digits turned by half a turn: one Gaussian .838, one a class .927."""
    turned = DIGITS.held_out.flip(1, 2)
    for build, expected in (
        (baselines.gaussian_energy, 0.838),
        (baselines.class_gaussian_energy, 0.927),
    ):
        energy = build(DIGITS)
        found = auroc(energy(DIGITS.held_out), energy(turned))
        assert found == pytest.approx(expected, abs=0.02)


def test_data_without_labels_have_no_class_gaussians() -> None:
    plain = points(ONE.train)
    unlabelled = Data(**(vars(plain) | {"labels": None}))
    with pytest.raises(ValueError, match="have no labels"):
        baselines.class_gaussian_energy(unlabelled)
    with pytest.raises(ValueError, match="no training event of Points has the label 3"):
        baselines.class_gaussian(plain, torch.tensor([3]), generator_of(0))
