"""One Gaussian a class, in its leading principal components: where chains of classes may start."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data

MOST_COMPONENTS = 256


class ClassGaussians:
    """N(mean_y, V_y diag(sd_y²) V_yᵀ) of the training rows of each class y.

    V_y are the leading components that hold `variance` of the class's variance, MOST_COMPONENTS at
    most. Draws of images and of points are held to the box that noise is drawn from. A class
    without rows has the mean of all of them and no spread. Yang & Ji 2021 (JEM++).
    """

    def __init__(self, data: Data, variance: float = 1.0) -> None:
        """Raises ValueError for data without labels."""
        if data.labels is None:
            raise ValueError(f"{data.title} has no classes")
        self.low, self.high = data.noise_low, data.noise_high
        rows = data.train.flatten(1)
        parts = [_moments(rows, data.labels == k, variance) for k in range(data.num_labels)]
        num = max(1, *(len(spread) for _, spread in parts))
        self.means = torch.stack([mean for mean, _ in parts])
        """(num_labels, dim)"""
        self.spreads = rows.new_zeros(len(parts), num, rows.shape[1])
        """(num_labels, components, dim): components times their standard deviations"""
        for label, (_, spread) in enumerate(parts):
            self.spreads[label, : len(spread)] = spread

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """One draw for each of labels (num,), (num, *event_shape), standardised."""
        spreads = self.spreads[labels]
        noise = torch.randn(spreads.shape[:2], generator=generator, device=labels.device)
        z = self.means[labels] + torch.einsum("nk,nkd->nd", noise, spreads)
        return z.reshape(-1, *self.low.shape).clamp(self.low, self.high)


def _moments(rows: Tensor, chosen: Tensor, variance: float) -> tuple[Tensor, Tensor]:
    """Mean (dim,) and components times their standard deviations (components, dim)."""
    own = rows[chosen]
    if not len(own):
        return rows.mean(0), rows[:0]
    mean = own.mean(0)
    if len(own) == 1:
        return mean, rows[:0]
    _, values, vectors = torch.linalg.svd(own - mean, full_matrices=False)
    shares = values.square().cumsum(0) / values.square().sum().clamp(min=1e-30)
    num = int((shares < variance).sum()) + 1
    num = min(num, len(values), MOST_COMPONENTS)
    return mean, vectors[:num] * (values[:num, None] / (len(own) - 1) ** 0.5)
