"""Annealed Langevin: unadjusted steps along a path from a wide Gaussian to the target."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.annealing import Path, Schedule, level_beta, normal, propose


class AnnealedLangevinConfig(KindConfig):
    kind: Literal["annealed_langevin"] = "annealed_langevin"
    title: ClassVar[str] = "Annealed Langevin"
    summary: ClassVar[str] = (
        "Langevin steps from a wide Gaussian, level by level, to the target: finds every mode."
    )

    num_levels: int = option(
        100, "Levels from the base law to the target.", ge=1, le=10_000, main=True, group="Sampler"
    )
    num_steps_per_level: int = option(
        4, "Langevin steps at each level.", ge=1, le=10_000, main=True, group="Sampler"
    )
    schedule: Schedule = option("geometric", "How the levels are spaced.", group="Sampler")
    base_scale: float = option(
        2.0,
        "Standard deviation of the Gaussian a pass starts from; wider than the target.",
        unit="data sd",
        gt=0,
        le=1000,
        log=True,
        group="Sampler",
    )
    step_size: float = option(
        0.005,
        "How far a step follows the gradient at the target, a in x − a E′; longer where "
        "the path is wider.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    temperature: float = temperature_option()

    @property
    def path(self) -> Path:
        """From N(0, base_scale²) to exp(−E/T)."""
        return Path(self.temperature, self.base_scale**-2)

    @property
    def num_steps(self) -> int:
        """Steps of a pass."""
        return self.num_levels * self.num_steps_per_level

    def derived(self) -> dict[str, str]:
        wide = self.step_size * self.base_scale**2
        return {
            "num_levels": f"A pass takes {self.num_steps} steps, and one more to begin anew.",
            "step_size": f"From {wide:.3g} at the base law to "
            f"{self.step_size * self.temperature:.3g} at the target, in −log p.",
        }


class AnnealedLangevin(Sampler):
    """x ← x − a_k ∇U_k(x) + √(2a_k) ξ, U_k = β_k E/T + (1−β_k) |x|²/2s², β_k from above 0 to 1.

    Several steps at each level, a_k in proportion to 1/(β_k/T + (1−β_k)/s²). A pass begins with
    draws of N(0, s² I) and is complete after the last step at β = 1; the next step begins another,
    so that passes are independent sets of draws. Nothing is rejected, one gradient a step. The
    weights of far modes are those of the level at which they part, and each level has Langevin's
    own bias. The score of noised data, which the original follows, is not known of a general
    energy: this goes along the geometric path. `init` takes the shape of the positions it is
    given, not where they are. After Song & Ermon 2019.
    """

    Config: ClassVar[type[KindConfig]] = AnnealedLangevinConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "A pass of finite length leaves modes with the weights of warmer levels, and every step is "
        "too wide, as Langevin's is."
    )
    references: ClassVar[str] = "Song & Ermon 2019; Neal 2001"
    anneals: ClassVar[bool] = True
    config: AnnealedLangevinConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """A pass at its start. `extra`: index (0-d, int) of the step in the pass."""
        x = self.config.path.draw(position.detach(), generator)
        index = torch.zeros((), dtype=torch.int64, device=x.device)
        return State(x, *energy_and_gradient(energy, x), {"index": index})

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, path = self.config, self.config.path
        index = state.extra["index"]
        restart = index >= config.num_steps
        index = torch.where(restart, 0, index + 1)
        per_level = config.num_steps_per_level
        level = (index + per_level - 1).div(per_level, rounding_mode="floor")
        beta = level_beta(level, config.num_levels, config.schedule)
        step_size = path.step_size(config.step_size, beta)
        noise = normal(state.position, generator)
        after, _ = propose(self, state, energy, noise, path, beta, step_size, restart=restart)
        rate = torch.ones(len(noise), device=noise.device, dtype=noise.dtype)
        info = Info(
            rate,
            torch.ones_like(rate, dtype=torch.bool),
            after.position,
            1,
            {"beta": beta},
            complete=index == config.num_steps,
        )
        return after.carrying(index=index), info
