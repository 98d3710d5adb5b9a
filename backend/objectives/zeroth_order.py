"""Gradients of black boxes: simultaneous perturbation, and its calibration by history."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def spsa(
    loss: Callable[[Tensor], Tensor],
    weights: Tensor,
    width: float,
    num: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Estimate ∇L at flat weights (dim,): the mean (dim,), and each direction's (num, dim).

    g = mean_k (L(w + c z_k) − L(w − c z_k)) / (2c) · z_k, z_k ~ N(0, 1), c the `width`: 2 num
    values of `loss`, which takes (dim,) and gives a 0-d tensor. Of a quadratic its mean is ∇L
    whatever c; else it is the gradient of L blurred by terms of order c². Spall 1992; Malladi et
    al. 2023.
    """
    each = []
    for _ in range(num):
        z = torch.randn(weights.shape, generator=generator, device=weights.device)
        slope = (loss(weights + width * z) - loss(weights - width * z)) / (2 * width)
        each.append(slope * z)
    estimates = torch.stack(each)
    return estimates.mean(0), estimates


class HistoryCalibration:
    """v ← β v + g, β = γ N_past / (N_past + N_now), N_past ← 0.9 N_past + 0.1 N_now.

    N counts the directions of an estimate: what was learned from many weighs more than what is
    learned from few. A steady number gives β = γ / 2, which makes steps 1 / (1 − β) times as long.
    GC-SPSA of DREAM.
    """

    def __init__(self, gain: float, weights: Tensor) -> None:
        self.gain = gain
        self.past = torch.zeros_like(weights)
        self.num_past = torch.zeros((), device=weights.device)

    def calibrated(self, estimate: Tensor, num: int) -> Tensor:
        """v (dim,) after an estimate (dim,) of `num` directions."""
        share = self.gain * self.num_past / (self.num_past + num)
        self.past = share * self.past + estimate
        self.num_past = torch.where(
            self.num_past > 0, 0.9 * self.num_past + 0.1 * num, self.num_past + num
        )
        return self.past
