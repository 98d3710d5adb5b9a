"""Energies of multisets of a fixed size: sets of k of n elements, and bags."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, Law, one_hot


class Multiset(DiscreteEnergy):
    """E(x) = Σ_i table[i, x_i] where Σ_i x_i = total, else infinite; x_i counts element i.

    table (elements, q). With q = 2 events are sets. The energy of a smaller multiset is its own
    sum. Raises ValueError where no event has that total.
    """

    table: Tensor
    total: int

    def __init__(self, table: Tensor, total: int) -> None:
        super().__init__()
        elements, num_values = table.shape
        if not 0 < total <= elements * (num_values - 1):
            raise ValueError(f"no {elements} values up to {num_values - 1} sum to {total}.")
        self.num_values, self.event_shape, self.total = num_values, torch.Size([elements]), total
        self.register_buffer("table", table.float())

    def _sum(self, one_hot: Tensor) -> Tensor:
        return (one_hot * self.table.to(one_hot.dtype)).sum((1, 2))

    def value(self, one_hot: Tensor) -> Tensor:
        counts = torch.arange(self.num_values, device=one_hot.device, dtype=one_hot.dtype)
        inside = ((one_hot @ counts).sum(1) - self.total).abs() < 0.5
        energy = self._sum(one_hot)
        return torch.where(inside, energy, torch.full_like(energy, torch.inf))

    def part_energy(self, x: Tensor) -> Tensor:
        return self._sum(one_hot(x, self.num_values))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.value(one_hot(x, self.num_values)) + self.offset

    def law(self) -> Law:
        return MultisetLaw(self)

    def uniform(self, num: int, generator: torch.Generator) -> Tensor:
        """Events (num, elements) float32, all equally likely, on the generator's device."""
        flat = Multiset(torch.zeros_like(self.table, device="cpu"), self.total)
        return MultisetLaw(flat).draw(num, generator)


class MultisetLaw(Law):
    """The law of a multiset's energy, by dynamic programming over the elements.

    B_i(s) = Σ_v exp(−table[i, v]) B_{i+1}(s − v), the weight of all ways to give the elements from
    i on s in all.
    """

    source: ClassVar[str] = "dynamic programming"

    def __init__(self, energy: Multiset) -> None:
        table = -energy.table.double().cpu()
        self.total, self.num_values = energy.total, energy.num_values
        self.weights = torch.stack([_steps(row, self.total) for row in table])
        """(elements, total + 1, total + 1): log weight of going from s left to s′ left"""
        after = torch.full((self.total + 1,), -torch.inf, dtype=torch.float64)
        after[0] = 0.0
        behind = [after]
        for weights in self.weights.flip(0):
            behind.append((weights + behind[-1]).logsumexp(1))
        self.behind = torch.stack(behind[::-1])
        """(elements + 1, total + 1): log B"""
        whole = float(self.behind[0, self.total])
        self.log_z = whole - energy.offset
        before = torch.full((self.total + 1,), -torch.inf, dtype=torch.float64)
        before[self.total] = 0.0
        shares = []
        for weights, after in zip(self.weights, self.behind[1:], strict=True):
            passing = before[:, None] + weights + after - whole
            diagonals = [passing.diagonal(-v).logsumexp(0) for v in range(self.num_values)]
            shares.append(torch.stack(diagonals).exp())
            before = (before[:, None] + weights).logsumexp(0)
        chance, values = torch.stack(shares), torch.arange(self.num_values).double()
        self.mean = chance @ values
        self.variance = chance @ values.square() - self.mean.square()
        self.mean_energy = energy.offset - float((chance * table).sum())

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        left = torch.full((num,), self.total, dtype=torch.int64, device=device)
        columns = []
        for weights, after in zip(self.weights.to(device), self.behind[1:].to(device), strict=True):
            chance = (weights + after).softmax(1).nan_to_num(0.0)[left].cumsum(1)
            u = torch.rand(num, 1, generator=generator, device=device, dtype=torch.float64)
            following = (chance <= u).sum(1).clamp(max=self.total)
            columns.append(left - following)
            left = following
        return torch.stack(columns, 1).float()


def _steps(row: Tensor, total: int) -> Tensor:
    """(total + 1, total + 1): row[s − s′], −inf where there is no such value."""
    counts = torch.arange(total + 1)
    taken = counts[:, None] - counts
    inside = (taken >= 0) & (taken < len(row))
    return torch.where(inside, row[taken.clamp(0, len(row) - 1)], -torch.inf)
