"""MALA with a scale for each coordinate, learned in warm-up."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig
from backend.energy import Energy
from backend.sampler import Info, State
from backend.samplers.mala import MALA, TARGET_RATE, MALAConfig, langevin_proposal
from backend.samplers.tuning import mass_extra, tuned


class PreconditionedConfig(MALAConfig):
    kind: Literal["preconditioned"] = "preconditioned"  # type: ignore[assignment]
    title: ClassVar[str] = "Langevin, preconditioned"
    summary: ClassVar[str] = "MALA whose steps are as long in each coordinate as the target is."

    def derived(self) -> dict[str, str]:
        adapt = (
            "No effect without a warm-up: then this is MALA. With one, each coordinate's variance "
            "and the step size are tuned."
        )
        return {**super().derived(), "adapt": adapt}


class Preconditioned(MALA):
    """y = x − a D ∇E(x) + √(2aTD) ξ, then Metropolis: exact at any a and any fixed diagonal D.

    D is `extra["inverse_mass"]` (*event_shape), ones at first; warm-up sets it to the variances of
    the chains, pooled over chains and windows, and tunes a to a mean acceptance of 0.574. One
    gradient a step. Roberts & Stramer 2002; Girolami & Calderhead 2011.
    """

    Config: ClassVar[type[KindConfig]] = PreconditionedConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Roberts & Stramer 2002; Girolami & Calderhead 2011"
    config: PreconditionedConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        return state.carrying(**mass_extra(position, self.config.step_size))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        scale = state.extra["inverse_mass"].sqrt()
        return langevin_proposal(self, state, energy, generator, scale)

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        if not self.config.adapt:
            return state
        return tuned(state, info.acceptance_rate, index, num_warm_up, TARGET_RATE)
