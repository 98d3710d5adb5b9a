"""∫ exp(−E(z)/T) dz in one and two dimensions, by cells that get smaller where there is mass."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.metrics.density import energies
from backend.metrics.weighted_points import WeightedPoints, data_box

LEVELS_OUTSIDE = 5
"""Doublings of the range of the data that the box reaches: 2⁴ times as far from its centre."""
FIRST_LEVEL = 3
"""Halvings of every side of the box before positions are looked at."""
LAST_LEVEL = 22
CELLS_OF_DATA = 60
"""Cells that positions alone would divide the box into, about."""
FEWEST = 4
"""Positions that a cell may hold, however few there are."""
TOLERANCE = 5e-4
"""Error of log Z, nats, at which nothing more is refined."""
AT_ONCE = 1024
"""Cells refined in one go."""
NODES = {1: 8, 2: 4}
"""Gauss-Legendre nodes along an axis of a cell, by dimension."""


def fits(data: Data) -> bool:
    """True where events are one or two real coordinates."""
    return data.num_values is None and data.event_shape.numel() in NODES


class Cells:
    """Cells of a box (2^dim a split), each with Gauss-Legendre nodes."""

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self.low, self.side = low.double(), (high - low).double()
        self.dim = len(low)
        nodes, weights = np.polynomial.legendre.leggauss(NODES[self.dim])
        axis = torch.from_numpy((nodes + 1) / 2).to(self.low)
        half = torch.from_numpy(weights / 2).to(self.low)
        self.nodes = torch.cartesian_prod(*[axis] * self.dim).reshape(-1, self.dim)
        spread = torch.cartesian_prod(*[half] * self.dim).reshape(-1, self.dim)
        self.log_node = spread.log().sum(1)
        self.corners = _offsets(torch.arange(2, device=low.device), self.dim)
        self.around = _offsets(torch.arange(-1, 2, device=low.device), self.dim)

    def positions(self, place: Tensor, level: Tensor) -> Tensor:
        """Nodes (num, nodes a cell, dim) of cells: place (num, dim) counts cells of that level."""
        width = self.side * 0.5 ** level[:, None].double()
        return self.low + width[:, None] * (place[:, None] + self.nodes)

    def log_masses(
        self, energy: Energy, temperature: float, place: Tensor, level: Tensor, shape: torch.Size
    ) -> Tensor:
        """log of the mass at each node (num, nodes a cell); energies that are no numbers have
        none."""
        points = self.positions(place, level).flatten(0, 1).float().reshape(-1, *shape)
        values = energies(energy, points).double().reshape(len(place), -1)
        logs = (-values / temperature).nan_to_num(nan=-torch.inf, posinf=torch.inf)
        log_cell = self.side.log().sum() - self.dim * math.log(2) * level.double()
        return logs + self.log_node + log_cell[:, None]

    def children(self, place: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """The 2^dim parts of each cell, one cell's after the other."""
        parts = (2 * place[:, None] + self.corners).flatten(0, 1)
        return parts, (level + 1).repeat_interleave(len(self.corners))

    def divided(self, *clouds: Tensor, num_parts: int = CELLS_OF_DATA) -> tuple[Tensor, Tensor]:
        """Cells (place, level) of which none holds more than a num_parts-th of a cloud of
        positions (num, dim), nor is more than twice as wide as a neighbour that would."""
        units = [(cloud.double() - self.low) / self.side for cloud in clouds]
        units = [unit[((unit >= 0) & (unit < 1)).all(1)] for unit in units]
        device = self.low.device
        place = _offsets(torch.arange(2**FIRST_LEVEL, device=device), self.dim)
        done: list[tuple[Tensor, Tensor]] = []
        for level in range(FIRST_LEVEL, LAST_LEVEL + 1):
            near = torch.cat([self._crowded(unit, level, num_parts) for unit in units])
            split = torch.isin(_key(place), _key(near))
            if level == LAST_LEVEL:
                split[:] = False
            levels = torch.full((len(place),), level, device=device)
            done.append((place[~split], levels[~split]))
            if not split.any():
                break
            place, _ = self.children(place[split], levels[split])
        return torch.cat([part for part, _ in done]), torch.cat([part for _, part in done])

    def _crowded(self, unit: Tensor, level: int, num_parts: int) -> Tensor:
        """Cells of a level (num, dim) that hold too many of the positions, and those around."""
        most = max(len(unit) // num_parts, FEWEST)
        at, counts = (unit * 2**level).long().unique(dim=0, return_counts=True)
        return (at[counts > most][:, None] + self.around).flatten(0, 1)


def _offsets(axis: Tensor, dim: int) -> Tensor:
    return torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)


def _key(place: Tensor) -> Tensor:
    return place[:, 0] * 2**31 + place[:, -1]


def integrated(
    energy: Energy,
    data: Data,
    *,
    temperature: float = 1.0,
    num_nodes: int = 200_000,
    also: Tensor | None = None,
) -> WeightedPoints:
    """Quadrature over a box 16 times as wide as the training data's, half as much again each side.

    Cells are small where data lie and where positions in `also` (num, *event_shape) do, such as
    ends of chains that may have left the data, and are then halved where their mass is uncertain:
    where it changed at the last halving. Ends at an error of TOLERANCE nats or after about
    `num_nodes` evaluations. Mass beyond the box, and a spike that no position is near, go unseen.
    """
    low, high = data_box(data)
    centre, half = (low + high) / 2, (high - low) / 2 * 2 ** (LEVELS_OUTSIDE - 1)
    cells = Cells(centre - half, centre + half)
    shape = data.event_shape
    clouds = [data.train] if also is None else [data.train, also.to(data.train)]
    place, level = cells.divided(*[cloud.flatten(1) for cloud in clouds])
    logs = cells.log_masses(energy, temperature, place, level, shape)
    error = logs.new_full((len(logs),), torch.inf)
    num = logs.numel()
    while True:
        mass = logs.logsumexp(1)
        total = mass.logsumexp(0)
        uncertain = torch.minimum(error, mass).sub(total).exp().nan_to_num(nan=0.0)
        remaining = float(uncertain.sum())
        order = uncertain.argsort(descending=True)[:AT_ONCE]
        chosen = order[(uncertain[order] > TOLERANCE / len(mass)) & (level[order] < LAST_LEVEL)]
        if remaining < TOLERANCE or num >= num_nodes or not len(chosen):
            break
        new_place, new_level = cells.children(place[chosen], level[chosen])
        new_logs = cells.log_masses(energy, temperature, new_place, new_level, shape)
        num += new_logs.numel()
        parts = new_logs.logsumexp(1).reshape(len(chosen), -1).logsumexp(1)
        pair = torch.stack([mass[chosen], parts])
        change = (pair.amax(0) + (-(pair[0] - pair[1]).abs()).exp().neg().log1p()).nan_to_num(
            nan=-torch.inf
        )
        each = (change - math.log(len(cells.corners))).repeat_interleave(len(cells.corners))
        stays = torch.ones(len(mass), dtype=torch.bool, device=mass.device)
        stays[chosen] = False
        place, level = torch.cat([place[stays], new_place]), torch.cat([level[stays], new_level])
        logs, error = torch.cat([logs[stays], new_logs]), torch.cat([error[stays], each])
    last = (2 ** level[:, None]) - 1
    outermost = ((place == 0) | (place == last)).any(1)
    edge = float((mass[outermost].logsumexp(0) - total).exp()) if outermost.any() else 0.0
    positions = cells.positions(place, level).flatten(0, 1).float().reshape(-1, *shape)
    return WeightedPoints(positions, logs.flatten(), min(remaining, math.inf), edge)
