"""Laws of wide events, with a few leading axes of the data in place of a full covariance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.distributions import LOG_2PI, RIDGE, gaussian_log_prob

MOST_FULL = 256
"""Coordinates up to which fitted laws have a covariance of them all. Beyond, few data have the
points that say so many numbers, and fits and chains would take minutes."""
NUM_AXES = 32
MAX_ROWS = 5000
"""Training points that the axes are of."""


class LowRankGaussian(nn.Module):
    """N(mean, W Wᵀ + diag(spread)) of all data: W along the leading principal axes, the spread what
    is left of each coordinate's variance."""

    mean: Tensor
    axes: Tensor
    loadings: Tensor
    spread: Tensor

    def __init__(self, data: Data, scale: float = 1.0) -> None:
        """scale: of the covariance."""
        from sklearn.utils.extmath import randomized_svd

        super().__init__()
        x = data.train.flatten(1)[:MAX_ROWS].double()
        mean = x.mean(0)
        centred = x - mean
        num = min(NUM_AXES, *x.shape)
        # the seed is fixed, so that all who ask about these data have the same axes
        _, lengths, rows = randomized_svd(centred.cpu().numpy(), num, random_state=0)
        axes = torch.as_tensor(rows.T.copy()).to(x)
        freedom = max(len(x) - 1, 1)
        loadings = axes * torch.as_tensor(lengths.copy()).to(x) / freedom**0.5
        left = centred.square().sum(0) / freedom - loadings.square().sum(1)
        self.register_buffer("mean", mean.float())
        self.register_buffer("axes", axes.float())
        self.register_buffer("loadings", (scale**0.5 * loadings).float())
        self.register_buffer("spread", (scale * (left.clamp(min=0) + RIDGE)).float())

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Draws (num, dim)."""
        dim, rank = self.loadings.shape
        white = torch.randn((num, rank + dim), generator=generator, device=self.mean.device)
        low, each = white[:, :rank], white[:, rank:]
        return self.mean + low @ self.loadings.T + self.spread.sqrt() * each

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density (num,) of x (num, dim)."""
        square, half_log_det = self.square(x)
        return -0.5 * square - half_log_det - 0.5 * x.shape[1] * LOG_2PI

    def square(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Squared Mahalanobis distance of x (num, dim) from the mean, and half the log-determinant
        of the covariance (0-d), by Woodbury's identity."""
        mean, loadings, spread = (
            part.to(x.dtype) for part in (self.mean, self.loadings, self.spread)
        )
        scaled = loadings / spread.sqrt()[:, None]
        eye = torch.eye(scaled.shape[1], dtype=x.dtype, device=x.device)
        factor = torch.linalg.cholesky(eye + scaled.T @ scaled)
        each = (x - mean) / spread.sqrt()
        low = torch.linalg.solve_triangular(factor, (each @ scaled).T, upper=False)
        half_log_det = factor.diagonal().log().sum() + 0.5 * spread.log().sum()
        return each.square().sum(1) - low.square().sum(0), half_log_det


class LeadingAxes(nn.Module):
    """p(x) = h(z) N(x | z) of z = Vᵀ(x − mean), V the leading axes, N the data's Gaussian.

    By the chain rule this is normalised for any density h of z, and h costs next to nothing.
    """

    head_factor: Tensor
    carry: Tensor

    def __init__(self, data: Data, scale: float) -> None:
        """scale: of the Gaussian's covariance."""
        super().__init__()
        self.whole = LowRankGaussian(data, scale)
        axes, loadings, spread = (
            part.double() for part in (self.whole.axes, self.whole.loadings, self.whole.spread)
        )
        carried = loadings @ (loadings.T @ axes) + spread[:, None] * axes
        head = axes.T @ carried
        self.register_buffer("head_factor", torch.linalg.cholesky(head).float())
        # by how much the whole moves where z is put elsewhere
        self.register_buffer("carry", torch.linalg.solve(head, carried, left=False).float())

    def coordinates(self, x: Tensor) -> Tensor:
        """z (num, NUM_AXES) of positions x (num, dim)."""
        return (x - self.whole.mean.to(x.dtype)) @ self.whole.axes.to(x.dtype)

    def log_rest(self, x: Tensor, z: Tensor) -> Tensor:
        """log N(x | z) (num,) of positions x (num, dim) and their coordinates z."""
        log_head = gaussian_log_prob(z, torch.zeros_like(z[0]), self.head_factor.to(z.dtype))
        return self.whole.log_prob(x) - log_head

    def completed(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Draws of x (num, dim) given coordinates z (num, NUM_AXES)."""
        x = self.whole.sample(len(z), generator)
        return x + (z - self.coordinates(x)) @ self.carry.T
