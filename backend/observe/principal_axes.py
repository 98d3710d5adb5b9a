"""Principal axes of data of more than two coordinates: the plane in which they are looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.events import Field, Points
from backend.metrics.density import Box, Grid, energies
from backend.observe import pictures

MOST_ROWS = 512
"""Rows that the axes come from: the smaller of their products has this many at most, so that wide
events cost no more than narrow ones."""
ROOM = 0.25
"""Room around the data in the view, in ranges of the data, on each side."""


@dataclass(frozen=True)
class PrincipalAxes:
    """The plane through the mean of the data along their two longest principal axes.

    Of standardised positions z; places in the plane are in standardised units too.
    """

    centre: Tensor
    """(dim,)"""
    axes: Tensor
    """(dim, 2), orthonormal; the largest loading of each is positive"""
    shares: tuple[float, float]
    """of the variance"""
    box: Box
    """the range of the data and ROOM around it"""

    @classmethod
    def of(cls, data: Data) -> PrincipalAxes | None:
        """None of events of one or two coordinates, of discrete ones, and of data that are all
        alike."""
        z = data.train[:MOST_ROWS].flatten(1).double().cpu()
        if data.num_values is not None or z.shape[1] < 3 or len(z) < 3:
            return None
        centre = z.mean(0)
        _, lengths, rows = torch.linalg.svd(z - centre, full_matrices=False)
        if not float(lengths[0]) > 0:
            return None
        axes = rows[:2].T
        signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
        shares = (lengths.square() / lengths.square().sum()).tolist()
        axes = axes * signs
        places = (z - centre) @ axes
        low, high = places.amin(0), places.amax(0)
        room = (ROOM * (high - low)).clamp(min=1e-6)
        (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
        device = data.train.device
        return cls(
            centre.float().to(device),
            axes.float().to(device),
            (shares[0], shares[1]),
            ((left, right), (bottom, top)),
        )

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two axes, with their shares of the variance."""
        first, second = self.shares
        return (
            f"principal axis 1, {first:.0%} of the variance",
            f"principal axis 2, {second:.0%} of the variance",
        )

    def points(
        self,
        path: str,
        z: Tensor,
        role: str,
        energy: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Points:
        """Places (num, 2) of standardised z (num, *event_shape) in the plane, with the energy and
        the class (num,) of each where they are known."""
        places = (z.flatten(1) - self.centre) @ self.axes
        values = None if energy is None else pictures.float32(energy)
        classes = None if labels is None else labels.cpu().numpy().astype("int32")
        return Points(path, pictures.float32(places), role, values, classes, axes=self.names)

    def slice(self, path: str, energy: Energy, data: Data, size: int, temperature: float) -> Field:
        """The energy of standardised positions over the plane itself, size × size of them, above
        its lowest one there: a slice, no marginal."""
        grid = Grid(self.box, size)
        z = self.centre + grid.points(self.centre.device) @ self.axes.T
        values = energies(energy, z.reshape(-1, *data.event_shape))
        values = pictures.above_lowest(values, temperature)
        shape = (size, size)
        return Field(
            path, pictures.float32(values).reshape(shape), *grid.box, temperature=temperature
        )
