"""Ising and Potts models on square lattices."""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, enumerate_states, one_hot


class Lattice(DiscreteEnergy):
    """Nearest neighbours on a square lattice; events (rows, columns) of the values 0..q-1.

    E = -Σ_<ij> bond_strength [x_i = x_j] - Σ_i fields[x_i] + const, every pair of neighbours once.
    With `periodic` the ends of each side longer than 2 are neighbours too.
    """

    multilinear: ClassVar[bool] = True
    bond_strength: float
    """nats that a pair gains by being equal; at least 0 in a ferromagnet"""
    bonds: Tensor
    """(num_bonds, 2) int64, the sites of the flattened event that each pair joins"""
    neighbours: Tensor
    """(sites, 4) int64; `sites` stands for none"""
    colours: Tensor
    """(num_colours, rows, columns) bool, no two neighbours of one colour"""
    fields: Tensor
    """(q,) nats that a site gains by each value"""

    def __init__(self, rows: int, columns: int, num_values: int, periodic: bool) -> None:
        super().__init__()
        self.event_shape, self.num_values = torch.Size([rows, columns]), num_values
        self.wraps = periodic and rows > 2, periodic and columns > 2
        bonds, neighbours = _graph(rows, columns, self.wraps)
        self.register_buffer("bonds", bonds)
        self.register_buffer("neighbours", neighbours)
        self.register_buffer("colours", _colouring(rows, columns, self.wraps))

    def around(self, v: Tensor) -> Tensor:
        """The sum of v (batch, rows, columns, ...) over each site's neighbours, shaped like v."""
        return _beside(v, 1, self.wraps[0]).add_(_beside(v, 2, self.wraps[1]))

    @abstractmethod
    def gradient_of(self, one_hot: Tensor) -> Tensor:
        """The gradient of `value` in one-hot positions, in closed form, shaped like them."""

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            relaxed = one_hot(x, self.num_values)
            return self.relaxed(relaxed), self.gradient_of(relaxed)

    def site_energies(self, x: Tensor, site: Tensor) -> Tensor:
        """From the four neighbours alone."""
        near, flat = self.neighbours.index_select(0, site), x.flatten(1)
        if all(self.wraps) and self.num_values == 2:
            ones = flat.gather(1, near).mv(flat.new_ones(4))
            equal = torch.stack([4 - ones, ones], 1)
        else:
            # a value that no site has stands beyond the edge
            flat = torch.cat([flat, flat.new_full((len(flat), 1), -1.0)], 1)
            equal = one_hot(flat.gather(1, near), self.num_values).sum(1)
        return equal.mul_(-self.bond_strength).sub_(self.fields.to(x.dtype))

    @property
    def site_evaluations(self) -> int:
        return 0

    def blocks(self) -> list[Tensor]:
        """Two colours of a chequerboard; three where a side that wraps is odd."""
        return list(self.colours)


class Ising(Lattice):
    """E = -J Σ_<ij> s_i s_j - h Σ_i s_i of spins s = 2x - 1, x in {0, 1}.

    exp(σ Σ_i Σ_{j beside i} s_i s_j + b Σ s_i), the convention of Grathwohl et al. 2021 that counts
    each pair twice, is J = 2σ and h = b. The square lattice orders at J = log(1 + √2)/2 = 0.4407.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        coupling: float,
        field: float = 0.0,
        periodic: bool = True,
    ) -> None:
        super().__init__(rows, columns, 2, periodic)
        self.coupling, self.field = coupling, field
        self.bond_strength = 2 * coupling
        self.register_buffer("fields", torch.tensor([-field, field], dtype=torch.float64))

    def value(self, one_hot: Tensor) -> Tensor:
        return self._of_spins(one_hot[..., 1] - one_hot[..., 0])

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self._of_spins(2 * x - 1) + self.offset

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            spins = 2 * x - 1
            pull = self.around(spins).mul_(self.coupling)
            value = -(0.5 * pull + self.field).mul_(spins).flatten(1).sum(1) + self.offset
            gradient = pull.new_empty((*pull.shape, 2))
            gradient[..., 0] = pull.add_(self.field)
            gradient[..., 1] = pull.neg_()
            return value, gradient

    def _of_spins(self, spins: Tensor) -> Tensor:
        energies = spins * (-0.5 * self.coupling * self.around(spins) - self.field)
        return energies.flatten(1).sum(1)

    def gradient_of(self, one_hot: Tensor) -> Tensor:
        pull = -self.coupling * self.around(one_hot[..., 1] - one_hot[..., 0]) - self.field
        return torch.stack([-pull, pull], -1)


class Potts(Lattice):
    """E = -J Σ_<ij> [x_i = x_j] - h Σ_i [x_i = 0], x in 0..q-1.

    With q = 2 it is the Ising model of half the coupling and half the field, but for a constant.
    The square lattice orders at J = log(1 + √q).
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        num_values: int,
        coupling: float,
        field: float = 0.0,
        periodic: bool = True,
    ) -> None:
        super().__init__(rows, columns, num_values, periodic)
        self.coupling, self.field = coupling, field
        self.bond_strength = coupling
        fields = torch.zeros(num_values, dtype=torch.float64)
        fields[0] = field
        self.register_buffer("fields", fields)

    def value(self, one_hot: Tensor) -> Tensor:
        energies = one_hot * (-0.5 * self.coupling * self.around(one_hot))
        return energies.flatten(1).sum(1) - self.field * one_hot[..., 0].flatten(1).sum(1)

    def gradient_of(self, one_hot: Tensor) -> Tensor:
        return -self.coupling * self.around(one_hot) - self.fields.to(one_hot.dtype)


