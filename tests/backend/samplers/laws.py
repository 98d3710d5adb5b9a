"""Targets with moments in closed form, and what the tests of kernels ask of draws from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend.energies.closed_form import Gaussian, GaussianMixture
from backend.energy import Energy
from backend.sampler import Sampler, State

DOUBLE = torch.float64
EULER = 0.5772156649015329


class Gumbels(Energy):
    """Independent Gumbel(0, 1) coordinates: skewed, with exact draws −log of exponentials."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x + torch.exp(-x)).flatten(1).sum(1)

    @staticmethod
    def draw(num: int, generator: torch.Generator) -> Tensor:
        return -torch.empty(num, 2, dtype=DOUBLE).exponential_(generator=generator).log()


class Banana(Energy):
    """u ~ N(0, 1), v | u ~ N(0.4 (u² − 1), 0.7²): bent, v skewed, uncorrelated."""

    BEND, SD = 0.4, 0.7

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        u, v = x.unbind(1)
        return 0.5 * u.square() + 0.5 * ((v - self.BEND * (u.square() - 1)) / self.SD).square()


@dataclass(frozen=True)
class Law:
    """An energy with its exact mean (dim,) and covariance (dim, dim), float64."""

    energy: Energy
    mean: Tensor
    covariance: Tensor

    @property
    def dim(self) -> int:
        return len(self.mean)


def _law(energy: Gaussian | GaussianMixture) -> Law:
    return Law(energy, *energy.moments())


TWO_MODES = GaussianMixture(
    torch.tensor([[-1.0], [1.0]]), 0.6, torch.tensor([0.3, 0.7], dtype=DOUBLE)
)
LAWS: dict[str, Law] = {
    "correlated": _law(Gaussian(torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.9], [0.9, 1.2]]))),
    "skewed": Law(
        Gumbels(), torch.full((2,), EULER, dtype=DOUBLE), math.pi**2 / 6 * torch.eye(2).double()
    ),
    "bent": Law(
        Banana(),
        torch.zeros(2, dtype=DOUBLE),
        torch.diag(torch.tensor([1.0, 2 * Banana.BEND**2 + Banana.SD**2], dtype=DOUBLE)),
    ),
    "two modes": _law(TWO_MODES),
}


def worst_error(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Largest error of any entry of mean and covariance, in standard errors of independent x."""
    x = x.flatten(1).double() - mean
    products = torch.einsum("ni,nj->nij", x, x)
    root = math.sqrt(len(x))
    of_mean = x.mean(0).abs() / (x.std(0) / root)
    of_covariance = (products.mean(0) - covariance).abs() / (products.std(0) / root)
    return float(max(of_mean.max(), of_covariance.max()))


def flows(x: Tensor, y: Tensor) -> Tensor:
    """f(x) g(y) − f(y) g(x), (num, pairs), for many f and g: 0 on average if x → y is as y → x."""

    def features(z: Tensor) -> Tensor:
        u, v = z.unbind(1)
        return torch.stack([torch.ones_like(u), u, v, u * u, u * v, u.tanh(), (v > 0).to(u)], 1)

    left, right = features(x), features(y)
    outer = left[:, :, None] * right[:, None, :]
    rows, columns = torch.triu_indices(left.shape[1], left.shape[1], 1)
    return (outer - outer.mT)[:, rows, columns]


def worst_mean(x: Tensor) -> float:
    """Largest mean of the columns of x (num, columns), in its standard errors."""
    return float((x.mean(0).abs() / (x.std(0) / math.sqrt(len(x)))).max())


def warmed(
    sampler: Sampler,
    start: Tensor | State,
    energy: Energy,
    generator: torch.Generator,
    num_warm_up: int,
    look: Callable[[State], None] | None = None,
) -> State:
    """The state after a warm-up from positions (chains, *event_shape)."""
    state = start if isinstance(start, State) else sampler.init(start, energy, generator)
    for index in range(num_warm_up):
        state, info = sampler.step(state, energy, generator)
        state = sampler.tune(state, info, index, num_warm_up)
        if look is not None:
            look(state)
    return state
