"""Sampler: a Markov kernel that leaves exp(-E/T) in place, exactly or nearly so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.config import KindConfig
from backend.energy import Energy, energy_and_gradient


class State(NamedTuple):
    """Where a batch of chains stands; the gradient is carried so that no step pays for it twice."""

    position: Tensor
    """(chains, *event_shape)"""
    energy: Tensor
    """(chains,)"""
    gradient: Tensor
    """like position"""


class Info(NamedTuple):
    """What one step did."""

    acceptance_rate: Tensor
    """(chains,) probability of acceptance; 1 for samplers that never reject"""
    accepted: Tensor
    """(chains,) bool"""
    proposal: Tensor
    """(chains, *event_shape), where the step would have gone"""
    gradient_evaluations: int
    """evaluations of ∇E this step cost, each over the whole batch"""


class Sampler(ABC):
    """Base of every sampler. A file in `backend/samplers/` with one subclass adds a sampler."""

    Config: ClassVar[type[KindConfig]]
    exact: ClassVar[bool]
    """True when Metropolis-corrected: no bias at any step size."""
    references: ClassVar[str] = ""

    def __init__(self, config: Any) -> None:
        self.config = config

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """The state at `position` (chains, *event_shape). Costs one gradient evaluation."""
        position = position.detach()
        return State(position, *energy_and_gradient(energy, position))

    @abstractmethod
    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        """One step of every chain. Never copies to the host."""


def per_chain(value: Tensor, like: Tensor) -> Tensor:
    """A (chains,) tensor shaped to broadcast over positions (chains, *event_shape)."""
    return value.reshape(-1, *[1] * (like.dim() - 1))
