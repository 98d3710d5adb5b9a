"""Against a known density in two dimensions: quadrature on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from backend.energy import Energy

Box = tuple[tuple[float, float], tuple[float, float]]

CHUNK = 8192


@dataclass(frozen=True)
class Grid:
    """Midpoints of size × size equal cells over a box; row 0 is the lowest y."""

    box: Box
    size: int = 200

    @property
    def cell(self) -> float:
        """Area of one cell."""
        (left, right), (bottom, top) = self.box
        return (right - left) * (top - bottom) / self.size**2

    def points(self, device: torch.device | str = "cpu") -> Tensor:
        """(size², 2) float32, x running fastest; float64 where 32 bits do not tell cells apart."""
        share = (torch.arange(self.size, dtype=torch.float64) + 0.5) / self.size
        (left, right), (bottom, top) = self.box
        y, x = torch.meshgrid(
            bottom + share * (top - bottom), left + share * (right - left), indexing="ij"
        )
        points = torch.stack([x, y], -1).reshape(-1, 2)
        lost = any(max(map(abs, side)) > 1e3 * (side[1] - side[0]) for side in self.box)
        return (points if lost else points.float()).to(device)


@torch.no_grad()
def energies(energy: Energy, x: Tensor, chunk: int = CHUNK) -> Tensor:
    """Energies (num,) of x (num, *event_shape), a chunk at a time, without a graph."""
    return torch.cat([energy(part) for part in x.split(chunk)])


class GridKL(NamedTuple):
    """Figures of a model against the truth by quadrature."""

    kl: float
    """KL(true‖model), nats"""
    log_z: float
    """log ∫ exp(-E/T) over the box"""


def grid_kl(truth: Tensor, model: Tensor, cell: float, temperature: float = 1.0) -> GridKL:
    """KL(true‖model) from energies of the truth (-log p, at T = 1) and of the model on one grid.

    Both are normalised on the grid, so what the model puts outside of its box goes unseen.
    Either may be infinite; where the truth has mass and the model none, the KL is infinite.
    """
    log_p = -truth.double()
    log_p = log_p - log_p.logsumexp(0)
    log_q = -model.double() / temperature
    log_sum = log_q.logsumexp(0)
    log_q = log_q - log_sum
    terms = torch.where(log_p.isneginf(), 0.0, log_p.exp() * (log_p - log_q))
    return GridKL(float(terms.sum()), float(log_sum) + math.log(cell))
