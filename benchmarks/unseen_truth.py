"""KL of an energy to a known density, by quadrature of its own.

In two dimensions the plane is cut into squares that are halved wherever the mass of the density or
of exp(-E) in them still changes when they are; beyond, the normaliser is a weighted mean over draws
from the known density and wider ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from scipy import special
from torch import Tensor

Array = np.ndarray
Function = Callable[[Array], Array]


class Truth(Protocol):
    """A density that is known exactly."""

    @property
    def dim(self) -> int: ...

    def sample(self, num: int, seed: int) -> Array: ...

    def log_density(self, x: Array) -> Array: ...


START = 192
"""cells a side at first"""
TOLERANCE = 2e-7
"""change of a cell's share of the mass below which it is not halved again"""
LEVELS = 8
NUM_DRAWS = 40_000
REACH = 1.0
"""how far beyond the data the plane is looked at on each side, in ranges of the data"""


def kl_to(truth: Truth, energy: Function) -> tuple[float, float, float]:
    """KL(p || exp(-E)/Z), log Z, and the effective share of the draws (1 for quadrature)."""
    if truth.dim == 2:
        x, log_area = cells(truth, energy)
        log_p, log_q = truth.log_density(x), -energy(x)
        log_z = float(special.logsumexp(log_q + log_area))
        mass = np.exp(log_p + log_area)
        inside = mass > 0
        excess = (mass[inside] * (log_p[inside] - log_q[inside])).sum() / mass.sum()
        return float(excess) + log_z, log_z, 1.0
    return _by_draws(truth, energy)


def cells(truth: Truth, energy: Function) -> tuple[Array, Array]:
    """Centres (num, 2) of squares that resolve both densities, and the log of their areas."""
    low, high = _corners(truth)
    size = (high - low) / START
    places = np.stack(np.meshgrid(*[np.arange(START) + 0.5] * 2, indexing="ij"), -1)
    centres = low + places.reshape(-1, 2) * size
    logs = _both(truth, energy, centres)
    done_centres, done_area = [], []
    quarters = np.array([[a, b] for a in (-0.25, 0.25) for b in (-0.25, 0.25)])
    log_total = special.logsumexp(logs + np.log(size).sum(), axis=1)
    for level in range(LEVELS):
        log_area = np.log(size).sum()
        children = (centres[:, None] + quarters * size).reshape(-1, 2)
        child_logs = _both(truth, energy, children)
        coarse = np.exp(logs + log_area - log_total[:, None])
        shares = np.exp(child_logs + log_area - np.log(4) - log_total[:, None])
        fine = shares.reshape(2, -1, 4)
        # the first two halvings are taken wherever there is any mass, lest a narrow one is missed
        change = np.abs(fine.sum(2) - coarse).max(0)
        change = np.maximum(change, 1e-2 * (fine.max(2) - fine.min(2)).max(0))
        limit = TOLERANCE if level > 1 else TOLERANCE / 100
        open_ = (change > limit) & (level < LEVELS - 1)
        final = np.repeat(~open_, 4)
        done_centres.append(children[final])
        done_area.append(np.full(final.sum(), log_area - np.log(4)))
        centres, logs = children[~final], child_logs[:, ~final]
        size = size / 2
        if not len(centres):
            break
        so_far = np.concatenate(done_centres), np.concatenate(done_area)
        if level == 1:  # a first total from coarse cells may be far off
            area = np.concatenate([so_far[1], np.full(len(centres), np.log(size).sum())])
            everywhere = np.concatenate([so_far[0], centres])
            log_total = special.logsumexp(_both(truth, energy, everywhere) + area, axis=1)
    return np.concatenate(done_centres), np.concatenate(done_area)


def _corners(truth: Truth) -> tuple[Array, Array]:
    drawn = truth.sample(8000, seed=0)
    low, high = drawn.min(0), drawn.max(0)
    return low - REACH * (high - low), high + REACH * (high - low)


def _both(truth: Truth, energy: Function, x: Array) -> Array:
    return np.stack([truth.log_density(x), -energy(x)])


def _by_draws(truth: Truth, energy: Function) -> tuple[float, float, float]:
    """log Z by importance sampling from the density itself and two Gaussians of its spread."""
    x = truth.sample(NUM_DRAWS, seed=991)
    mean, covariance = x.mean(0), np.cov(x.T)
    rng = np.random.default_rng(992)
    wide = [(mean, covariance), (mean, 4 * covariance)]
    num = NUM_DRAWS // 2
    drawn = [x, *[rng.multivariate_normal(m, c, num) for m, c in wide]]
    points = np.concatenate(drawn)
    shares = np.array([len(part) for part in drawn]) / len(points)
    logs = [truth.log_density(points), *[_normal(points, m, c) for m, c in wide]]
    log_proposal = special.logsumexp(np.stack(logs) + np.log(shares)[:, None], axis=0)
    log_weights = -energy(points) - log_proposal
    log_z = float(special.logsumexp(log_weights) - np.log(len(points)))
    weights = np.exp(log_weights - log_weights.max())
    effective = float(weights.sum() ** 2 / (weights**2).sum() / len(points))
    fresh = truth.sample(NUM_DRAWS, seed=993)
    excess = float((truth.log_density(fresh) + energy(fresh)).mean())
    return excess + log_z, log_z, effective


def _normal(x: Array, mean: Array, covariance: Array) -> Array:
    factor = np.linalg.cholesky(covariance)
    square = (np.linalg.solve(factor, (x - mean).T) ** 2).sum(0)
    return -0.5 * square - np.log(np.diag(factor)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)


def of_torch(energy: Callable[[Tensor], Tensor], chunk: int = 16_384) -> Function:
    """An energy of torch positions in the set's units as one of NumPy's; +inf stays a number."""

    @torch.no_grad()
    def of_arrays(x: Array) -> Array:
        pieces = torch.from_numpy(x).float().split(chunk)
        values = torch.cat([energy(piece).double() for piece in pieces])
        return values.nan_to_num(posinf=1e30).numpy()

    return of_arrays
