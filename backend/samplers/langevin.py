"""Unadjusted Langevin."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.compilation.row_blocks import by_rows
from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State


class LangevinConfig(KindConfig):
    kind: Literal["langevin"] = "langevin"
    title: ClassVar[str] = "Langevin, unadjusted"
    summary: ClassVar[str] = "Gradient steps with noise; cheap, and biased by its step size."

    step_size: float = option(
        0.005,
        "How far a step follows the gradient, a in x − a E′.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    noise_scale: float = option(
        1.0,
        "Noise of a step over the √(2a) that samples exp(−E) itself; 1 is true Langevin.",
        gt=0,
        le=100,
        log=True,
        group="Sampler",
        turnable=True,
    )
    gradient_clip: float = option(
        0.0,
        "Largest size of any one element of the gradient; 0 leaves the gradient as it is.",
        unit="nats / data sd",
        ge=0,
        le=1e6,
        group="Sampler",
        turnable=True,
    )

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one step, in data sd."""
        return self.noise_scale * math.sqrt(2 * self.step_size)

    def derived(self) -> dict[str, str]:
        temperature = self.noise_scale**2
        samples = "exp(−E)" if temperature == 1 else f"exp(−E/{temperature:.3g})"
        sentences = {
            "step_size": f"One step adds noise of {self.noise_sd:.3g} data sd to every coordinate.",
            "noise_scale": f"Effective temperature {temperature:.3g}: samples follow {samples}.",
        }
        if self.gradient_clip:
            sentences["gradient_clip"] = (
                f"No step drifts further than {self.step_size * self.gradient_clip:.3g} data sd in "
                "a coordinate; where the clip bites, samples no longer follow the energy."
            )
        return sentences


class Langevin(Sampler):
    """x ← x − a ∇E(x) + noise_scale √(2a) ξ, ξ ~ N(0, I).

    Samples exp(−E/T) at T = noise_scale², with a bias that grows with the step size a: on a
    Gaussian of precision λ and T = 1 its variance is 1 / (λ (1 − aλ/2)), and it diverges for
    aλ ≥ 2. One gradient a step. Nothing is rejected. Roberts & Tweedie 1996.
    """

    Config: ClassVar[type[KindConfig]] = LangevinConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = "Its draws are spread too wide, the more so the larger the step."
    references: ClassVar[str] = "Roberts & Tweedie 1996"
    config: LangevinConfig

    @property
    def temperature(self) -> float:
        """T of the exp(−E/T) that a small step samples."""
        return self.config.noise_scale**2

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, position = self.config, state.position
        gradient = state.gradient
        if config.gradient_clip:
            gradient = gradient.clamp(-config.gradient_clip, config.gradient_clip)
        after = self.fused(
            _moved,
            energy,
            position,
            gradient,
            normal(position, generator),
            config.step_size,
            config.noise_sd,
        )
        return after, moved_info(after.position)


@by_rows(3)
def _moved(
    energy: Energy, x: Tensor, gradient: Tensor, noise: Tensor, step_size: float, noise_sd: float
) -> State:
    moved = x - step_size * gradient + noise_sd * noise
    return State(moved, *energy_and_gradient(energy, moved))


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise shaped like positions (chains, *event_shape)."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def moved_info(moved: Tensor) -> Info:
    """Record of a step that never rejects, for one gradient: it went to `moved`."""
    rate = moved.new_ones(()).expand(len(moved))
    return Info(rate, rate.bool(), moved, 1)
