"""Metropolis on discrete events: blind proposals, each accepted or rejected."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy
from backend.sampler import Info, State, temperature_option
from backend.samplers.discrete import (
    DiscreteSampler,
    Outcome,
    discrete,
    metropolis,
    told,
    uniform,
)


class DiscreteMetropolisConfig(KindConfig):
    kind: Literal["discrete_metropolis"] = "discrete_metropolis"
    title: ClassVar[str] = "Metropolis, blind"
    summary: ClassVar[str] = (
        "Changes or swaps sites at random, each accepted or rejected: exact. Of sets and bags it "
        "moves one thing at a time."
    )

    sites: int = option(
        1,
        "Most sites that a proposal changes; how many is drawn evenly from 1 to this. Of sets and "
        "bags one thing moves, whatever this is.",
        ge=1,
        le=65_536,
        main=True,
        group="Sampler",
    )
    swap_share: float = option(
        0.0,
        "Share of proposals that swap the values of two sites instead, which keeps how often "
        "each value occurs. No effect on sets and bags.",
        ge=0,
        le=0.95,
        group="Sampler",
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        return {
            "sites": f"A proposal that swaps nothing changes {(1 + self.sites) / 2:.3g} sites on "
            "average, fewer where the event has fewer."
        }


class DiscreteMetropolis(DiscreteSampler):
    """y from a blind, symmetric proposal, taken with probability min(1, e^{(E(x)-E(y))/T}).

    m ~ U{1..sites} different sites each take another value, any of them equally likely; or, with
    probability `swap_share`, the values of two sites are swapped. Swaps alone would never leave the
    events of the same counts of values, so their share stays below 1 and the mixture reaches every
    event. The number is drawn, since always flipping two bits would keep their parity. One
    evaluation a step.

    Where every event of the energy has the same sum, a proposal moves one unit instead: from a site
    that has any to another that has room, both drawn evenly, and the test makes up for there being
    more or fewer of them afterwards. Of sets that is a swap of one element for another.
    Metropolis et al. 1953; Kawasaki 1966.
    """

    Config: ClassVar[type[KindConfig]] = DiscreteMetropolisConfig
    exact: ClassVar[bool] = True
    moves_units: ClassVar[bool] = True
    references: ClassVar[str] = "Metropolis et al. 1953; Kawasaki 1966"
    config: DiscreteMetropolisConfig

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        target, x = discrete(energy), state.position
        chains, sites = len(x), target.num_sites
        if target.total is not None:
            races = uniform((2, chains, sites), x, generator)
            chance = uniform((chains,), state.energy, generator)
            outcome = self.fused(_unit_moved, energy, *state[:3], *races, chance, self.temperature)
            return told(state, outcome, 1)
        scores = uniform((chains, sites), x, generator)
        most = min(self.config.sites, sites)
        sizes = torch.randint(1, most + 1, (chains,), generator=generator, device=x.device)
        shape = (chains, sites)
        shifts = torch.randint(
            1, target.num_values, shape, generator=generator, device=x.device
        ).to(x.dtype)
        swaps = uniform((chains,), x, generator) < self.config.swap_share
        chance = uniform((chains,), state.energy, generator)
        outcome = self.fused(
            _stepped, energy, *state[:3], scores, sizes, shifts, swaps, chance, self.temperature
        )
        return told(state, outcome, 1)


def _stepped(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    scores: Tensor,
    sizes: Tensor,
    shifts: Tensor,
    swaps: Tensor,
    chance: Tensor,
    temperature: float,
) -> Outcome:
    target, flat = discrete(energy), x.flatten(1)
    order = scores.argsort(1)
    rank = order.argsort(1)
    changed = torch.where(rank < sizes[:, None], (flat + shifts).remainder(target.num_values), flat)
    pair = order[:, :2]
    swapped = flat.scatter(1, pair, flat.gather(1, pair.flip(1)))
    y = torch.where(swaps[:, None], swapped, changed).reshape(x.shape)
    proposed = State(y, *target.value_and_gradient(y))
    log_rate = (value - proposed.energy) / temperature
    return metropolis(State(x, value, gradient), proposed, log_rate, chance)


def _unit_moved(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    giving: Tensor,
    taking: Tensor,
    chance: Tensor,
    temperature: float,
) -> Outcome:
    """One unit moved from an even choice among sites that have one to one among those with room."""
    target, flat = discrete(energy), x.flatten(1)
    most = target.num_values - 1
    giver = giving.masked_fill(flat <= 0, -1.0).argmax(1, keepdim=True)
    room = (flat < most).scatter(1, giver, False)
    taker = taking.masked_fill(~room, -1.0).argmax(1, keepdim=True)
    moved = torch.ones_like(giver, dtype=flat.dtype)
    y = flat.scatter_add(1, giver, -moved).scatter_add(1, taker, moved)
    room_back = (y < most).scatter(1, taker, False)
    ways = (flat > 0).sum(1) * room.sum(1)
    ways_back = (y > 0).sum(1) * room_back.sum(1)
    y = y.reshape(x.shape)
    proposed = State(y, *target.value_and_gradient(y))
    log_rate = (value - proposed.energy) / temperature + ways.log() - ways_back.log()
    return metropolis(State(x, value, gradient), proposed, log_rate, chance)
