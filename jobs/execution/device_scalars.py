"""Scalar block: scalars of many steps on the device, copied to the host at once, and what each
of its rows cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.events import Cost


class ScalarBlock:
    """Preallocated (rows, paths) tensor that steps write into and a flush empties."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.num_rows, self.device = rows, device
        self.paths: list[str] = []
        self.count = 0
        self._values = torch.empty(0)
        self._rows: list[Tensor] = []

    @property
    def is_full(self) -> bool:
        """Return True when a flush is due."""
        return self.count == self.num_rows

    def add(self, values: dict[str, Tensor]) -> None:
        """Write one row of 0-d tensors; nothing leaves the device. Raises ValueError when the
        paths are not those of the first row."""
        paths = list(values)
        if paths != self.paths:
            self._set_up(paths)
        with torch.no_grad():
            torch.stack(tuple(values.values()), out=self._rows[self.count])
        self.count += 1

    def _set_up(self, paths: list[str]) -> None:
        if self.paths:
            changed = sorted(set(paths) ^ set(self.paths)) or "their order"
            raise ValueError(f"`step` must return the same paths every time; changed: {changed}")
        self.paths = paths
        self._values = torch.empty(self.num_rows, len(paths), device=self.device)
        self._rows = list(self._values)

    def take(self) -> npt.NDArray[np.float32]:
        """Return the rows written since the last call, (rows, paths), on the host."""
        rows = self._values[: self.count].to("cpu", copy=True).numpy()
        self.count = 0
        return rows


def cost_of_row(row: int, num_rows: int, before: Cost, first_gradients: int, end: Cost) -> Cost:
    """Interpolate the cost after row 1, 2, ... of a block, the rows evenly spread in time.

    before: at the end of the last block. first_gradients: ∇E evaluations after the first row.
    end: after the last row.
    """
    if row == num_rows:
        return end
    share = row / num_rows
    joules = None
    if before.joules is not None and end.joules is not None:
        joules = before.joules + share * (end.joules - before.joules)
    along = (row - 1) / (num_rows - 1)
    return Cost(
        before.step + row,
        first_gradients + round(along * (end.gradients - first_gradients)),
        before.seconds + share * (end.seconds - before.seconds),
        joules,
    )
