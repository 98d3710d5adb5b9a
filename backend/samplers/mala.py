"""MALA: Langevin with a Metropolis correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.compilation.row_blocks import by_rows
from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, per_chain, temperature_option
from backend.samplers.langevin import normal
from backend.samplers.tuning import ADAPT_ABOUT, robbins_monro, step_extra

TARGET_RATE = 0.574
"""The acceptance at which MALA moves furthest. Roberts & Rosenthal 1998."""


class MALAConfig(KindConfig):
    kind: Literal["mala"] = "mala"
    title: ClassVar[str] = "MALA"
    summary: ClassVar[str] = "Langevin steps, each accepted or rejected: exact at any step size."

    step_size: float = option(
        0.02,
        "How far a proposal follows the gradient, a in x − a E′.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    temperature: float = temperature_option()
    adapt: bool = option(
        True,
        "Tunes the step size to 57 % acceptance in the warm-up, where there is one.",
        group="Sampler",
    )

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one proposal, in data sd."""
        return math.sqrt(2 * self.step_size * self.temperature)

    def derived(self) -> dict[str, str]:
        return {
            "step_size": f"One proposal adds noise of {self.noise_sd:.3g} data sd to every "
            "coordinate. About 57 % of proposals should be accepted: a smaller step accepts more.",
            "adapt": ADAPT_ABOUT,
        }


class MALA(Sampler):
    """y = x − a ∇E(x) + √(2aT) ξ, taken with probability min(1, e^{(E(x)−E(y))/T} q(x|y)/q(y|x)).

    q(y|x) is the density of the proposal, so exp(−E/T) is left in place exactly. One gradient a
    step. Proposals that are not finite are rejected. a is `extra["step_size"]`, one for all chains;
    warm-up tunes it to a mean acceptance of 0.574. Roberts & Tweedie 1996.
    """

    Config: ClassVar[type[KindConfig]] = MALAConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Roberts & Tweedie 1996; Roberts & Rosenthal 1998"
    config: MALAConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        return state.carrying(**step_extra(position, self.config.step_size))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        return langevin_proposal(self, state, energy, generator, 1.0)

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        if not self.config.adapt:
            return state
        return robbins_monro(state, info.acceptance_rate, index, num_warm_up, TARGET_RATE)


def langevin_proposal(
    sampler: Sampler,
    state: State,
    energy: Energy,
    generator: torch.Generator,
    scale: Tensor | float,
) -> tuple[State, Info]:
    """One Langevin proposal of every chain with its Metropolis correction.

    y = x − a s² ∇E(x) + √(2aT) s ξ, s = `scale` (*event_shape) or a number.
    """
    x = state.position
    noise = normal(x, generator)
    uniform = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
    *after, rate, accepted, y = sampler.fused(
        _stepped,
        energy,
        x,
        state.energy,
        state.gradient,
        noise,
        uniform,
        state.extra["step_size"],
        scale,
        sampler.temperature,
    )
    return _after(state, after), Info(rate, accepted, y, 1)


@by_rows(5)
def _stepped(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    noise: Tensor,
    uniform: Tensor,
    step_size: Tensor | float,
    scale: Tensor | float,
    temperature: float,
) -> tuple[Tensor, ...]:
    """Position, energy and gradient after, the rate, whether accepted, and the proposal."""
    noise_sd = (2 * step_size * temperature) ** 0.5
    y = x + scale * (noise_sd * noise - step_size * scale * gradient)
    value_there, gradient_there = energy_and_gradient(energy, y)
    # (x − y + a s² ∇E(y)) / (√(2aT) s): what the noise would have to be to come back.
    back = step_size * scale * (gradient + gradient_there) / noise_sd - noise
    squares = (back.square() - noise.square()).flatten(1).sum(1)
    log_rate = (value - value_there) / temperature - 0.5 * squares
    here, there = (x, value, gradient), (y, value_there, gradient_there)
    return *_chosen(here, there, log_rate, uniform), y


Parts = tuple[Tensor, Tensor, Tensor]


def _chosen(
    here: Parts, there: Parts, log_rate: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Position, energy, gradient after, the rate, and whether the proposal was taken."""
    rate = log_rate.clamp(max=0).exp().nan_to_num(0.0)
    accepted = uniform < rate
    wide = per_chain(accepted, there[0])
    return (
        torch.where(wide, there[0], here[0]),
        torch.where(accepted, there[1], here[1]),
        torch.where(wide, there[2], here[2]),
        rate,
        accepted,
    )


def metropolis(
    state: State,
    proposed: State,
    log_rate: Tensor,
    uniform: Tensor,
    gradient_evaluations: int,
) -> tuple[State, Info]:
    """Take each chain's proposal with probability min(1, exp(log_rate)), all (chains,).

    `uniform` in [0, 1) decides. A rate that is not a number, as of a proposal that ran away,
    counts as 0. What else the state carries is kept.
    """
    *after, rate, accepted = _chosen(state[:3], proposed[:3], log_rate, uniform)
    info = Info(rate, accepted, proposed.position, gradient_evaluations)
    return _after(state, after), info


def _after(state: State, parts: Sequence[Tensor]) -> State:
    position, energy, gradient = parts
    return State(position, energy, gradient, state.extra)
