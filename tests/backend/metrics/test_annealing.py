"""Annealed importance sampling from a fitted distribution, against a known normaliser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from backend.catalogue import datasets
from backend.distributions import build_distribution
from backend.distributions.gaussian import FittedGaussianConfig
from backend.energy import Energy
from backend.metrics.annealing import Annealing
from backend.randomness import generator_of

SHIFT = 7.0


class Blobs(Energy):
    """Two Gaussians in ten dimensions, 1 : 3, with normaliser exp(−SHIFT)."""

    sd = 0.4

    def log_terms(self, x: Tensor) -> Tensor:
        sides = torch.stack([(x - 1.0).square().sum(1), (x + 1.0).square().sum(1)], 1)
        constant = -0.5 * x.shape[1] * torch.tensor(2 * torch.pi * self.sd**2).log()
        return torch.tensor([0.25, 0.75]).log() - 0.5 * sides / self.sd**2 + constant

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return SHIFT - self.log_terms(x).logsumexp(1)


def test_both_ways_hold_the_true_log_z_between_them() -> None:
    cls = datasets()["gaussian"]
    data = cls(cls.Config()).load()
    generator = generator_of("annealing")
    base = build_distribution(FittedGaussianConfig(), data, generator)
    annealing = Annealing(base, Blobs())
    forward = annealing.forward(generator)
    side = torch.rand((1000, 1), generator=generator) < 0.25
    noise = Blobs.sd * torch.randn((1000, 10), generator=generator)
    reverse, error = annealing.reverse(torch.where(side, 1.0, -1.0) + noise, generator)
    assert forward.log_z - 3 * forward.error < -SHIFT < reverse + 3 * error
    assert abs(forward.log_z + SHIFT) < 0.3 and reverse + SHIFT < 0.8
    assert forward.ess > 30
