"""Stochastic-gradient Langevin dynamics."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, check_minibatch, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.langevin import moved_info, normal

BATCH_ABOUT = "No effect on energies that are no sum over data: those are taken whole, with 0."


class SGLDConfig(KindConfig):
    kind: Literal["sgld"] = "sgld"
    title: ClassVar[str] = "Stochastic-gradient Langevin"
    summary: ClassVar[str] = "Langevin on minibatch gradients, its step shrinking if you like."

    step_size: float = option(
        0.005,
        "First step, a in x − a E′.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    decay: float = option(
        0.0,
        "Power γ of the schedule a (1 + t/b)^−γ after t steps; 0 keeps the step as it is.",
        ge=0,
        le=1,
        main=True,
        group="Sampler",
    )
    delay: float = option(
        100.0,
        "Steps b that the schedule waits, about, before it shrinks.",
        unit="steps",
        gt=0,
        le=1e9,
        log=True,
        group="Sampler",
    )
    batch_size: int = option(
        0,
        "Data points of a gradient, for energies that are sums over data; 0 takes all of them.",
        ge=0,
        le=1_000_000,
        main=True,
        group="Sampler",
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        sentences = {}
        if self.decay:
            halved = self.delay * (2 ** (1 / self.decay) - 1)
            sentences["decay"] = f"The step has halved after {halved:,.0f} steps."
        else:
            sentences["delay"] = "No effect while the decay is 0."
        if not self.batch_size:
            sentences["batch_size"] = BATCH_ABOUT
        return sentences


class SGLD(Sampler):
    """x ← x − a_t ∇Ê(x) + √(2 a_t T) ξ, a_t = a (1 + t/b)^−γ, ∇Ê of a fresh minibatch.

    Samples exp(−E/T) with the bias of Langevin at a_t, and one of its own: gradient noise of
    covariance V widens the draws as if T were larger by a_t V / 2. Both vanish as a_t does, which
    for γ in (1/2, 1] still goes anywhere; draws of a run then count by a_t. One gradient a step.
    `extra["num_steps"]` is t. With `batch_size` > 0 the energy and gradient carried are those of
    the last minibatch, save at the start. Raises BadInput where the energy offers no minibatches.
    Welling & Teh 2011.
    """

    Config: ClassVar[type[KindConfig]] = SGLDConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Its draws are spread too wide, the more so the larger the step and the noisier the "
        "gradients."
    )
    references: ClassVar[str] = "Welling & Teh 2011; Teh et al. 2016"
    config: SGLDConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        check_minibatch(energy, self.config.batch_size)
        count = torch.zeros((), dtype=torch.int64, device=position.device)
        return super().init(position, energy, generator).carrying(num_steps=count)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, noise = self.config, normal(state.position, generator)
        count = state.extra["num_steps"]
        given = (
            state.position,
            state.gradient,
            noise,
            count,
            config.step_size,
            config.decay,
            config.delay,
            config.temperature,
        )
        if config.batch_size:
            # Not through `fused`: the energy is another at every step.
            parts = _moved(energy.minibatch(config.batch_size, generator), *given)
        else:
            parts = self.fused(_moved, energy, *given)
        x, value, gradient, step_size = parts
        figures = {"step_size": step_size}
        after = State(x, value, gradient, state.extra).carrying(num_steps=count + 1)
        return after, moved_info(x)._replace(figures=figures)


def _moved(
    energy: Energy,
    x: Tensor,
    gradient: Tensor,
    noise: Tensor,
    num_steps: Tensor,
    step_size: float,
    decay: float,
    delay: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position, energy and gradient after one step, and the size of that step."""
    now = step_size * (1 + num_steps.to(x.dtype) / delay) ** -decay
    x = x - now * gradient + (2 * temperature * now) ** 0.5 * noise
    return x, *energy_and_gradient(energy, x), now
