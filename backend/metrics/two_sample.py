"""Two-sample tests by classifiers of neighbours: do two sets follow one law, and where do they not.

The level is exact whatever the law: labels are permuted, all else stays. Schilling 1986; Henze
1988; Kim, Lee & Lei 2019 (tests by regression, global and local); Lopez-Paz & Oquab 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEVEL = 0.05
"""Chance of a finding, anywhere, where both sets follow one law."""
NUM_PERMUTATIONS = 499
NEIGHBOURS = 5
_REACH = 30
"""Neighbours within one bandwidth of a point, in the median."""
_LEAST = 5.0
"""Effective number of points about a place below which nothing is said of it."""
_ROWS = 500


class Neighbours(NamedTuple):
    """Nearest-neighbour test of two sets."""

    accuracy: float
    """share of neighbours that are of a point's own set: as many as by chance at `chance`"""
    chance: float
    p_value: float


class Places(NamedTuple):
    """Differences of two sets from place to place."""

    share: Tensor
    """(places,) the share of the second set, 0 to 1; NaN where there are too few points"""
    beyond: Tensor
    """(places,) bool: beyond chance at LEVEL, over all places together"""
    p_value: float
    """of the largest difference anywhere"""


def neighbours(x: Tensor, y: Tensor, generator: torch.Generator) -> Neighbours:
    """Test two sets x and y (num, ...) of standardised events by their nearest neighbours."""
    points, labels = _pooled(x, y)
    num = min(NEIGHBOURS, len(points) - 1)
    nearest = []
    for start in range(0, len(points), _ROWS):
        distances = torch.cdist(points[start : start + _ROWS], points)
        rows = torch.arange(len(distances), device=points.device)
        distances[rows, rows + start] = torch.inf
        nearest.append(distances.topk(num, largest=False).indices)
    graph = torch.cat(nearest)
    alike = torch.stack(
        [(each[graph] == each[:, None]).double().mean() for each in _orders(labels, generator)]
    )
    sizes = labels.bincount(minlength=2).double()
    total = sizes.sum()
    chance = float((sizes * (sizes - 1)).sum() / (total * (total - 1)))
    return Neighbours(float(alike[0]), chance, _p_value(alike))


def places(x: Tensor, y: Tensor, at: Tensor, generator: torch.Generator) -> Places:
    """Test where two sets x and y (num, dim) differ, at places (places, dim)."""
    points, labels = _pooled(x, y)
    weights = torch.exp(-0.5 * (torch.cdist(at.float(), points) / _bandwidth(points)).square())
    mass, spread = weights.sum(1), weights.square().sum(1)
    enough = mass.square() / spread.clamp(min=1e-30) >= _LEAST
    weights, mass, spread = weights[enough], mass[enough], spread[enough]
    mean = float(labels.float().mean())
    orders = torch.stack(list(_orders(labels, generator)), 1).float()
    # (places, orders): what the weighted labels add up to, in standard deviations of chance
    scores = (weights @ (orders - mean)) / (mean * (1 - mean) * spread).sqrt()[:, None]
    largest = scores.abs().amax(0) if len(scores) else orders.new_zeros(orders.shape[1])
    bound = largest[1:].sort().values[int((1 - LEVEL) * NUM_PERMUTATIONS)]
    share = torch.full((len(at),), torch.nan, device=points.device)
    share[enough] = (weights @ labels.float()) / mass
    beyond = torch.zeros(len(at), dtype=torch.bool, device=points.device)
    p_value = _p_value(largest)
    beyond[enough] = (scores[:, 0].abs() > bound) & (p_value <= LEVEL)
    return Places(share, beyond, p_value)


def _pooled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Points of both sets that are finite, and 0 or 1 for the set of each."""
    points = torch.cat([x.flatten(1), y.flatten(1)]).float()
    labels = (torch.arange(len(points), device=points.device) >= len(x)).long()
    finite = points.isfinite().all(1)
    return points[finite], labels[finite]


def _orders(labels: Tensor, generator: torch.Generator) -> list[Tensor]:
    """The labels as they are, then in NUM_PERMUTATIONS random orders."""
    num, device = len(labels), labels.device
    return [labels] + [
        labels[torch.randperm(num, generator=generator, device=device)]
        for _ in range(NUM_PERMUTATIONS)
    ]


def _p_value(statistics: Tensor) -> float:
    """Share of orders, the given one first among them, at least as far out as it."""
    # a sum in another order is the same sum
    return float((statistics >= statistics[0] - 1e-6).double().mean())


def _bandwidth(points: Tensor) -> float:
    """Distance of a point's neighbour number _REACH, in the median; knows no labels."""
    some = points[:: max(1, len(points) // _ROWS)]
    num = min(_REACH + 1, len(points))
    reach = torch.cdist(some, points).kthvalue(num, dim=1).values.median()
    return max(float(reach), 1e-9)
