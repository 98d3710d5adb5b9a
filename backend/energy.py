"""Energy: the unnormalised negative log-density every part of Basin speaks of.

One sign, once: p(x) ∝ exp(-E(x)/T), low energy is likely, T = 1 unless a field says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class Energy(nn.Module, ABC):
    """`energy(x, condition=None) -> (batch,)`, x of shape (batch, *event_shape)."""

    @abstractmethod
    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch,) in nats of positions x (batch, *event_shape)."""

    def given(self, condition: Any) -> Energy:
        """The energy of x with a class, a noise level or a context bound to it."""
        return Bound(self, condition)


class Bound(Energy):
    """An energy with its condition fixed."""

    def __init__(self, energy: Energy, condition: Any) -> None:
        super().__init__()
        self.energy, self.condition = energy, condition

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(x, self.condition)


class InUnits(Energy):
    """An energy of standardised z = (x - mean) / scale, read as an energy of x."""

    mean: Tensor
    scale: Tensor

    def __init__(self, energy: Energy, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.energy = energy
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy((x - self.mean) / self.scale, condition)


def energy_and_gradient(energy: Energy, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) (batch,) and ∇E(x), shaped like x; neither carries a graph.

    The gradient of the batch sum in x alone: parameters get no gradient and pay for none.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = energy(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient
