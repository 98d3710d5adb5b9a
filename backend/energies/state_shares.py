"""Shares of draws in each state, against a law that lists all states."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.energies.discrete import Enumeration, state_index, states_at


class StateShares:
    """Number of draws in every state of a law, on the device; nothing is copied to the host but
    by `l1`."""

    def __init__(self, law: Enumeration, device: torch.device) -> None:
        self.event_shape, self.num_values = law.event_shape, law.num_values
        self.counts = torch.zeros_like(law.probabilities, device=device)
        """(num_states,) float64, by state index"""

    def add(self, x: Tensor) -> None:
        """Count draws x (num, *event_shape)."""
        index = state_index(x, self.num_values)
        # not `bincount`, which asks the device for the largest
        self.counts = self.counts.index_add(0, index, torch.ones_like(index, dtype=torch.float64))

    def l1(self, law: Enumeration) -> float:
        """Σ |share − p| over all states, between 0 and 2; not a number before the first draw."""
        shares = self.counts / self.counts.sum()
        return float((shares - law.probabilities.to(shares)).abs().sum())

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """`num` of the draws (num, *event_shape) float32, each any of them."""
        index = torch.multinomial(self.counts, num, True, generator=generator)
        return states_at(index, self.event_shape, self.num_values)


def l1_of_draws(law: Enumeration, x: Tensor) -> float:
    """Σ |share − p| over all states, of draws x (num, *event_shape).

    Far from 0 even of exact draws where there are as many states as draws: read it beside that of
    as many exact ones.
    """
    shares = StateShares(law, x.device)
    shares.add(x)
    return shares.l1(law)