def kaufman_log_z(rows: int, columns: int, coupling: Tensor) -> Tensor:
    """log Z of the periodic Ising model without a field, exactly, 0-d float64.

    rows and columns at least 3, coupling J > 0 (0-d float64, differentiable: the mean energy is
    -J d log Z / dJ). Kaufman 1949.
    """
    k = torch.arange(1, 2 * columns, dtype=torch.float64)
    rise = torch.cosh(2 * coupling) / torch.tanh(2 * coupling) - torch.cos(math.pi * k / columns)
    # the one of k = 0 keeps its sign: it turns negative above the critical temperature
    first = 2 * coupling + torch.tanh(coupling).log()
    gamma = torch.cat([first[None], torch.acosh(rise)])
    half = 0.5 * rows * gamma
    size, sign = half.abs(), half.sign()
    # 2 cosh y = e^|y| (1 + e^-2|y|), 2 sinh y = sign(y) e^|y| (1 - e^-2|y|)
    cosh, sinh = 1 + (-2 * size).exp(), sign * -torch.expm1(-2 * size)
    products = []
    logs = []
    for parity in (1, 0):
        log = size[parity::2].sum()
        logs.append(log)
        products.append(cosh[parity::2].prod() + sinh[parity::2].prod())
    top = torch.maximum(*logs).detach()
    total = sum(
        ((log - top).exp() * product for log, product in zip(logs, products, strict=True)),
        torch.zeros((), dtype=torch.float64),
    )
    sites = rows * columns
    return 0.5 * sites * (2 * torch.sinh(2 * coupling)).log() + top + total.log() - math.log(2)


MOST_IN_A_ROW = 10
"""Spins of a row whose 2^spins states a transfer matrix may have a side of."""


@functools.lru_cache(maxsize=32)
def transfer_log_z(rows: int, columns: int, coupling: float, field: float) -> float:
    """log Z of a periodic Ising lattice in a field, exactly: log Σ λ^length over the eigenvalues of
    the matrix that takes one row to the next.

    Both sides are at least 3, and the shorter one, whose spins are the row, at most MOST_IN_A_ROW.
    Onsager 1944.
    """
    row, length = sorted((rows, columns))
    spins = 2 * enumerate_states((row,), 2).double() - 1
    within = coupling * (spins * spins.roll(1, 1)).sum(1) + field * spins.sum(1)
    log_matrix = coupling * spins @ spins.T + 0.5 * (within[:, None] + within)
    # the largest entry is taken out, so that no power of an eigenvalue overflows
    top = log_matrix.max()
    eigenvalues = torch.linalg.eigvalsh((log_matrix - top).exp())
    largest = eigenvalues.abs().max()
    return float(length * (top + largest.log()) + (eigenvalues / largest).pow(length).sum().log())


def _beside(v: Tensor, dim: int, wraps: bool) -> Tensor:
    """The sum of the two neighbours along one side; nothing lies beyond an edge."""
    if wraps:
        return v.roll(1, dim).add_(v.roll(-1, dim))
    size = v.shape[dim]
    edge = torch.zeros_like(v.narrow(dim, 0, 1))
    after = torch.cat([v.narrow(dim, 1, size - 1), edge], dim)
    before = torch.cat([edge, v.narrow(dim, 0, size - 1)], dim)
    return after + before


def _graph(rows: int, columns: int, wraps: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Bonds (num, 2) and neighbours (sites, 4) of a lattice; `sites` stands for no neighbour."""
    site = torch.arange(rows * columns).reshape(rows, columns)
    bonds, neighbours = [], []
    for dim, wrap in enumerate(wraps):
        after, before = site.roll(-1, dim), site.roll(1, dim)
        if not wrap:
            after = after.clone()
            before = before.clone()
            after.select(dim, -1).fill_(rows * columns)
            before.select(dim, 0).fill_(rows * columns)
        neighbours += [after.flatten(), before.flatten()]
        pairs = torch.stack([site.flatten(), after.flatten()], 1)
        bonds.append(pairs[pairs[:, 1] < rows * columns])
    return torch.cat(bonds), torch.stack(neighbours, 1)


def _colouring(rows: int, columns: int, wraps: tuple[bool, bool]) -> Tensor:
    """Colours (num_colours, rows, columns) that no two neighbours share.

    Colours of rows and of columns, each proper on its own, add up to a proper one modulo their
    number: a step to a neighbour changes one summand alone.
    """
    odd = [wrap and size % 2 == 1 for size, wrap in zip((rows, columns), wraps, strict=True)]
    num = 3 if any(odd) else 2
    sides = []
    for size, is_odd in zip((rows, columns), odd, strict=True):
        colour = torch.arange(size) % 2
        if is_odd:
            colour[-1] = 2
        sides.append(colour)
    colour = (sides[0][:, None] + sides[1]) % num
    masks = torch.stack([colour == c for c in range(num)])
    return masks[masks.flatten(1).any(1)]
