"""Bootstrap: a resample's figure is that of its events, and intervals cover the truth."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats

from backend.metrics import bootstrap
from backend.metrics.distances import energy_distance, mean_distance, pair_distances
from backend.metrics.images import FrechetPCA, frechet, kernel_distance
from backend.metrics.quality import Quality


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quality_of(reference: torch.Tensor, num: int, **parts: Any) -> Quality:
    """As much of `Quality` as a bootstrap looks at."""
    fields = {"widths": [0.5, 1.0], "frechet": None, "in_features": None, **parts}
    data = SimpleNamespace(held_out=reference)
    return cast(Quality, SimpleNamespace(reference=reference, num=num, data=data, **fields))


def test_the_figure_of_a_resample_is_that_of_the_events_it_holds() -> None:
    x, y = (torch.randn(num, 3, generator=generator(num)) for num in (40, 60))
    picks = torch.randint(40, (5, 40), generator=generator())
    shares = bootstrap.shares_of(picks, 40)
    within, across = pair_distances(x, x).double(), pair_distances(x, y).double()
    distances = 2 * shares @ across.mean(1) - bootstrap.of_pairs(within, shares)
    direct = [energy_distance(x[rows], y) + mean_distance(y, y) for rows in picks]
    assert distances.tolist() == pytest.approx(direct, rel=1e-5)
    direct = [frechet(x[rows], y) for rows in picks]
    assert bootstrap.frechet_under(x, y, shares).tolist() == pytest.approx(direct, rel=1e-6)
    gaps = bootstrap.kernel_distances(x, y, shares).diff()
    direct_gaps = torch.tensor([kernel_distance(x[rows], y) for rows in picks]).diff()
    assert gaps.tolist() == pytest.approx(direct_gaps.tolist(), rel=1e-4)


def test_every_distance_of_images_has_an_interval_about_its_figure() -> None:
    images = torch.rand(600, 1, 4, 4, generator=generator()) * 2 - 1
    x, held_out = images[:200] * 0.8, images[200:]
    quality = quality_of(held_out[:200], 200, frechet=FrechetPCA(held_out))
    figures = {"energy_distance": 0.1, "mmd": 0.2, "frechet_pca": 0.3, "kernel_pixels": -0.001}
    intervals = bootstrap.intervals(quality, x, figures, generator())
    assert intervals.keys() == figures.keys()
    assert all(low < figures[name] < high for name, (low, high) in intervals.items())
    assert intervals["kernel_pixels"][0] < 0, "an unbiased distance may be below 0"


def test_few_samples_and_samples_that_are_not_finite_have_no_intervals() -> None:
    x = torch.randn(200, 2, generator=generator())
    reference = torch.randn(200, 2, generator=generator(1))
    figures = {"energy_distance": 0.1, "mmd": 0.1}
    few = bootstrap.intervals(quality_of(reference, 50), x, figures, generator())
    x[3] = torch.nan
    broken = bootstrap.intervals(quality_of(reference, 200), x, figures, generator())
    assert few == broken == {}


def test_an_interval_of_a_mean_is_as_wide_as_scipys() -> None:
    x = torch.randn(300, dtype=torch.float64, generator=generator()).exp()
    picks = torch.randint(300, (999, 300), generator=generator(1))
    low, high = bootstrap.about(float(x.mean()), bootstrap.shares_of(picks, 300) @ x)
    reference = stats.bootstrap((x.numpy(),), np.mean, method="percentile", rng=2)
    theirs = reference.confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.1 * (theirs.high - theirs.low))
    assert high == pytest.approx(theirs.high, abs=0.1 * (theirs.high - theirs.low))


def _expected(mean: float, sd: float, num: int, reference: torch.Tensor) -> float:
    """Mean energy distance of `num` draws of a normal law in one dimension to a reference."""
    y = reference.double().numpy().ravel()
    away = (y - mean) / sd
    across = sd * (2 * stats.norm.pdf(away) + away * (2 * stats.norm.cdf(away) - 1))
    within = 2 * sd / math.sqrt(math.pi) * (1 - 1 / num)
    return 2 * float(across.mean()) - within - float(np.abs(y[:, None] - y).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "sd"), [(1.0, 1.0), (0.3, 1.0), (0.0, 1.5), (0.0, 1.0)])
def test_intervals_of_energy_distance_cover_the_truth_as_often_as_they_say(
    mean: float, sd: float
) -> None:
    num, repeats, random = 200, 300, generator(5)
    reference = torch.randn(500, 1, generator=random)
    quality, truth = quality_of(reference, num), _expected(mean, sd, num, reference)
    covered = 0
    for _ in range(repeats):
        x = mean + sd * torch.randn(num, 1, generator=random)
        figures = {"energy_distance": energy_distance(x, reference), "mmd": 0.0}
        low, high = bootstrap.intervals(quality, x, figures, random)["energy_distance"]
        covered += low <= truth <= high
    # 3.5 standard errors below 95 %; at the floor itself intervals are wider than they need be
    assert covered / repeats >= 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / repeats)
    assert (mean, sd) == (0.0, 1.0) or covered / repeats <= 0.995


@pytest.mark.slow
def test_intervals_of_the_frechet_distance_cover_its_mean_over_draws() -> None:
    num, repeats, random = 300, 300, generator(6)
    reference = torch.randn(500, 8, generator=random)
    draws = [0.3 + 1.1 * torch.randn(num, 8, generator=random) for _ in range(repeats)]
    figures = [frechet(x, reference) for x in draws]
    mean, covered = float(np.mean(figures)), 0
    for x, figure in zip(draws, figures, strict=True):
        picks = torch.randint(num, (299, num), generator=random)
        resampled = bootstrap.frechet_under(x, reference, bootstrap.shares_of(picks, num))
        low, high = bootstrap.about(figure, resampled)
        covered += low <= mean <= high
    assert 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / repeats) <= covered / repeats
