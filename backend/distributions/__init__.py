"""Distributions fitted to data, with exact log-densities and exact draws: noise that a model is
told apart from, the base that an energy tilts, and the baselines that a density should beat.

`AnyDistribution` is the type of a Config field that holds any distribution found in this folder. It
is made when it is first asked for, so that a distribution's file can import this package.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from backend.config import KindConfig, tagged_union
from backend.data import Data
from backend.system import discovery

if TYPE_CHECKING:
    AnyDistribution = KindConfig

LOG_2PI = math.log(2 * math.pi)
MAX_DIM = 4096
"""Coordinates up to which a full covariance is kept."""
RIDGE = 1e-4
"""Added to the variances of fitted distributions, in squared data sd: coordinates that
never vary would otherwise have no density."""


class Distribution(nn.Module, ABC):
    """A distribution over standardised positions. A file in this folder with one subclass adds one.

    Fitted to the training data when it is made; everything fitted is a parameter or a buffer, so
    that a resumed run has it back. Nothing of it is trained afterwards.
    """

    Config: ClassVar[type[KindConfig]]

    @abstractmethod
    def __init__(self, config: Any, data: Data, generator: torch.Generator) -> None:
        """Fits the distribution to `data.train`; randomness is the generator's alone."""
        super().__init__()
        self.event_shape = data.event_shape

    @abstractmethod
    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Exact independent draws (num, *event_shape), without a graph."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) (num,) in nats of positions z (num, *event_shape), normalised over them."""

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        """Reason why this distribution cannot be of events of this shape; "" when it can."""
        return ""


class FullGaussian(Distribution):
    """N(mean, factor factorᵀ) of flattened positions, the factor lower triangular."""

    mean: Tensor
    factor: Tensor

    def hold(self, mean: Tensor, covariance: Tensor) -> None:
        """Keep a mean (dim,) and a covariance (dim, dim)."""
        self.register_buffer("mean", mean.float())
        self.register_buffer("factor", torch.linalg.cholesky(covariance.double()).float())

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, len(self.mean)), generator=generator, device=self.mean.device)
        return (self.mean + white @ self.factor.T).reshape(num, *self.event_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        return gaussian_log_prob(z.flatten(1), self.mean.to(z.dtype), self.factor.to(z.dtype))


def gaussian_log_prob(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """log N(x; mean, factor factorᵀ) (num,) of x (num, dim)."""
    white = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
    log_scale = factor.diagonal().log().sum() + 0.5 * len(mean) * LOG_2PI
    return -0.5 * white.square().sum(0) - log_scale


def moments(data: Data) -> tuple[Tensor, Tensor]:
    """Mean (dim,) and covariance (dim, dim) of the flattened training data, float64."""
    x = data.train.flatten(1).double()
    centred = x - x.mean(0)
    covariance = centred.T @ centred / (len(x) - 1)
    return x.mean(0), covariance + RIDGE * torch.eye(x.shape[1]).to(x)


def too_wide(event_shape: torch.Size) -> str:
    """Reason why no full covariance is kept for events of this shape; "" when one is."""
    if event_shape.numel() <= MAX_DIM:
        return ""
    return (
        f"keeps a full covariance and takes events of at most {MAX_DIM:,} coordinates, got "
        f"{event_shape.numel():,}. Use `fixed`, or smaller events."
    )


def __getattr__(name: str) -> Any:
    if name == "AnyDistribution":
        return tagged_union([cls.Config for cls in discovery.distributions().values()])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build_distribution(config: KindConfig, data: Data, generator: torch.Generator) -> Distribution:
    """The distribution of a Config, fitted to data, on their device."""
    cls = discovery.distributions()[config.kind]
    distribution: Distribution = cls(config, data, generator)
    return distribution.to(data.train.device).requires_grad_(False)


__all__ = [
    "AnyDistribution",
    "Distribution",
    "FullGaussian",
    "build_distribution",
    "gaussian_log_prob",
    "moments",
    "too_wide",
]
