"""Noise laws: densities with exact values and exact draws that a model is told apart from, or
weighed against.

`AnyNoiseLaw` is the type of a Config field that holds any law found in this folder. It is made
when it is first asked for, so that a law's file can import this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from backend.config import KindConfig, tagged_union
from backend.data import Data
from backend.metrics.quadrature import LOG_2PI
from backend.system import discovery

if TYPE_CHECKING:
    from backend.method import Task

    AnyNoiseLaw = KindConfig

MAX_DIM = 4096
"""Coordinates up to which a full covariance is kept."""
RIDGE = 1e-4
"""Added to the variances of fitted laws, in squared data sd: coordinates that never vary would
otherwise have no density."""


class NoiseLaw(nn.Module, ABC):
    """A law over standardised positions. A file in this folder with one subclass adds one.

    Fitted to the training data when it is made; everything fitted is a parameter or a buffer, so
    that a resumed run has it back. Nothing of it is trained afterwards.
    """

    Config: ClassVar[type[KindConfig]]

    @abstractmethod
    def __init__(self, config: Any, data: Data, generator: torch.Generator) -> None:
        """Fits the law to `data.train`; randomness is the generator's alone."""
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
        """Reason why this law cannot be of events of this shape; "" when it can."""
        return ""


class LinearGaussian(NoiseLaw):
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
    if name == "AnyNoiseLaw":
        return tagged_union([cls.Config for cls in discovery.noise_laws().values()])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build_noise_law(config: KindConfig, task: Task) -> NoiseLaw:
    """The law of a Config, fitted to a task's data, on its device."""
    law: NoiseLaw = discovery.noise_laws()[config.kind](config, task.data, task.generator)
    return law.to(task.device).requires_grad_(False)


__all__ = [
    "AnyNoiseLaw",
    "LinearGaussian",
    "NoiseLaw",
    "build_noise_law",
    "gaussian_log_prob",
    "moments",
    "too_wide",
]
