"""Discrete Langevin: every site may change at once, with and without a Metropolis test."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy
from backend.sampler import Info, State, temperature_option
from backend.samplers.discrete import (
    DiscreteSampler,
    Outcome,
    always,
    discrete,
    drawn,
    held,
    metropolis,
    rises,
    told,
    uniform,
)

TARGET = 0.65
"""Acceptance rate that the step size is tuned to."""
STEP_SIZES = (1e-3, 10.0)
"""Bounds of the step size in tuning. Beyond, 1/(2a) is next to nothing beside the gradient."""


def _change_without_gradient(step_size: float) -> str:
    chance = 1 / (1 + math.exp(min(1 / (2 * step_size), 700)))
    return f"Where the gradient is flat a bit flips with probability {chance:.2g}."


class DiscreteLangevinConfig(KindConfig):
    kind: Literal["discrete_langevin"] = "discrete_langevin"
    title: ClassVar[str] = "Discrete Langevin, unadjusted"
    summary: ClassVar[str] = "All sites at once by one gradient; cheap, biased by its step size."

    step_size: float = option(
        0.2,
        "How readily sites change, a in exp(−d/2 − 1/(2a)).",
        gt=0,
        le=1000,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        return {"step_size": _change_without_gradient(self.step_size)}


class DiscreteMALAConfig(KindConfig):
    kind: Literal["discrete_mala"] = "discrete_mala"
    title: ClassVar[str] = "Discrete MALA"
    summary: ClassVar[str] = "Discrete Langevin, each step accepted or rejected: exact."

    step_size: float = option(
        0.2,
        "How readily sites change, a in exp(−d/2 − 1/(2a)).",
        gt=0,
        le=1000,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    adapt: bool = option(
        True, "Tunes the step size in the warm-up, where there is one.", group="Sampler"
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        sentences = {"step_size": _change_without_gradient(self.step_size)}
        if self.adapt:
            sentences["adapt"] = f"Towards {TARGET:.0%} of proposals accepted."
        return sentences


class DiscreteLangevin(DiscreteSampler):
    """Every site apart takes value v with probability ∝ exp(-d_v/2 - [v ≠ x_i]/(2a)).

    d_v = (∂E/∂o_iv - ∂E/∂o_ix_i)/T with one-hot positions o: two values are at distance 1, whatever
    they are. Sites that change together do not know of each other, and even of independent bits
    the law is bent: with log odds Δ a bit is 1 in σ(Δ/2 - 1/2a) against σ(-Δ/2 - 1/2a). One
    gradient a step. Zhang, Liu & Liu 2022 (DULA).
    """

    Config: ClassVar[type[KindConfig]] = DiscreteLangevinConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = "Sites change together as if alone, the more of them the larger the step."
    references: ClassVar[str] = "Zhang, Liu & Liu 2022"
    config: DiscreteLangevinConfig

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        draws = _draws(state, generator)
        outcome = self.fused(
            _moved, energy, *state[:3], draws, self.config.step_size, self.temperature
        )
        return told(state, outcome, 1)


class DiscreteMALA(DiscreteSampler):
    """The proposal of DiscreteLangevin, taken with min(1, e^{(E(x)-E(y))/T} q(x|y)/q(y|x)).

    Exact at any step size a, which is carried in `extra["step_size"]` and tuned in the warm-up:
    log a ← log a + (t+1)^-0.6 (acceptance rate - 0.65). One gradient a step. Zhang, Liu & Liu 2022
    (DMALA).
    """

    Config: ClassVar[type[KindConfig]] = DiscreteMALAConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Zhang, Liu & Liu 2022"
    config: DiscreteMALAConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        step_size = torch.full((), self.config.step_size, device=position.device)
        return state.carrying(step_size=step_size)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        draws = _draws(state, generator)
        chance = uniform((len(state.position),), state.energy, generator)
        outcome = self.fused(
            _tested, energy, *state[:3], draws, chance, state.extra["step_size"], self.temperature
        )
        return told(state, outcome, 1)

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        if not self.config.adapt:
            return state
        step_size = state.extra["step_size"]
        excess = (info.acceptance_rate.mean() - TARGET).to(step_size.dtype)
        tuned = step_size * ((index + 1) ** -0.6 * excess).exp()
        return state.carrying(step_size=tuned.clamp(*STEP_SIZES))


def _draws(state: State, generator: torch.Generator) -> Tensor:
    return uniform(state.position.flatten(1).shape, state.gradient, generator)


def _moved(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    draws: Tensor,
    step_size: float,
    temperature: float,
) -> Outcome:
    logits = _logits(x, gradient, step_size, temperature)
    return always(discrete(energy), drawn(logits, draws).to(x.dtype).reshape(x.shape))


def _tested(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    draws: Tensor,
    chance: Tensor,
    step_size: Tensor,
    temperature: float,
) -> Outcome:
    forth = _logits(x, gradient, step_size, temperature)
    y = drawn(forth, draws).to(x.dtype).reshape(x.shape)
    proposed = State(y, *discrete(energy).value_and_gradient(y))
    back = _logits(y, proposed.gradient, step_size, temperature)
    log_rate = (
        (value - proposed.energy) / temperature + _log_product(back, x) - _log_product(forth, y)
    )
    return metropolis(State(x, value, gradient), proposed, log_rate, chance)


def _logits(x: Tensor, gradient: Tensor, step_size: Tensor | float, temperature: float) -> Tensor:
    """(chains, sites, q): logits of each site's next value."""
    rise = rises(x, gradient)
    other = (~held(x, rise)).to(rise.dtype)
    return -0.5 / temperature * rise - other * (0.5 / step_size)


def _log_product(logits: Tensor, y: Tensor) -> Tensor:
    """log Π_i q(y_i), (chains,)."""
    chosen = logits.gather(2, y.flatten(1).long().unsqueeze(2)).squeeze(2)
    return (chosen - logits.logsumexp(2)).sum(1)
