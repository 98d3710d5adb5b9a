"""One discrete variable whose energies are listed."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy


class Table(DiscreteEnergy):
    """E(x) = energies[x], events (1,) of the values 0..num_states-1; energies (num_states,)."""

    multilinear: ClassVar[bool] = True
    energies: Tensor

    def __init__(self, energies: Tensor) -> None:
        super().__init__()
        self.num_values, self.event_shape = len(energies), torch.Size([1])
        self.register_buffer("energies", energies.float())

    def value(self, one_hot: Tensor) -> Tensor:
        return one_hot[:, 0] @ self.energies.to(one_hot.dtype)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energies.to(x.dtype)[x[:, 0].long()] + self.offset

    def blocks(self) -> list[Tensor]:
        """The one site."""
        return [torch.ones(1, dtype=torch.bool, device=self.energies.device)]
