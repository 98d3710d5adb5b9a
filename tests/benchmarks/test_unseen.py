"""Data sets of the unseen benchmark are what their densities say, and so is their judge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from scipy.stats import multivariate_normal

from benchmarks.unseen_sets import sets
from benchmarks.unseen_truth import cells, kl_to

PLANE = [name for name, one in sets().items() if one.dim == 2]
BEYOND = [name for name, one in sets().items() if one.dim > 2]


@pytest.mark.parametrize("name", PLANE)
def test_a_density_in_the_plane_has_mass_one_and_no_kl_to_itself(name: str) -> None:
    one = sets()[name]

    def energy(x: np.ndarray) -> np.ndarray:
        return -np.maximum(one.log_density(x), -1e4)

    centres, log_area = cells(one, energy)
    assert special.logsumexp(one.log_density(centres) + log_area) == pytest.approx(0, abs=2e-3)
    assert kl_to(one, energy)[0] == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("name", sets())
def test_kl_to_one_gaussian_is_that_of_the_covariance(name: str) -> None:
    one = sets()[name]
    x = one.sample(50_000, seed=3)
    mean, covariance = x.mean(0), np.cov(x.T)
    gaussian = multivariate_normal(mean, covariance)
    expected = (one.log_density(x) - gaussian.logpdf(x)).mean()
    kl, log_z, effective = kl_to(one, lambda x: -gaussian.logpdf(x))
    # a mean over draws from a heavy tail is itself uncertain, and a Gaussian has none
    assert kl == pytest.approx(expected, abs=0.1 if "student" in name else 0.03)
    assert log_z == pytest.approx(0, abs=0.02)
    assert effective > 0.05


@pytest.mark.parametrize("name", BEYOND)
def test_draws_find_the_normaliser_of_the_density_itself(name: str) -> None:
    one = sets()[name]
    kl, log_z, _ = kl_to(one, lambda x: 7.0 - one.log_density(x))
    assert (kl, log_z) == (pytest.approx(0, abs=0.02), pytest.approx(-7, abs=0.02))
