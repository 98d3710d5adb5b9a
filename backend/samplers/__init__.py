"""Samplers, one file each, and what they share: the type of a sampler's field, and running one.

`AnySampler` is the type of a Config field that holds any sampler found in this folder;
`ChainSampler` that of one whose chains can serve in training: of real numbers, each on its own,
staying at the target. Both are made when first asked for, so that a sampler's file can import this
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from backend import catalogue
from backend.config import KindConfig, tagged_union
from backend.energy import Energy
from backend.sampler import Info, Sampler, State

if TYPE_CHECKING:
    AnySampler = KindConfig
    ChainSampler = KindConfig


def __getattr__(name: str) -> Any:
    found = catalogue.samplers().values()
    if name == "AnySampler":
        return tagged_union([cls.Config for cls in found])
    if name == "ChainSampler":
        return tagged_union([cls.Config for cls in found if _serves(cls)])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _serves(cls: type[Sampler]) -> bool:
    return not (cls.discrete or cls.anneals or cls.population)


def build(config: KindConfig) -> Sampler:
    """The sampler of a Config.

    >>> from backend.samplers.langevin import LangevinConfig
    >>> build(LangevinConfig(step_size=0.01)).exact
    False
    """
    return kind_of(config)(config)


def kind_of(config: KindConfig) -> type[Sampler]:
    """The class of sampler that a Config is of."""
    found: type[Sampler] = catalogue.samplers()[config.kind]
    return found


class Walk(NamedTuple):
    """What `run` did."""

    state: State
    before: State
    """one step before the end; the same as `state` when no step was made"""
    info: Info | None
    """of the last step"""
    acceptance_rate: Tensor
    """0-d, the mean over chains and steps"""
    positions: Tensor | None
    """(records, chains, *event_shape), every `record_every`-th position; None without records"""
    gradient_evaluations: int
    """evaluations of ∇E, each over the whole batch"""


def run(
    sampler: Sampler,
    start: Tensor | State,
    energy: Energy,
    generator: torch.Generator,
    num_steps: int,
    record_every: int = 0,
) -> Walk:
    """`num_steps` of a sampler from positions (chains, *event_shape) or from an earlier state.

    A state carries its energy and gradient on, so going on from one costs no evaluation twice; it
    must be of the same energy. Nothing is copied to the host.
    """
    evaluations = 0
    if not isinstance(start, State):
        start = sampler.init(start, energy, generator)
        evaluations = 1
    state = before = start
    info: Info | None = None
    rates: list[Tensor] = []
    kept: list[Tensor] = []
    for index in range(num_steps):
        before = state
        state, info = sampler.step(state, energy, generator)
        evaluations += info.gradient_evaluations
        if sampler.exact:
            rates.append(info.acceptance_rate.mean())
        if record_every and (index + 1) % record_every == 0:
            kept.append(state.position)
    rate = torch.stack(rates).mean() if rates else state.energy.new_ones(())
    positions = torch.stack(kept) if kept else None
    return Walk(state, before, info, rate, positions, evaluations)


__all__ = ["AnySampler", "ChainSampler", "Walk", "build", "kind_of", "run"]
