"""Quality of image samples without a network."""

from __future__ import annotations

import torch
from torch import Tensor


def out_of_range(x: Tensor, low: float, high: float) -> float:
    """Share of the pixels outside [low, high].

    >>> out_of_range(torch.tensor([[-2.0, 0.0, 0.5, 1.0]]), -1.0, 1.0)
    0.25
    """
    return float(((x < low) | (x > high)).float().mean())


class FrechetPCA:
    """Fréchet distance between Gaussians fitted in the leading principal components of the data.

    |m - m'|² + tr(C + C' - 2 (C C')^½), on `dim` components fitted on the training set. It falls
    with the number of samples even for perfect ones: compare equal numbers, beside the floor.
    """

    def __init__(self, train: Tensor, dim: int = 20) -> None:
        vectors = train.reshape(len(train), -1).double()
        self.mean = vectors.mean(0)
        centred = vectors - self.mean
        covariance = centred.T @ centred
        self.components = torch.linalg.eigh(covariance).eigenvectors[:, -dim:]
        """(pixels, at most dim) float64"""

    def distance(self, x: Tensor, reference: Tensor) -> float:
        """Between samples x and a reference (held-out data), each (num, *event_shape)."""
        mean_x, covariance_x = self._moments(x)
        mean_y, covariance_y = self._moments(reference)
        root = _square_root(covariance_y)
        cross = torch.linalg.eigvalsh(root @ covariance_x @ root).clamp(min=0).sqrt().sum()
        traces = covariance_x.trace() + covariance_y.trace()
        return max(float((mean_x - mean_y).square().sum() + traces - 2 * cross), 0.0)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = (x.reshape(len(x), -1).double() - self.mean) @ self.components
        mean = scores.mean(0)
        centred = scores - mean
        return mean, centred.T @ centred / (len(x) - 1)


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
