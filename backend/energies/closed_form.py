"""Energies in closed form: normalised, energy = -log p, with exact draws.

Gaussians and their mixtures are here; curves and other shapes in the files beside this one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energy import Energy
from backend.metrics.quadrature import planar_mixture_entropy, wedge_masses
from backend.truth import Truth

Box = tuple[tuple[float, float], tuple[float, float]]
"""((lowest x, highest x), (lowest y, highest y))"""

REACH = 7.0
"""Standard deviations that a box reaches beyond its centres: less than 1e-10 is outside."""


class ClosedForm(Energy):
    """An energy that is exactly -log p(x) of points x (num, dim), and draws from p.

    Buffers are float32 and follow the dtype of x, so float64 positions give float64 energies.
    """

    differentiable: ClassVar[bool] = True
    """False where the density jumps: its gradient says nothing, gradient samplers cannot use it"""

    dim: int
    box: Box | None = None
    """2-D: holds all but a negligible share of the mass; None where no plain grid does"""
    modes: Tensor | None = None
    """(num_modes, dim)"""
    mode_sd: float | None = None

    @abstractmethod
    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Exact independent draws (num, dim) float32, on the generator's device."""

    @abstractmethod
    def truth(self) -> Truth:
        """Moments, the mean energy and, where there are modes, their weights; log Z is 0."""


class Gaussian(ClosedForm):
    """N(mean, covariance) in any dimension.

    Raises torch.linalg.LinAlgError if the covariance is not positive definite.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        super().__init__()
        self.dim = len(mean)
        self.register_buffer("mean", mean.float())
        self.register_buffer("factor", torch.linalg.cholesky(covariance.double()).float())

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (dim,) and covariance (dim, dim), float64."""
        factor = self.factor.double()
        return self.mean.double(), factor @ factor.T

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        factor = self.factor.to(x.dtype)
        white = torch.linalg.solve_triangular(factor, (x - self.mean.to(x.dtype)).T, upper=False).T
        log_scale = factor.diagonal().log().sum() + 0.5 * self.dim * math.log(2 * math.pi)
        return 0.5 * white.square().sum(1) + log_scale

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, self.dim), generator=generator, device=generator.device)
        return self.mean + white @ self.factor.T

    def truth(self) -> Truth:
        mean, covariance = self.moments()
        log_scale = float(self.factor.double().diagonal().log().sum())
        entropy = 0.5 * self.dim * (1 + math.log(2 * math.pi)) + log_scale
        return Truth("closed form", mean, covariance.diagonal(), 0.0, mean_energy=entropy)


class GaussianMixture(ClosedForm):
    """Σ weight_k N(mean_k, sd² I), weights (num_means,) summing to 1 (equal when not given)."""

    means: Tensor
    log_weights: Tensor

    def __init__(self, means: Tensor, sd: float, weights: Tensor | None = None) -> None:
        super().__init__()
        self.dim, self.sd = means.shape[1], sd
        if weights is None:
            weights = torch.full((len(means),), 1 / len(means), dtype=torch.float64)
        self.register_buffer("means", means.float())
        self.register_buffer("log_weights", weights.double().log().float())
        if self.dim == 2:
            low = (means.amin(0) - REACH * sd).tolist()
            high = (means.amax(0) + REACH * sd).tolist()
            self.box = ((low[0], high[0]), (low[1], high[1]))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (dim,) and covariance (dim, dim), float64."""
        weights, means = self.log_weights.double().exp(), self.means.double()
        mean = weights @ means
        centred = means - mean
        spread = (weights[:, None] * centred).T @ centred
        return mean, spread + self.sd**2 * torch.eye(self.dim, dtype=torch.float64)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        squares = (x[:, None] - self.means.to(x.dtype)).square().sum(2)
        log_terms = self.log_weights.to(x.dtype) - squares / (2 * self.sd**2)
        return 0.5 * self.dim * math.log(2 * math.pi * self.sd**2) - log_terms.logsumexp(1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(
            self.log_weights.exp(), num, replacement=True, generator=generator
        )
        return self.means[chosen] + self._noise(num, generator)

    def _noise(self, num: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn((num, self.dim), generator=generator, device=generator.device)
        return self.sd * noise

    def truth(self) -> Truth:
        """Mean energies are by quadrature in the plane, and not known elsewhere."""
        mean, covariance = self.moments()
        weights, entropy = self.log_weights.double().exp(), None
        if self.dim == 2:
            entropy = planar_mixture_entropy(self.means.double(), self.sd, weights / weights.sum())
        source = "closed form; mean energy by quadrature"
        return Truth(source, mean, covariance.diagonal(), 0.0, mean_energy=entropy)


class Ring(GaussianMixture):
    """`num_modes` Gaussians of standard deviation `sd` on a circle.

    Equal ones, or, where `alternating`, every second one twice as heavy as its neighbours: a
    sampler that only spreads its chains evenly is then found out.
    """

    def __init__(
        self,
        num_modes: int = 8,
        radius: float = 2.0,
        sd: float = 0.3,
        alternating: bool = False,
    ) -> None:
        index = torch.arange(num_modes, dtype=torch.float64)
        angles = index * (2 * math.pi / num_modes)
        weights = 1 + index % 2 if alternating else torch.ones_like(index)
        means = radius * torch.stack([angles.cos(), angles.sin()], 1)
        super().__init__(means, sd, weights / weights.sum())
        self.radius, self.modes, self.mode_sd = radius, self.means, sd

    def truth(self) -> Truth:
        """Mode weights count the mass in each mode's wedge, neighbours' tails included."""
        weights = self.log_weights.double().exp()
        wedge = wedge_masses(self.radius, self.sd, len(weights))
        index = torch.arange(len(weights))
        # row j, column k: the share of Gaussian k that lies in wedge j
        shares = wedge[(index[:, None] - index) % len(weights)]
        mode_weights = shares @ (weights / weights.sum())
        return replace(super().truth(), mode_weights=mode_weights)
