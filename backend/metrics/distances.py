"""Distances between two sets of samples: energy distance, MMD² and sliced Wasserstein-2.

All take positions (num, *event_shape), flattened to vectors, in the data's standardised units.
None is zero for two sets of real data: show each beside its floor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 1000
"""Rows of a distance matrix held at once."""

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the reference's median pairwise distance that MMD² averages over."""


def _vectors(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)


def pair_distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (len(x), len(y)) of all pairs."""
    x, y = _vectors(x), _vectors(y)
    # Through a matrix product only where coordinates are many: it blurs small distances.
    mode = "use_mm_for_euclid_dist" if x.shape[1] > 25 else "donot_use_mm_for_euclid_dist"
    return torch.cdist(x, y, compute_mode=mode)


def _mean_over_pairs(x: Tensor, y: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean over all pairs of `of`(distance), 0-d float64; `of` may work in place."""
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows in x.split(CHUNK):
        total += of(pair_distances(rows, y)).sum(dtype=torch.float64)
    return total / (len(x) * len(y))


def mean_distance(x: Tensor, y: Tensor) -> float:
    """Mean Euclidean distance over all pairs, a point and itself included.

    >>> mean_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]]))
    0.5
    """
    return float(_mean_over_pairs(_vectors(x), _vectors(y), lambda distance: distance))


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'|, the squared form, as a V-statistic: never negative.

    Two sets of n and m points of one law give about (1/n + 1/m) E|X-X'|. Székely & Rizzo 2013.

    >>> energy_distance(torch.tensor([[0.0]]), torch.tensor([[3.0]]))
    6.0
    """
    return max(2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y), 0.0)


def bandwidths(reference: Tensor) -> list[float]:
    """The kernel widths MMD² uses: BANDWIDTHS times the median distance in the reference.

    The median is over the pairs of its first 1,000 points.
    """
    distances = torch.pdist(_vectors(reference)[:CHUNK])
    median = float(distances.median())
    return [factor * median for factor in BANDWIDTHS]


def gaussian_kernels(widths: list[float]) -> Callable[[Tensor], Tensor]:
    """The mean of Gaussian kernels of `widths`, a function of distances; it works in place."""

    def kernel(distance: Tensor) -> Tensor:
        square = distance.square_()
        total, last, part = torch.zeros_like(square), 0.0, square
        for width in sorted(widths, reverse=True):
            # half the width is the fourth power, which costs a fraction of an exponential
            if last == 2 * width:
                part = part.square_().square_()
            else:
                part = torch.exp(square / (-2 * width**2))
            total, last = total.add_(part), width
        return total / len(widths)

    return kernel


def mmd(x: Tensor, y: Tensor, widths: list[float] | None = None) -> float:
    """MMD²: k(X,X') + k(Y,Y') - 2 k(X,Y) in means, k the mean of Gaussian kernels of `widths`.

    A V-statistic, never negative; `widths` are `bandwidths(y)` when not given. Gretton et al. 2012.
    """
    x, y = _vectors(x), _vectors(y)
    widths = bandwidths(y) if widths is None else widths

    kernel = gaussian_kernels(widths)
    parts = [_mean_over_pairs(a, b, kernel) for a, b in ((x, x), (y, y), (x, y))]
    return max(float(parts[0] + parts[1] - 2 * parts[2]), 0.0)


def sliced_wasserstein(
    x: Tensor, y: Tensor, generator: torch.Generator, num_projections: int = 128
) -> float:
    """√ of the mean over random directions of the squared Wasserstein-2 distance along them.

    x and y hold equally many points; ValueError otherwise. Bonneel et al. 2015.
    """
    x, y = _vectors(x), _vectors(y)
    if len(x) != len(y):
        raise ValueError(f"sliced Wasserstein compares equal numbers, got {len(x)} and {len(y)}")
    directions = torch.randn(
        (x.shape[1], num_projections), generator=generator, device=generator.device
    ).to(x)
    directions /= directions.norm(dim=0)
    gaps = (x @ directions).sort(0).values - (y @ directions).sort(0).values
    return float(gaps.square().mean().sqrt())
