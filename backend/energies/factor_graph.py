"""Factor graphs: energies that are sums of small tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy

Factor = tuple[tuple[int, ...], Tensor]
"""the variables, all different, and a table (q, ..., q) of energies with one axis for each"""


class FactorGraph(DiscreteEnergy):
    """E(x) = Σ_f table_f[x at the variables of f], events (num_variables,) of values 0..q-1.

    Raises ValueError when a factor names a variable twice or its table has another shape.
    """

    multilinear: ClassVar[bool] = True
    colours: Tensor
    """(num_colours, num_variables) bool, no two variables of one factor of one colour"""

    def __init__(self, num_variables: int, num_values: int, factors: Sequence[Factor]) -> None:
        super().__init__()
        self.num_values, self.event_shape = num_values, torch.Size([num_variables])
        for variables, table in factors:
            if len(set(variables)) < len(variables):
                raise ValueError(f"a factor of different variables is needed, got {variables}.")
            if table.shape != (num_values,) * len(variables):
                raise ValueError(f"the table of {variables} has shape {tuple(table.shape)}.")
        # factors of the same number of variables are evaluated at once
        self.arities = sorted({len(variables) for variables, _ in factors})
        for arity in self.arities:
            same = [factor for factor in factors if len(factor[0]) == arity]
            index = torch.tensor([variables for variables, _ in same])
            self.register_buffer(f"variables_{arity}", index)
            self.register_buffer(f"tables_{arity}", torch.stack([t.float() for _, t in same]))
        self.register_buffer("colours", _colouring(num_variables, [v for v, _ in factors]))

    def _groups(self) -> list[tuple[Tensor, Tensor]]:
        """Variables (num, arity) and tables (num, q, ..., q) of each arity."""
        return [
            (self.get_buffer(f"variables_{arity}"), self.get_buffer(f"tables_{arity}"))
            for arity in self.arities
        ]

    def value(self, one_hot: Tensor) -> Tensor:
        total = one_hot.new_zeros(len(one_hot))
        for variables, tables in self._groups():
            left = tables.to(one_hot.dtype).unsqueeze(0)
            for column in variables.T:
                # sums over the first value axis that is left
                chosen = one_hot[:, column]
                width = left.dim() - 3
                left = (left * chosen.reshape(*chosen.shape, *[1] * width)).sum(2)
            total = total + left.sum(1)
        return total

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        values, total = x.long(), x.new_full((len(x),), self.offset)
        for variables, tables in self._groups():
            factor = torch.arange(len(variables), device=x.device)
            chosen = tuple(values[:, column] for column in variables.T)
            total = total + tables.to(x.dtype)[(factor, *chosen)].sum(1)
        return total

    def blocks(self) -> list[Tensor]:
        """Variables coloured greedily, so that no factor holds two of one colour."""
        return list(self.colours)


def _colouring(num_variables: int, groups: Sequence[tuple[int, ...]]) -> Tensor:
    near: list[set[int]] = [set() for _ in range(num_variables)]
    for variables in groups:
        for variable in variables:
            near[variable].update(variables)
    colours: list[int] = []
    for variable in range(num_variables):
        taken = {colours[other] for other in near[variable] if other < variable}
        colours.append(next(c for c in range(num_variables) if c not in taken))
    each = torch.tensor(colours)
    return torch.stack([each == colour for colour in range(max(colours) + 1)])
