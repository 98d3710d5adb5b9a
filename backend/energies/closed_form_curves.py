"""Curves blurred by Gaussian noise: moons, circles and spirals.

p(x) = ∫ w(t) N(x; c(t), sd² I) dt. The integral is a Gauss-Legendre sum with nodes closer than
one sd, which is exact to float32 for so smooth an integrand: in effect a mixture of Gaussians.
Draws are of the integral itself, not of the sum.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from backend.energies.closed_form import GaussianMixture


def _nodes(num: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes (num,) on [0, 1] and weights (num,) that sum to 1, float64."""
    nodes, weights = np.polynomial.legendre.leggauss(num)
    return torch.from_numpy(0.5 * (nodes + 1)), torch.from_numpy(0.5 * weights)


class Moons(GaussianMixture):
    """Two half circles of radius 1, one hanging into the other, uniform along both."""

    def __init__(self, sd: float = 0.05) -> None:
        t, weights = _nodes(max(64, math.ceil(10 / sd)))
        means = torch.cat([self._curve(t, 0.0), self._curve(t, 1.0)])
        super().__init__(means, sd, torch.cat([weights, weights]) / 2)

    @staticmethod
    def _curve(t: Tensor, lower: Tensor | float) -> Tensor:
        """Positions (num, 2) at t in [0, 1] on the upper (0) or lower (1) moon."""
        cos, sin = (math.pi * t).cos(), (math.pi * t).sin()
        sign = 1 - 2 * lower
        return torch.stack([sign * cos + lower, sign * sin + 0.5 * lower], 1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        return self.draw_labelled(num, generator)[0]

    def draw_labelled(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same draws and of each the moon it is of, (num,) int64: 0 the upper, 1 the lower."""
        t, coin = torch.rand((2, num), generator=generator, device=generator.device)
        lower = coin < 0.5
        return self._curve(t, lower.float()) + self._noise(num, generator), lower.long()


class Circles(GaussianMixture):
    """A circle of radius 1 and one of radius `factor` inside it, uniform along both, as heavy."""

    def __init__(self, sd: float = 0.03, factor: float = 0.5) -> None:
        # equal spacing is exact for periodic integrands
        t = torch.arange(num := max(64, math.ceil(10 / sd)), dtype=torch.float64) / num
        self.factor = factor
        super().__init__(torch.cat([self._curve(t, 1.0), self._curve(t, factor)]), sd)

    @staticmethod
    def _curve(t: Tensor, radius: Tensor | float) -> Tensor:
        """Positions (num, 2) at t in [0, 1) on a circle."""
        angle = 2 * math.pi * t
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        return self.draw_labelled(num, generator)[0]

    def draw_labelled(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same draws and of each the circle it is of, (num,) int64: 0 the outer, 1 the
        inner."""
        t, coin = torch.rand((2, num), generator=generator, device=generator.device)
        inner = coin < 0.5
        radius = 1 - (1 - self.factor) * inner.float()
        return self._curve(t, radius) + self._noise(num, generator), inner.long()


class Spirals(GaussianMixture):
    """Two Archimedean arms of 1.5 turns out to radius π, at nearly even density along the arm."""

    turn = 3 * math.pi

    def __init__(self, sd: float = 0.1) -> None:
        t, weights = _nodes(max(192, math.ceil(40 / sd)))
        arm = self._curve(t)
        # w(t) = 2t: the arm's angle grows like the square root of a uniform number.
        weights = 2 * t * weights
        super().__init__(torch.cat([arm, -arm]), sd, torch.cat([weights, weights]) / 2)

    @classmethod
    def _curve(cls, t: Tensor) -> Tensor:
        angle = cls.turn * t
        return (angle / 3)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        u, coin = torch.rand((2, num), generator=generator, device=generator.device)
        sign = torch.where(coin < 0.5, -1.0, 1.0)
        return sign[:, None] * self._curve(u.sqrt()) + self._noise(num, generator)
