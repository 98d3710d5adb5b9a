"""Gaussian targets of any dimension: one of a chosen condition number, and uneven mixtures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.energies.closed_form import ClosedForm
from backend.metrics.quadrature import LOG_2PI, mixture_entropy, mixture_log_density
from backend.randomness import generator_of
from backend.truth import Truth

MAX_GRID_COMPONENTS = 8
"""Up to here the entropy of a planar mixture is summed over grids."""
NUM_STRATIFIED = 40_000
"""Draws for what has no closed form, shared evenly among the components."""
NEGLIGIBLE = 1e-9


class ConditionedGaussian(ClosedForm):
    """N(0, C), the eigenvalues of C evenly spaced in the logarithm and with mean 1.

    `condition` is the greatest eigenvalue over the least. Along the axes, or with eigenvectors
    drawn from `rotation` such that every coordinate has variance 1 (a random correlation matrix of
    the given spectrum; Bendel & Mickey 1978, Davies & Higham 2000). To scale the coordinates of the
    first kind would undo its condition; the second kind is scaled already.
    """

    def __init__(self, dim: int, condition: float, rotation: torch.Generator | None = None) -> None:
        super().__init__()
        self.dim = dim
        share = torch.arange(dim, dtype=torch.float64) / max(1, dim - 1)
        eigenvalues = (share * math.log(condition)).exp()
        eigenvalues = eigenvalues / eigenvalues.mean()
        self.register_buffer("eigenvalues", eigenvalues)
        self.log_scale = float(0.5 * eigenvalues.log().sum() + 0.5 * dim * LOG_2PI)
        self.rotated = rotation is not None
        if rotation is None:
            self.register_buffer("factor", eigenvalues.sqrt().float())
            self.register_buffer("whiten", eigenvalues.rsqrt().float())
        else:
            factor = _unit_rows(eigenvalues, rotation)
            self.register_buffer("factor", factor.float())
            self.register_buffer("whiten", (factor / eigenvalues).float())

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        whiten = self.get_buffer("whiten").to(x.dtype)
        white = x @ whiten if self.rotated else x * whiten
        return 0.5 * white.square().sum(1) + self.log_scale

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, self.dim), generator=generator, device=generator.device)
        factor = self.get_buffer("factor")
        return white @ factor.T if self.rotated else white * factor

    def covariance(self) -> Tensor:
        """(dim, dim) float64."""
        factor = self.get_buffer("factor").double()
        return factor @ factor.T if self.rotated else factor.square().diag()

    def truth(self) -> Truth:
        factor = self.get_buffer("factor").double()
        variance = factor.square().sum(1) if self.rotated else factor.square()
        mean_energy = 0.5 * self.dim + self.log_scale
        return Truth("closed form", 0 * variance, variance, 0.0, mean_energy=mean_energy)


def _unit_rows(eigenvalues: Tensor, generator: torch.Generator) -> Tensor:
    """A factor F (dim, dim) of F Fᵀ, of these eigenvalues and ones on the diagonal.

    From a random orthogonal matrix times their square roots, by turning a row shorter than 1 and
    one longer than 1 in their plane until the first has length 1, again and again.
    """
    dim = len(eigenvalues)
    square = torch.randn((dim, dim), generator=generator, dtype=torch.float64)
    orthogonal, upper = torch.linalg.qr(square)
    factor = (orthogonal * upper.diagonal().sign() * eigenvalues.sqrt()).numpy()
    lengths = np.square(factor).sum(1)
    for _ in range(dim):
        low, high = int(lengths.argmin()), int(lengths.argmax())
        if lengths[high] - lengths[low] < 1e-12:
            break
        # of the row that is nearer to length 1 one is made
        fixed, other = low, high
        below, above = lengths[fixed] - 1, lengths[other] - 1
        product = float(factor[fixed] @ factor[other])
        root = math.sqrt(max(0.0, product**2 - below * above))
        tangent = (product + math.copysign(root, product)) / above
        cos = 1 / math.hypot(1, tangent)
        sin = cos * tangent
        turned = cos * factor[fixed] - sin * factor[other]
        factor[other] = sin * factor[fixed] + cos * factor[other]
        factor[fixed] = turned
        lengths[fixed], lengths[other] = 1.0, np.square(factor[other]).sum()
    return torch.from_numpy(factor)


class UnevenMixture(ClosedForm):
    """Σ weight_k N(mean_k, sd_k² I): Gaussians of different weights and widths.

    means (num, dim), sds (num,), weights (num,) summing to 1. `modes` are the means: where
    Gaussians overlap, peaks of the density lie elsewhere or are fewer.
    """

    def __init__(self, means: Tensor, sds: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.dim = means.shape[1]
        self.register_buffer("means", means.float())
        self.register_buffer("sds", sds.float())
        self.register_buffer("log_weights", weights.log().float())
        self.modes = self.get_buffer("means")
        if self.dim == 2:
            reach = 7 * sds[:, None].double()
            (left, bottom), (right, top) = (
                (means - reach).amin(0).tolist(),
                (means + reach).amax(0).tolist(),
            )
            self.box = ((left, right), (bottom, top))

    @classmethod
    def random(cls, dim: int, num: int, spread: float, generator: torch.Generator) -> UnevenMixture:
        """`num` Gaussians around N(0, spread² I), their sds from 1/2 to 2, weights from 1 to 4."""
        means = spread * torch.randn((num, dim), generator=generator, dtype=torch.float64)
        uniform = torch.rand((2, num), generator=generator, dtype=torch.float64)
        weights = 4.0 ** uniform[1]
        return cls(means, 0.5 * 4.0 ** uniform[0], weights / weights.sum())

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means (num, dim), sds (num,) and weights (num,) that sum to 1, float64."""
        weights = self.get_buffer("log_weights").double().exp()
        return (
            self.get_buffer("means").double(),
            self.get_buffer("sds").double(),
            (weights / weights.sum()),
        )

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        means, sds = self.get_buffer("means").to(x.dtype), self.get_buffer("sds").to(x.dtype)
        squares = (x[:, None] - means).square().sum(2)
        log_terms = self.get_buffer("log_weights").to(x.dtype) - self.dim * sds.log()
        log_density = (log_terms - 0.5 * squares / sds.square()).logsumexp(1)
        return 0.5 * self.dim * LOG_2PI - log_density

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        weights = self.get_buffer("log_weights").exp()
        chosen = torch.multinomial(weights, num, replacement=True, generator=generator)
        noise = torch.randn((num, self.dim), generator=generator, device=generator.device)
        return self.get_buffer("means")[chosen] + self.get_buffer("sds")[chosen, None] * noise

    def truth(self) -> Truth:
        """Moments in closed form; mode weights and mean energy too where the Gaussians are far
        apart, else with the standard errors of draws, or the energy by quadrature."""
        means, sds, weights = self.parts()
        mean = weights @ means
        variance = weights @ ((means - mean).square() + sds.square()[:, None])
        own = 0.5 * self.dim * (1 + LOG_2PI) + self.dim * sds.log() - weights.log()
        apart = float(weights @ _strays(means, sds)) < NEGLIGIBLE
        known: dict[str, Any] = {"mode_weights": weights, "mean_energy": float(weights @ own)}
        source = "closed form"
        if not apart:
            known = _by_draws(means, sds, weights)
            source = f"closed form; mode weights and mean energy by {NUM_STRATIFIED:,} draws"
            if self.dim == 1 or (self.dim == 2 and len(sds) <= MAX_GRID_COMPONENTS):
                known["mean_energy"] = mixture_entropy(means, sds, weights)
                known["mean_energy_error"] = None
                source = "closed form; mean energy by quadrature, mode weights by draws"
        return Truth(source, mean, variance, 0.0, **known)


