"""Sums that stand for integrals: trapezoid rules, which for smooth laws that vanish at both ends
converge faster than any power of the step. All float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
STEP = 0.25
"""Of a grid over Gaussians, in their standard deviations."""
REACH = 8.0
"""Standard deviations that a grid reaches beyond the centres: 1e-15 is outside."""
MAX_NODES = 2_000_000


def normal_grid(dim: int, step: float = STEP) -> tuple[Tensor, Tensor]:
    """Nodes (num, dim) and weights (num,), summing to 1, for expectations under N(0, I)."""
    half = math.ceil(REACH / step)
    axis = step * torch.arange(-half, half + 1, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)
    weights = (-0.5 * nodes.square().sum(1)).exp()
    inside = weights > 1e-15
    return nodes[inside], weights[inside] / weights.sum()


def planar_mixture_entropy(means: Tensor, sd: float, weights: Tensor) -> float:
    """-∫ p log p of Σ weight_k N(mean_k, sd² I) in the plane, nats; means (num, 2).

    On one grid over all, where the mixture is a product of two matrices, since each of its
    Gaussians is a product of x and y; where that grid would be vast, around each mean by itself.
    """
    axes, sizes = [], 1
    for low, high in zip(means.amin(0).tolist(), means.amax(0).tolist(), strict=True):
        num = math.ceil((high - low + 2 * REACH * sd) / (STEP * sd))
        axes.append(low - REACH * sd + STEP * sd * torch.arange(num + 1, dtype=torch.float64))
        sizes *= num + 1
    if sizes > MAX_NODES:
        sds = torch.full((len(means),), sd, dtype=torch.float64)
        return mixture_entropy(means, sds, weights)
    x, y = (
        (-0.5 * ((axis - centre[:, None]) / sd).square()).exp()
        for axis, centre in zip(axes, means.T, strict=True)
    )
    density = (weights[:, None] * x).T @ y / (2 * math.pi * sd**2)
    return float(-torch.special.xlogy(density, density).sum() * (STEP * sd) ** 2)


def mixture_entropy(means: Tensor, sds: Tensor, weights: Tensor) -> float:
    """-∫ p log p of Σ weight_k N(mean_k, sd_k² I) in one or two dimensions, nats.

    Each Gaussian has a grid of its own: right as long as no Gaussian lies inside one many times
    its width.
    """
    nodes, mass = normal_grid(means.shape[1], 0.4)
    total = 0.0
    for mean, sd, weight in zip(means, sds, weights, strict=True):
        log_density = mixture_log_density(mean + sd * nodes, means, sds, weights)
        total -= float(weight * (mass @ log_density))
    return total


def mixture_log_density(x: Tensor, means: Tensor, sds: Tensor, weights: Tensor) -> Tensor:
    """log Σ weight_k N(x; mean_k, sd_k² I) (num,) of x (num, dim)."""
    squares = x.square().sum(1)[:, None] + means.square().sum(1) - 2 * x @ means.T
    log_terms = weights.log() - means.shape[1] * (sds.log() + 0.5 * LOG_2PI)
    return (log_terms - 0.5 * squares / sds.square()).logsumexp(1)


def wedge_masses(radius: float, sd: float, num: int) -> Tensor:
    """Mass (num,) of N((radius, 0), sd² I) in each of `num` equal wedges around the origin.

    Wedge j is centred on the angle 2πj/num. The density of the angle θ is known (the projected
    normal): with a = radius/sd and b = a cos θ it is (e^{-a²/2} + √(2π) b Φ(b) e^{-(a sin θ)²/2})
    / 2π.
    """
    a = radius / sd
    fine = 64 * max(8, math.ceil(2 * math.pi / num * a))
    share = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine - 0.5
    angle = 2 * math.pi / num * (torch.arange(num, dtype=torch.float64)[:, None] + share)
    b = a * angle.cos()
    density = (
        math.exp(-0.5 * a**2)
        + math.sqrt(2 * math.pi)
        * b
        * torch.special.ndtr(b)
        * (-0.5 * (a * angle.sin()).square()).exp()
    )
    masses = density.mean(1)
    return masses / masses.sum()
