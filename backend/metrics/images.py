"""Distances between sets of images, read as vectors: of pixels or of features (num, dim)."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_PIXELS = 1024
"""Values of an image up to which a covariance of pixels × pixels is made."""
MOST_IMAGES = 2000


def out_of_range(x: Tensor, low: float, high: float) -> float:
    """Share of the pixels outside [low, high].

    >>> out_of_range(torch.tensor([[-2.0, 0.0, 0.5, 1.0]]), -1.0, 1.0)
    0.25
    """
    return float(((x < low) | (x > high)).float().mean())


def frechet(x: Tensor, y: Tensor) -> float:
    """Squared 2-Wasserstein distance between Gaussians fitted to x (num, dim) and y.

    |m - m'|² + tr(C + C' - 2 (C C')^½). It falls with the number of samples even for perfect ones:
    compare equal numbers, beside the floor. Dowson & Landau 1982; Heusel et al. 2017.
    """
    centred_x, centred_y = (part.double() - part.double().mean(0) for part in (x, y))
    shift = (x.double().mean(0) - y.double().mean(0)).square().sum()
    spread_x, spread_y = (centred / (len(centred) - 1) ** 0.5 for centred in (centred_x, centred_y))
    traces = spread_x.square().sum() + spread_y.square().sum()
    if x.shape[1] <= len(x):
        root = square_root(spread_y.T @ spread_y)
        cross = torch.linalg.eigvalsh(root @ (spread_x.T @ spread_x) @ root)
        cross = cross.clamp(min=0).sqrt().sum()
    else:
        # tr (C C')^½ = |A Bᵀ| in the nuclear norm for C = AᵀA and C' = BᵀB
        cross = torch.linalg.svdvals(spread_x @ spread_y.T).sum()
    return max(float(shift + traces - 2 * cross), 0.0)


class FrechetPCA:
    """Fréchet distance in the `dim` leading principal components of the training set's pixels.

    Beyond MOST_PIXELS the components are those of MOST_IMAGES images, evenly taken.
    """

    def __init__(self, train: Tensor, dim: int = 20) -> None:
        vectors = train.reshape(len(train), -1)
        if vectors.shape[1] > MOST_PIXELS:
            vectors = vectors[:: -(-len(vectors) // MOST_IMAGES)]
        vectors = vectors.double()
        self.mean = vectors.mean(0)
        self.components = _leading(vectors - self.mean, dim)
        """(pixels, at most dim) float64"""

    def distance(self, x: Tensor, reference: Tensor) -> float:
        """Between samples x and a reference (held-out data), each (num, *event_shape)."""
        return frechet(self.scores(x), self.scores(reference))

    def scores(self, x: Tensor) -> Tensor:
        """Principal components (num, dim) float64 of images x (num, *event_shape)."""
        return (x.reshape(len(x), -1).double() - self.mean) @ self.components


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Unbiased MMD² of x (num, dim) and y under the kernel (x·y/dim + 1)³; 0 for equal laws.

    Pairs of a point and itself are left out, so it may be below 0 and its mean does not depend on
    the number of independent samples. Sets that hold classes in equal shares, as a stratified split
    and samples by label do, read a little below 0. Bińkowski et al. 2018 (KID).
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()

    def within(a: Tensor) -> Tensor:
        values = cubic_kernel(a, a)
        return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * cubic_kernel(x, y).mean())


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y/dim + 1)³ of all pairs (len(x), len(y)) of x (num, dim) and y."""
    return (x @ y.T / x.shape[1] + 1).pow(3)


def _leading(centred: Tensor, dim: int) -> Tensor:
    """Leading eigenvectors (pixels, at most dim) of centredᵀ centred, centred (num, pixels): by
    way of the smaller of the two products, so that pixels² is never held for a few large images."""
    num, pixels = centred.shape
    if pixels <= num or pixels <= MOST_PIXELS:
        return torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -dim:]
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    seen = values[-dim:] > 1e-12 * values[-1]
    return centred.T @ (vectors[:, -dim:][:, seen] / values[-dim:][seen].sqrt())


def square_root(matrix: Tensor) -> Tensor:
    """The symmetric root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
