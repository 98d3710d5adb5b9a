"""Underdamped Langevin by the BAOAB splitting."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.langevin import moved_info, normal


class UnderdampedConfig(KindConfig):
    kind: Literal["underdamped"] = "underdamped"
    title: ClassVar[str] = "Langevin, underdamped"
    summary: ClassVar[str] = "Langevin with momentum (BAOAB): far for one gradient, little biased."

    step_size: float = option(
        0.2,
        "Length of one step in time, ε; stable below two sd of the narrowest direction.",
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
        "How fast momentum is forgotten, γ in exp(−γ ε).",
        unit="1 / time",
        gt=0,
        le=1e4,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    temperature: float = temperature_option()

    @property
    def kept(self) -> float:
        """Share of the momentum that one step keeps."""
        return math.exp(-self.friction * self.step_size)

    def derived(self) -> dict[str, str]:
        return {
            "friction": f"One step keeps {100 * self.kept:.3g} % of the momentum; it is forgotten "
            f"in about {1 / (self.friction * self.step_size):.3g} steps."
        }


class Underdamped(Sampler):
    """p ← p − (ε/2)∇E(x); x ← x + (ε/2) p; p ← c p + √((1−c²)T) ξ; x ← x + (ε/2) p;
    p ← p − (ε/2)∇E(x), with c = exp(−γ ε).

    Samples exp(−E/T) with a bias of second order in ε. On a Gaussian of precision λ the positions
    have the exact variance T/λ at any ε, and it diverges for ε √λ ≥ 2. One gradient a step. The
    momentum, N(0, T) at first, is `extra["momentum"]`. Leimkuhler & Matthews 2013.
    """

    Config: ClassVar[type[KindConfig]] = UnderdampedConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Where the energy is not quadratic its draws are off, by the square of the step or less."
    )
    references: ClassVar[str] = "Leimkuhler & Matthews 2013"
    config: UnderdampedConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        momentum = math.sqrt(self.temperature) * normal(position, generator)
        return super().init(position, energy, generator).carrying(momentum=momentum)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, x = self.config, state.position
        noise_sd = math.sqrt((1 - config.kept**2) * config.temperature)
        x, value, gradient, momentum = self.fused(
            _baoab,
            energy,
            x,
            state.gradient,
            state.extra["momentum"],
            normal(x, generator),
            config.step_size,
            config.kept,
            noise_sd,
        )
        after = State(x, value, gradient, state.extra).carrying(momentum=momentum)
        return after, moved_info(x)


def _baoab(
    energy: Energy,
    x: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    noise: Tensor,
    step_size: float,
    share: float,
    noise_sd: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position, energy, gradient and momentum after one step."""
    half = 0.5 * step_size
    momentum = momentum - half * gradient
    x = x + half * momentum
    momentum = share * momentum + noise_sd * noise
    x = x + half * momentum
    value, gradient = energy_and_gradient(energy, x)
    return x, value, gradient, momentum - half * gradient
