"""Divergence guard: ends a run that runs away while its numbers may still be finite."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.errors import Diverged
from backend.metric_names import FIGURES

ENERGY_BOUND = 1e6
"""Largest |E|: healthy training keeps it below some hundreds."""
RADIUS_BOUND = 100.0
"""Largest norm of a chain, in standard deviations of the data, of few coordinates."""
_PER_ROOT_DIM = 10.0
"""The same for each square root of the dimension: a norm grows with it where nothing is wrong."""
_REACH = 3.0
"""The same in norms of the farthest training point."""


class Breach(NamedTuple):
    """First row that left its bounds, with its value and bound."""

    row: int
    path: str
    value: float
    bound: float

    def error(self, step: int) -> Diverged:
        """Build the error that ends the run."""
        title = FIGURES[self.path].title if self.path in FIGURES else self.path
        return Diverged(title, self.value, self.bound, step)


def radius_bound(train: Tensor) -> float:
    """Compute the largest norm that chains may have beside this training set (num, *event_shape).

    >>> radius_bound(torch.zeros(20, 2))
    100.0
    >>> radius_bound(torch.zeros(20, 3, 20, 15))
    300.0
    """
    flat = train.flatten(1)
    farthest = float(torch.linalg.vector_norm(flat, dim=1).max())
    return max(RADIUS_BOUND, _PER_ROOT_DIM * math.sqrt(flat.shape[1]), _REACH * farthest)


def breach(
    paths: list[str],
    values: npt.NDArray[np.float32],
    trains: bool = True,
    radius: float = RADIUS_BOUND,
) -> Breach | None:
    """Find the first breach in rows of scalars, `values` (rows, paths).

    Losses, energies and radii must be finite and, in training, stay within their bounds: a known
    target may be as steep and as wide as it likes.
    """
    bounds = np.array([_bound(path, radius) for path in paths])
    if not trains:
        bounds = np.where(np.isnan(bounds), np.nan, np.inf)
    watched = ~np.isnan(bounds)
    # A comparison with NaN is false, so that not-a-number counts as outside.
    outside = ~(np.abs(values) <= np.where(watched, bounds, np.inf)) & watched
    outside |= watched & ~np.isfinite(values)
    if not outside.any():
        return None
    row = int(np.argmax(outside.any(axis=1)))
    column = int(np.argmax(outside[row]))
    return Breach(row, paths[column], float(values[row, column]), float(bounds[column]))


def _bound(path: str, radius: float) -> float:
    """Bound of a path: NaN where none is watched, infinity where it only has to be finite."""
    if path.startswith("energy/"):
        return ENERGY_BOUND
    if path == "sampler/radius":
        return radius
    return np.inf if path.startswith("loss/") else np.nan
