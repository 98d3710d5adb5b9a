"""Environments: how an event is built step by step, and what energy an unfinished one has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, one_hot

Building = Literal["raise", "left_to_right", "any_order"]


class Environment(ABC):
    """A graph without circles from an empty state to the events of an energy.

    States are (..., sites) float; every way to a state takes equally many steps. `actions` counts
    the ways forward out of a state, `sites` those back into it: the site changed last.
    """

    actions: int
    longest: int
    """steps of the longest trajectory"""
    empty: float
    """what every site of the first state holds"""

    def __init__(self, energy: DiscreteEnergy) -> None:
        self.energy = energy
        self.sites, self.num_values = energy.num_sites, energy.num_values

    def start(self, num: int, device: torch.device) -> Tensor:
        """The empty state, (num, sites)."""
        return torch.full((num, self.sites), self.empty, device=device)

    @abstractmethod
    def possible(self, states: Tensor) -> Tensor:
        """(..., actions) bool: what can be done next."""

    @abstractmethod
    def undoable(self, states: Tensor) -> Tensor:
        """(..., sites) bool: which site may have been changed last."""

    @abstractmethod
    def site(self, actions: Tensor) -> Tensor:
        """The site that an action changes, of the same shape; one that stops has any."""

    @abstractmethod
    def stops(self, actions: Tensor) -> Tensor:
        """Bool: whether an action ends the trajectory where it stands, which has one way back."""

    @abstractmethod
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """The states after actions (...), (..., sites)."""

    @abstractmethod
    def complete(self, states: Tensor) -> Tensor:
        """(...) bool: whether a state is an event by itself, out of which nothing leads."""

    @abstractmethod
    def part_energy(self, states: Tensor) -> Tensor:
        """(num,): the energy of what there is of unfinished events (num, sites), without log Z."""

    @abstractmethod
    def written(self, state: Sequence[int]) -> str:
        """A state in signs."""

    @property
    @abstractmethod
    def num_states(self) -> int:
        """At most as many states as the graph has."""

    def log_reward(self, events: Tensor) -> Tensor:
        """log R = −E of events (num, sites), with E as it stands before it is normalised."""
        return self.energy.offset - self.energy(events.reshape(-1, *self.energy.event_shape))

    def key(self, states: Tensor) -> Tensor:
        """A number (...) int64 for each state, no two alike. Needs (q + 1)^sites < 2^63."""
        place = (self.num_values + 1) ** torch.arange(self.sites, device=states.device)
        return ((states.long() + 1) * place).sum(-1)


class Raising(Environment):
    """From all zeros one site is raised by 1 at a time.

    Where every event of the energy has the same sum, it ends there, and unfinished ones have the
    energy of the smaller multiset; else it may stop anywhere. With few values it is the hypergrid
    of Bengio et al. 2021, with sums it builds sets and bags.
    """

    empty = 0.0

    def __init__(self, energy: DiscreteEnergy) -> None:
        super().__init__(energy)
        self.total = energy.total
        self.actions = self.sites + (self.total is None)
        self.longest = self.total or self.sites * (self.num_values - 1) + 1

    def possible(self, states: Tensor) -> Tensor:
        raised = states < self.num_values - 1
        return raised if self.total else torch.nn.functional.pad(raised, (0, 1), value=True)

    def undoable(self, states: Tensor) -> Tensor:
        return states > 0

    def site(self, actions: Tensor) -> Tensor:
        return actions.clamp(max=self.sites - 1)

    def stops(self, actions: Tensor) -> Tensor:
        return actions >= self.sites

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        raised = torch.nn.functional.one_hot(actions, self.sites + 1)[..., : self.sites]
        return states + raised.to(states)

    def complete(self, states: Tensor) -> Tensor:
        if self.total is None:
            return torch.zeros(states.shape[:-1], dtype=torch.bool, device=states.device)
        return states.sum(-1) >= self.total

    def part_energy(self, states: Tensor) -> Tensor:
        return self.energy.part_energy(states.reshape(-1, *self.energy.event_shape))

    def written(self, state: Sequence[int]) -> str:
        """The numbers of the elements, from 1, as often as they are there; else the values."""
        if self.total is None:
            return f"({', '.join(map(str, state))})"
        there = [str(site + 1) for site, count in enumerate(state) for _ in range(count)]
        return f"{{{', '.join(there)}}}"

    @property
    def num_states(self) -> int:
        if self.total is None:
            return int(self.num_values**self.sites)
        counts = [1] + [0] * self.total
        for _ in range(self.sites):  # of how many multisets there are of each size
            most = self.num_values - 1
            counts = [sum(counts[max(size - most, 0) : size + 1]) for size in range(len(counts))]
        return sum(counts)


class Filling(Environment):
    """Sites are given values one at a time, from left to right or in any order; −1 is none yet.

    The energy of a part is that of one-hot positions with nothing at empty sites, which leaves out
    of a sum of factors all that touch one.
    """

    empty = -1.0

    def __init__(self, energy: DiscreteEnergy, any_order: bool) -> None:
        super().__init__(energy)
        self.any_order = any_order
        self.actions, self.longest = self.sites * self.num_values, self.sites

    def possible(self, states: Tensor) -> Tensor:
        free = states < 0
        if not self.any_order:
            free = free & (free.cumsum(-1) == 1)
        return free.repeat_interleave(self.num_values, -1)

    def undoable(self, states: Tensor) -> Tensor:
        full = states >= 0
        if self.any_order:
            return full
        return full & (full.cumsum(-1) == full.sum(-1, keepdim=True))

    def site(self, actions: Tensor) -> Tensor:
        return actions // self.num_values

    def stops(self, actions: Tensor) -> Tensor:
        return torch.zeros_like(actions, dtype=torch.bool)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        site, value = self.site(actions), actions % self.num_values
        return states.scatter(-1, site[..., None], value[..., None].to(states.dtype))

    def complete(self, states: Tensor) -> Tensor:
        return (states >= 0).all(-1)

    def part_energy(self, states: Tensor) -> Tensor:
        x = states.reshape(-1, *self.energy.event_shape)
        return self.energy.relaxed(one_hot(x, self.num_values)) - self.energy.offset

    def written(self, state: Sequence[int]) -> str:
        """The values, and a dot for each that is not there yet."""
        between = "" if self.num_values <= 10 else " "
        return between.join("·" if value < 0 else str(value) for value in state)

    @property
    def num_states(self) -> int:
        if self.any_order:
            return int((self.num_values + 1) ** self.sites)
        return int(self.num_values ** (self.sites + 1))


def environment_of(energy: DiscreteEnergy, building: Building) -> Environment:
    """Environment that builds the events of an energy in one of the ways there are."""
    if building == "raise":
        return Raising(energy)
    return Filling(energy, any_order=building == "any_order")
