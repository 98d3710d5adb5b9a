"""The exact law of what policies build, by passing probability through the graph of states."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from backend.energies.discrete import MOST_STATES
from backend.generative_flows.environments import Environment

CHUNK = 16_384
"""States that the policies are asked of at once."""


class Layer(NamedTuple):
    """The states that take equally many steps, and where their actions lead."""

    states: Tensor
    """(num, sites)"""
    before: Tensor
    """(edges,) int64: rows of `states` that a possible action leads out of"""
    action: Tensor
    """(edges,) int64"""
    after: Tensor
    """(edges,) int64: rows of the next layer's states, or of the events"""
    ends: Tensor
    """(edges,) bool: whether it ends there"""


class Graph:
    """All states of an environment in layers, all its events, and their rewards."""

    def __init__(self, environment: Environment, device: torch.device) -> None:
        self.environment = environment
        layers, ended = [], []
        states = environment.start(1, device)
        while len(states):
            before, action = environment.possible(states).nonzero(as_tuple=True)
            led_to = environment.step(states[before], action)
            ends = environment.stops(action) | environment.complete(led_to)
            ended.append(led_to[ends])
            following, inverse = _distinct(environment, led_to[~ends])
            after = torch.zeros_like(before)
            after[~ends] = inverse
            layers.append(Layer(states, before, action, after, ends))
            states = following
        self.events, place = _distinct(environment, torch.cat(ended))
        """(num_events, sites)"""
        for layer, part in zip(layers, place.split([len(x) for x in ended]), strict=True):
            layer.after[layer.ends] = part
        self.layers = layers
        with torch.no_grad():
            parts = self.events.double().split(CHUNK)
            log_reward = torch.cat([environment.log_reward(part) for part in parts])
        self.log_z = float(log_reward.logsumexp(0))
        self.log_reward = log_reward.cpu()
        """(num_events,) float64"""
        self.probabilities = (self.log_reward - self.log_z).exp()
        """(num_events,) float64, R/Z"""
        self._keys = environment.key(self.events)

    @torch.no_grad()
    def law(self, log_policy: Callable[[Tensor], Tensor]) -> Tensor:
        """P(event) of the events, (num_events,) float64 on the CPU, where `log_policy` gives log
        P_F (num, actions) of states (num, sites)."""
        reached = torch.ones(1, dtype=torch.float64, device=self.events.device)
        stopped = reached.new_zeros(len(self.events))
        for index, layer in enumerate(self.layers):
            chunks = [log_policy(part).double().exp() for part in layer.states.split(CHUNK)]
            flow = reached[layer.before] * torch.cat(chunks)[layer.before, layer.action]
            stopped.index_add_(0, layer.after[layer.ends], flow[layer.ends])
            last = index + 1 == len(self.layers)
            reached = reached.new_zeros(0 if last else len(self.layers[index + 1].states))
            reached.index_add_(0, layer.after[~layer.ends], flow[~layer.ends])
        return stopped.cpu()

    def distance_of(self, events: Tensor) -> float:
        """Σ |share − R/Z| of how often each event is among events (num, sites)."""
        rows = torch.searchsorted(self._keys, self.environment.key(events)).cpu()
        counts = torch.bincount(rows, minlength=len(self.events))
        return float((counts / len(rows) - self.probabilities).abs().sum())

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Events (num, sites) drawn exactly from R/Z."""
        chances = self.probabilities.to(generator.device)
        return self.events[torch.multinomial(chances, num, True, generator=generator)]


@functools.lru_cache(maxsize=4)
def graph_of(environment: Environment, device: torch.device) -> Graph | None:
    """The graph; None where it has too many states to list, or to number. Made once."""
    many = environment.num_states > MOST_STATES
    if many or (environment.num_values + 1) ** environment.sites >= 2**63:
        return None
    return Graph(environment, device)


def _distinct(environment: Environment, states: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct states in the order of their keys, and which of them each one is."""
    keys, inverse = environment.key(states).unique(return_inverse=True)
    first = torch.empty(len(keys), dtype=torch.int64, device=states.device)
    first[inverse] = torch.arange(len(states), device=states.device)
    return states[first], inverse
