"""Places of samples among real data, by balls that reach to the k-th nearest neighbour."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NUM_NEIGHBOURS = 5


class Overlap(NamedTuple):
    """Shares in 0..1, but for the density, which is near 1 for perfect samples."""

    precision: float
    """samples in the ball of some real point: fidelity"""
    recall: float
    """real points in the ball of some sample: diversity"""
    density: float
    """real balls that a sample is in, over k: fidelity that one outlier does not spoil"""
    coverage: float
    """real points with a sample in their ball: diversity that one outlier does not spoil"""


def overlap(x: Tensor, real: Tensor, num_neighbours: int = NUM_NEIGHBOURS) -> Overlap:
    """Of samples x (num, dim) with real points (num_real, dim); all depend on both numbers.

    A point's ball reaches to its k-th nearest neighbour in its own set, itself not counted, k at
    most the number of others; its boundary belongs to it. Precision and recall: Kynkäänniemi et
    al. 2019. Density and coverage: Naeem et al. 2020. Raises ValueError for sets of fewer than two.
    """
    if min(len(x), len(real)) < 2:
        raise ValueError(f"balls need two points in a set, got {len(x)} and {len(real)}")
    x, real = x.double(), real.double()
    real_radius, real_k = _radii(real, num_neighbours)
    radius, _ = _radii(x, num_neighbours)
    distances = _distances(x, real)
    in_real = distances <= real_radius
    in_sample = distances <= radius[:, None]
    shares = (
        in_real.any(1).double().mean(),
        in_sample.any(0).double().mean(),
        in_real.double().sum(1).mean() / real_k,
        in_real.any(0).double().mean(),
    )
    return Overlap(*torch.stack(shares).tolist())


def _radii(x: Tensor, num_neighbours: int) -> tuple[Tensor, int]:
    k = min(num_neighbours, len(x) - 1)
    distances = _distances(x, x)
    return distances.fill_diagonal_(torch.inf).kthvalue(k, dim=1).values, k


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # not through a matrix product: the distance of a point to its equal must be 0
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