def _strays(means: Tensor, sds: Tensor) -> Tensor:
    """A bound (num,) on the share of each Gaussian that lies nearer to another one's mean."""
    half = 0.5 * torch.cdist(means, means)
    half.fill_diagonal_(math.inf)
    # by the widest of the sds: then it bounds what leaks into an energy as well
    return torch.special.ndtr(-half / sds.max()).sum(1)


def _by_draws(means: Tensor, sds: Tensor, weights: Tensor) -> dict[str, Any]:
    """Mode weights and mean energy with their standard errors, as fields of a Truth.

    The same number of draws from every component, so that only what differs within one is noise;
    the energy's closed form for a lone component is a control variate.
    """
    num, dim = max(2, NUM_STRATIFIED // len(sds)), means.shape[1]
    generator = generator_of("truth", len(sds), dim)
    shares, squares, energy, energy_error = [], [], 0.0, 0.0
    for index, weight in enumerate(weights):
        white = torch.randn((num, dim), generator=generator, dtype=torch.float64)
        x = means[index] + sds[index] * white
        nearest = torch.cdist(x, means).argmin(1)
        share = torch.bincount(nearest, minlength=len(sds)).double() / num
        shares.append(weight * share)
        squares.append(weight.square() * share * (1 - share) / num)
        lone = 0.5 * (white.square().sum(1) + dim * LOG_2PI) + dim * sds[index].log()
        excess = -mixture_log_density(x, means, sds, weights) - (lone - weight.log())
        own = 0.5 * dim * (1 + LOG_2PI) + dim * sds[index].log() - weight.log()
        energy += float(weight * (own + excess.mean()))
        energy_error += float(weight.square() * excess.var() / num)
    return {
        "mode_weights": torch.stack(shares).sum(0),
        "mode_weights_error": torch.stack(squares).sum(0).sqrt(),
        "mean_energy": energy,
        "mean_energy_error": math.sqrt(energy_error),
    }
