"""The reward of the hypergrid, read as an energy."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy

ROUNDING = 1e-9
"""Keeps what lies on an edge outside on both sides: 12/15 − ½ is a little more than ½ − 3/15."""


class Hypergrid(DiscreteEnergy):
    """E(x) = −log R(x), x in {0, …, side − 1}^dimension.

    R(x) = base + outer Π_i [|u_i| > .25] + peak Π_i [.3 < |u_i| < .4], u_i = x_i / (side − 1) − ½:
    plateaus in the 2^dimension corners, a peak on each, and little between them. Bengio et al.
    2021.
    """

    outer_of: Tensor
    peak_of: Tensor

    def __init__(self, side: int, dimension: int, base: float, outer: float, peak: float) -> None:
        super().__init__()
        self.num_values, self.event_shape = side, torch.Size([dimension])
        self.base, self.outer, self.peak = base, outer, peak
        away = (torch.arange(side, dtype=torch.float64) / (side - 1) - 0.5).abs()
        self.register_buffer("outer_of", (away > 0.25 + ROUNDING).float())
        peak_of = (away > 0.3 + ROUNDING) & (away < 0.4 - ROUNDING)
        self.register_buffer("peak_of", peak_of.float())

    def value(self, one_hot: Tensor) -> Tensor:
        outer = (one_hot @ self.outer_of.to(one_hot)).prod(1)
        peak = (one_hot @ self.peak_of.to(one_hot)).prod(1)
        return -(self.base + self.outer * outer + self.peak * peak).log()
