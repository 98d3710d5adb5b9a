"""log Z by quadrature, on a line and in the plane."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy

ESTIMATE = "log_z/estimate"
"""Path of a method's own estimate: `step` says it, so a look at a running method does not."""
REACH = 8.0
"""Least reach of a grid on a line beyond the data, standardised."""


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
        self.log_cell = float(self.cell.log().sum())

    @classmethod
    def of(cls, data: Data, size: int) -> NormaliserGrid | None:
        """None where events are not one or two real coordinates."""
        fits = data.num_values is None and data.event_shape in ((1,), (2,))
        return cls(data, size) if fits else None

    def log_z(self, energy: Energy, shift: Tensor | None = None) -> Tensor:
        """log ∫ exp(−E(z)) dz over the grid, 0-d; carries a graph where one is built.

        shift: (*event_shape) in cells, from −½ to ½, that all points are moved by. With a uniform
        one the sum is right on average whatever lies between the points, so that what is fitted
        cannot hide mass there.
        """
        points = self.points if shift is None else self.points + shift * self.cell
        return (-energy(points)).logsumexp(0) + self.log_cell


def log_z_figures(estimate: Tensor, energy: Energy, data: Data, size: int) -> dict[str, float]:
    """By path: the estimate of log Z over standardised positions and, where quadrature on `size`
    cells a side can say it, the exact value and how far off the estimate is, nats."""
    figures = {ESTIMATE: float(estimate)}
    grid = NormaliserGrid.of(data, size)
    if grid is not None:
        figures["log_z/exact"] = float(grid.log_z(energy))
        figures["log_z/error"] = abs(figures[ESTIMATE] - figures["log_z/exact"])
    return figures
