"""Bootstrap intervals of figures of samples: in which range those of other draws would lie.

Samples are drawn again from themselves, the reference stays: all that are compared share it. Events
that are drawn twice shift distances of pairs and of covariances by what depends on the number
alone, so the spread of the resampled figures is laid about the figure itself. It says nothing of
the training: of that, seeds say more. Efron & Tibshirani 1993; Bickel & Freedman 1981.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from backend.metrics.distances import gaussian_kernels, pair_distances
from backend.metrics.images import cubic_kernel, square_root
from backend.metrics.quality import Quality

LEVEL = 0.95
NUM_RESAMPLES = 999
LEAST, MOST = 100, 4000
"""Samples below which a bootstrap knows too little, and beyond which their pairs are too many."""
MOST_DIM = 64
"""Coordinates up to which covariances are made of every resample."""

Interval = tuple[float, float]


def intervals(
    quality: Quality, z: Tensor, figures: dict[str, float], generator: torch.Generator
) -> dict[str, Interval]:
    """95 % intervals of `figures`, what `quality.of(z)` gives, by name: energy distance, MMD², and
    Fréchet and kernel distances of images. Empty for too few samples, too many, or infinite ones.
    """
    x = z[: quality.num]
    num = len(x)
    if not LEAST <= num <= MOST or not x.isfinite().all():
        return {}
    picks = torch.randint(num, (NUM_RESAMPLES, num), generator=generator, device=x.device)
    shares = shares_of(picks, num)
    return {
        name: about(figures[name], resampled, signed=name.startswith("kernel"))
        for name, resampled in _resampled(quality, x, shares)
    }


def about(figure: float, resampled: Tensor, *, signed: bool = False) -> Interval:
    """Lay the spread of resampled figures (num,) about a figure; not below 0 unless `signed`."""
    tail = (1 - LEVEL) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=resampled.dtype, device=resampled.device)
    low, high = (figure + (resampled - resampled.mean()).quantile(ends)).tolist()
    return (low, high) if signed else (max(low, 0.0), max(high, 0.0))


def shares_of(picks: Tensor, num: int) -> Tensor:
    """Share (resamples, num) float64 of every event in picks (resamples, drawn) of their places."""
    counts = torch.zeros((len(picks), num), dtype=torch.float64, device=picks.device)
    ones = counts.new_ones(()).expand(picks.shape)
    return counts.scatter_add_(1, picks, ones) / picks.shape[1]


def _resampled(quality: Quality, x: Tensor, shares: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Give figures (resamples,) under shares (resamples, num) of the samples, but for constants."""
    reference = quality.reference
    within, across = pair_distances(x, x).double(), pair_distances(x, reference).double()
    yield "energy_distance", 2 * shares @ across.mean(1) - of_pairs(within, shares)
    kernel = gaussian_kernels(quality.widths)
    within, across = kernel(within), kernel(across)
    yield "mmd", of_pairs(within, shares) - 2 * shares @ across.mean(1)
    held_out = quality.data.held_out
    if quality.frechet is not None:
        scores = quality.frechet.scores
        yield "frechet_pca", frechet_under(scores(x), scores(held_out), shares)
        yield "kernel_pixels", kernel_distances(x, held_out, shares)
    if (space := quality.in_features) is not None:
        features = space.space.features(x)
        if features.isfinite().all():
            if features.shape[1] <= MOST_DIM:
                yield "frechet_features", frechet_under(features, space.reference, shares)
            yield "kernel_features", kernel_distances(features, space.reference, shares)


def of_pairs(values: Tensor, shares: Tensor) -> Tensor:
    """Mean (resamples,) of values (num, num) over pairs of events, each as often as its share."""
    return ((shares @ values) * shares).sum(1)


def frechet_under(x: Tensor, y: Tensor, shares: Tensor) -> Tensor:
    """Fréchet distances (resamples,) of x (num, dim), each event by its share, to y."""
    x, y = x.double(), y.double()
    num, dim = x.shape
    x, y = x - y.mean(0), y - y.mean(0)
    means = shares @ x
    squares = (x[:, :, None] * x[:, None, :]).reshape(num, dim * dim)
    moments = (shares @ squares).reshape(-1, dim, dim)
    covariances = (moments - means[:, :, None] * means[:, None, :]) * (num / (num - 1))
    of_y = y.T @ y / (len(y) - 1)
    root = square_root(of_y)
    cross = torch.linalg.eigvalsh(root @ covariances @ root).clamp(min=0).sqrt().sum(1)
    traces = covariances.diagonal(dim1=1, dim2=2).sum(1) + of_y.trace()
    return means.square().sum(1) + traces - 2 * cross


def kernel_distances(x: Tensor, y: Tensor, shares: Tensor) -> Tensor:
    """Kernel distances (resamples,) of x (num, ...) to y, but for what all share."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    num, values = len(x), cubic_kernel(x, x)
    alone = shares @ values.diagonal() / num
    within = (of_pairs(values, shares) - alone) * (num / (num - 1))
    return within - 2 * shares @ cubic_kernel(x, y).mean(1)
