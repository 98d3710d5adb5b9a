"""log Z by one point in each of some cells, on a line and in the plane: what can be fitted."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.metrics.cubature import Cells
from backend.metrics.weighted_points import data_box

ESTIMATE = "log_z/estimate"
"""Path of a method's own estimate: `step` says it, so a look at a running method does not."""
REACH = 8.0
"""Least reach of a grid on a line beyond the data, standardised."""
PARTS = 400
"""Cells that the data alone would divide the box into, about: some thousands with those around."""
WIDEN = 4.0
"""Times as far from its centre that the box of such cells reaches as that of the data."""


class NormaliserGrid:
    """Midpoints of equal cells, standardised, over the data and the origin and half their range
    more on each side: on a line size² cells, at least 8 data sd beyond; in the plane size × size.

    What a model puts outside goes unseen. For densities that vary over several cells the midpoint
    rule is exact to many digits.
    """

    def __init__(self, data: Data, size: int) -> None:
        z = data.train.flatten(1)
        dim = z.shape[1]
        low, high = z.amin(0).clamp(max=0), z.amax(0).clamp(min=0)
        margin = 0.5 * (high - low)
        if dim == 1:
            margin = margin.clamp(min=REACH)
        low, high = low - margin, high + margin
        num = size**2 if dim == 1 else size
        share = (torch.arange(num, device=z.device) + 0.5) / num
        axes = [start + share * (end - start) for start, end in zip(low, high, strict=True)]
        self.points = torch.cartesian_prod(*axes).reshape(-1, *data.event_shape)
        """(size², *event_shape)"""
        self.cell = ((high - low) / num).reshape(data.event_shape)
        self.log_cell = self.cell.log().sum()

    def log_z(self, energy: Energy, shift: Tensor | None = None) -> Tensor:
        """log ∫ exp(−E(z)) dz over the grid, 0-d; carries a graph where one is built.

        shift: (*event_shape) in cells, from −½ to ½, that all points are moved by. With a uniform
        one the sum is right on average whatever lies between the points, so that what is fitted
        cannot hide mass there.
        """
        points = self.points if shift is None else self.points + shift * self.cell
        if self.log_cell.dim():
            return (self.log_cell - energy(points)).logsumexp(0)
        return (-energy(points)).logsumexp(0) + self.log_cell


class DataCells(NormaliserGrid):
    """Cells that are small where there are many data, over a box four times as wide as theirs.

    For energies whose tails are those of a base: narrow modes beside wide ones, and far tails, take
    some thousands of cells where an even grid would take millions.
    """

    def __init__(self, data: Data) -> None:
        low, high = data_box(data)
        centre, half = (low + high) / 2, WIDEN * (high - low) / 2
        cells = Cells(centre - half, centre + half)
        place, level = cells.divided(data.train.flatten(1), num_parts=PARTS)
        width = cells.side * 0.5 ** level[:, None].double()
        shape = (-1, *data.event_shape)
        self.points = (cells.low + (place + 0.5) * width).float().reshape(shape)
        """(num, *event_shape), the middles"""
        self.cell = width.float().reshape(shape)
        self.log_cell = width.log().sum(1).float()
