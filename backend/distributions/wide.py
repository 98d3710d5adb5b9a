"""A Student's t about all data: what reaches into tails and gaps, where Gaussians have no mass."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.distributions import moments
from backend.distributions.leading import MOST_FULL, LowRankGaussian

MOST_INVERTED = 128
"""Coordinates up to which factors are inverted."""
FREEDOM = 3
"""Degrees of freedom."""


class WideStudent(nn.Module):
    """Student's t of FREEDOM degrees of freedom, with the data's mean and its covariance for a
    shape: √3 times as wide as they are, and with a power law for tails.

    Beyond MOST_FULL coordinates the covariance is one of low rank.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, data: Data) -> None:
        super().__init__()
        wide = data.event_shape.numel() > MOST_FULL
        self.gaussian = LowRankGaussian(data) if wide else None
        if self.gaussian is None:
            mean, covariance = moments(data)
            self.register_buffer("mean", mean.float())
            self.register_buffer("factor", torch.linalg.cholesky(covariance).float())

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Draws (num, dim)."""
        if self.gaussian is not None:
            mean, x = self.gaussian.mean, self.gaussian.sample(num, generator)
            chi = torch.randn((num, FREEDOM), generator=generator, device=mean.device)
            return mean + chi.square().mean(1, keepdim=True).rsqrt() * (x - mean)
        shape, device = (num, len(self.mean) + FREEDOM), self.mean.device
        white = torch.randn(shape, generator=generator, device=device)
        chi, white = white[:, :FREEDOM], white[:, FREEDOM:]
        stretch = (chi.square().mean(1, keepdim=True)).rsqrt()
        return self.mean + stretch * white @ self.factor.T

    def log_prob(self, x: Tensor) -> Tensor:
        """log t(x) (num,) of x (num, dim)."""
        square, log_scale = self._square(x)
        half = 0.5 * (FREEDOM + x.shape[1])
        constant = math.lgamma(half) - math.lgamma(0.5 * FREEDOM)
        constant -= 0.5 * x.shape[1] * math.log(FREEDOM * math.pi)
        return constant - log_scale - half * (square / FREEDOM).log1p()

    def _square(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distance of x (num, dim) in terms of the shape, and its half log-determinant."""
        if self.gaussian is not None:
            return self.gaussian.square(x)
        mean, factor = self.mean.to(x.dtype)[None], self.factor.to(x.dtype)[None]
        square = whitened(x, mean, factor)[:, 0].square().sum(1)
        return square, self.factor.diagonal().to(x.dtype).log().sum()


def whitened(x: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """factor_k⁻¹ (x − mean_k), (num, k, dim), of x (num, dim)."""
    dim = x.shape[1]
    if dim > MOST_INVERTED:
        centred = (x - means[:, None]).mT
        return torch.linalg.solve_triangular(factors, centred, upper=False).permute(2, 0, 1)
    # one product for all components: chains on an energy with a base pay for it at every step
    eye = torch.eye(dim, dtype=factors.dtype, device=factors.device).expand_as(factors)
    inverses = torch.linalg.solve_triangular(factors, eye, upper=False)
    centres = (inverses @ means[:, :, None])[:, :, 0]
    return (x @ inverses.flatten(0, 1).T).unflatten(1, means.shape) - centres
