"""Stochastic-gradient Hamiltonian Monte Carlo."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, check_minibatch, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.langevin import moved_info, normal
from backend.samplers.sgld import BATCH_ABOUT


class SGHMCConfig(KindConfig):
    kind: Literal["sghmc"] = "sghmc"
    title: ClassVar[str] = "Stochastic-gradient HMC"
    summary: ClassVar[str] = "Momentum with friction, made for gradients that are noisy."

    step_size: float = option(
        0.05,
        "Length of one step in time, ε.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    friction: float = option(
        1.0,
        "How fast momentum is forgotten, C in p − ε C p.",
        unit="1 / time",
        gt=0,
        le=1e4,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    noise_estimate: float = option(
        0.0,
        "Friction that the noise of the gradients amounts to, ε V / 2T for gradients of "
        "variance V; that much less noise is added.",
        unit="1 / time",
        ge=0,
        le=1e4,
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

    @model_validator(mode="after")
    def _stable(self) -> SGHMCConfig:
        if self.friction * self.step_size > 1:
            raise ValueError(
                "`friction` × `step_size` must be at most 1, got "
                f"{self.friction * self.step_size:.3g}."
            )
        if self.noise_estimate > self.friction:
            raise ValueError(
                f"`noise_estimate` must be at most `friction`, {self.friction:.3g}, got "
                f"{self.noise_estimate:.3g}."
            )
        return self

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise that one step adds to the momentum."""
        friction = self.friction - self.noise_estimate
        return math.sqrt(2 * friction * self.step_size * self.temperature)

    def derived(self) -> dict[str, str]:
        share = 1 - self.friction * self.step_size
        sentences = {"friction": f"One step keeps {100 * share:.3g} % of the momentum."}
        if not self.batch_size:
            sentences["batch_size"] = BATCH_ABOUT
        return sentences


class SGHMC(Sampler):
    """x ← x + ε p; p ← (1 − ε C) p − ε ∇Ê(x) + √(2 (C − B̂) ε T) ξ, ∇Ê of a fresh minibatch.

    Samples exp(−E/T) with a bias that grows with ε: with exact gradients, on a Gaussian of
    precision λ, its variance is (T/λ) (1 − B̂/C) / (1 − ε²λ / (2 (2 − ε C))). Gradient noise of
    variance V adds to that as if T were larger by ε V / 2C; B̂ = ε V / 2T makes up for it. One
    gradient a step. `extra["momentum"]` is N(0, T) at first. With `batch_size` > 0 the energy and
    gradient carried are those of the last minibatch, save at the start. Raises BadInput where the
    energy offers no minibatches. Chen et al. 2014.
    """

    Config: ClassVar[type[KindConfig]] = SGHMCConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Its draws are spread too wide, the more so the larger the step and the noisier the "
        "gradients."
    )
    references: ClassVar[str] = "Chen et al. 2014"
    config: SGHMCConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        check_minibatch(energy, self.config.batch_size)
        momentum = math.sqrt(self.temperature) * normal(position, generator)
        return super().init(position, energy, generator).carrying(momentum=momentum)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, noise = self.config, normal(state.position, generator)
        given = (
            state.position,
            state.gradient,
            state.extra["momentum"],
            noise,
            config.step_size,
            config.friction,
            config.noise_sd,
        )
        if config.batch_size:
            # Not through `fused`: the energy is another at every step.
            after = _stepped(energy.minibatch(config.batch_size, generator), *given)
        else:
            after = self.fused(_stepped, energy, *given)
        x, value, gradient, momentum = after
        return State(x, value, gradient, state.extra).carrying(momentum=momentum), moved_info(x)


def _stepped(
    energy: Energy,
    x: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    noise: Tensor,
    step_size: float,
    friction: float,
    noise_sd: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position, energy, gradient and momentum after one step."""
    x = x + step_size * momentum
    value, gradient = energy_and_gradient(energy, x)
    momentum = (1 - step_size * friction) * momentum - step_size * gradient + noise_sd * noise
    return x, value, gradient, momentum
