"""Samplers, one file each, and what they share: the type of a sampler's field, and running one.

`AnySampler` is the type of a Config field that holds any sampler found in this folder;
`ChainSampler` that of one whose chains can serve in training: each on its own, staying at the
target. Both are made when first asked for, so that a sampler's file can import this
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from backend.config import KindConfig, tagged_union
from backend.energy import Energy
from backend.sampler import Info, Sampler, State
from backend.system import discovery

if TYPE_CHECKING:
    from backend.data import Data

    AnySampler = KindConfig
    ChainSampler = KindConfig


DEFAULT_STEP_SIZE = 0.005
"""Langevin step, in squared data sd, for methods that have no sampler."""


def __getattr__(name: str) -> Any:
    # of these two alone: a sampler's file that imports another asks for that by this, too
    if name == "AnySampler":
        return tagged_union([cls.Config for cls in discovery.samplers().values()])
    if name == "ChainSampler":
        configs = [cls.Config for cls in discovery.samplers().values() if _serves(cls)]
        return tagged_union(configs)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _serves(cls: type[Sampler]) -> bool:
    return not (cls.anneals or cls.population)


def build(config: KindConfig) -> Sampler:
    """The sampler of a Config.

    >>> from backend.samplers.langevin import LangevinConfig
    >>> build(LangevinConfig(step_size=0.01)).exact
    False
    """
    return kind_of(config)(config)


def kind_of(config: KindConfig) -> type[Sampler]:
    """The class of sampler that a Config is of."""
    sampler_class: type[Sampler] = discovery.samplers()[config.kind]
    return sampler_class


def default_sampler(data: Data) -> Sampler:
    """The sampler of methods that have none: unadjusted Langevin at T = 1 with a small step, or
    Gibbs sampling, a sweep a step, where events are discrete."""
    known = discovery.samplers()
    cls: type[Sampler] = known["langevin" if data.num_values is None else "gibbs"]
    if data.num_values is not None:
        return cls(cls.Config(sites=0))  # type: ignore[call-arg]
    return cls(cls.Config(step_size=DEFAULT_STEP_SIZE))  # type: ignore[call-arg]


class Walk(NamedTuple):
    """Record of what `run` did."""

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


class Pass:
    """Draws of the last finished pass of a sampler that anneals: those on the way are none."""

    def __init__(self, position: Tensor) -> None:
        self.position = position.clone()
        self.log_weights = torch.zeros_like(position.flatten(1)[:, 0])
        self.ended = torch.zeros((), dtype=torch.bool, device=position.device)
        """0-d, whether any pass has come to its end"""

    def take(self, position: Tensor, info: Info) -> None:
        """Look at one step: positions (chains, *event_shape) and what the step said."""
        assert info.complete is not None
        weights = info.log_weights
        if weights is None:
            weights = torch.zeros_like(self.log_weights)
        self.position = torch.where(info.complete, position, self.position)
        self.log_weights = torch.where(
            info.complete, weights.to(self.log_weights), self.log_weights
        )
        self.ended = self.ended | info.complete

    def drawn(self, num: int, generator: torch.Generator) -> Tensor:
        """`num` of the draws, each as often as its weight says, (num, *event_shape)."""
        shares = torch.softmax(self.log_weights.double(), 0)
        return self.position[torch.multinomial(shares, num, True, generator=generator)]


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
    positions_so_far: list[Tensor] = []
    for index in range(num_steps):
        before = state
        state, info = sampler.step(state, energy, generator)
        evaluations += info.gradient_evaluations
        if sampler.exact:
            rates.append(info.acceptance_rate.mean())
        if record_every and (index + 1) % record_every == 0:
            positions_so_far.append(state.position)
    rate = torch.stack(rates).mean() if rates else state.energy.new_ones(())
    positions = torch.stack(positions_so_far) if positions_so_far else None
    return Walk(state, before, info, rate, positions, evaluations)


class Moved(NamedTuple):
    """Ends of chains."""

    position: Tensor
    acceptance_rate: Tensor
    """0-d, the mean over chains and steps"""
    gradient_evaluations: int


def moved(
    sampler: Sampler, start: Tensor, energy: Energy, generator: torch.Generator, num_steps: int
) -> Moved:
    """The ends of what `run` does from positions (chains, *event_shape), draw for draw, without the
    energies and gradients there where the sampler can do without them."""
    position, evaluations = start.detach(), 0
    for _ in range(num_steps):
        redrawn = sampler.redrawn(position, energy, generator)
        if redrawn is None:
            walk = run(sampler, start, energy, generator, num_steps)
            return Moved(walk.state.position, walk.acceptance_rate, walk.gradient_evaluations)
        position, of_step = redrawn
        evaluations += of_step
    return Moved(position, position.new_ones(()), evaluations)


__all__ = [
    "AnySampler",
    "ChainSampler",
    "Moved",
    "Pass",
    "Walk",
    "build",
    "kind_of",
    "moved",
    "run",
]
