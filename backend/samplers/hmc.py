"""Hamiltonian Monte Carlo with trajectories of jittered length."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.compilation.row_blocks import by_rows
from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.langevin import normal
from backend.samplers.mala import metropolis
from backend.samplers.tuning import ADAPT_ABOUT, mass_extra, tuned

TARGET_RATE = 0.8
"""The acceptance that warm-up tunes to. Hoffman & Gelman 2014; Betancourt et al. 2014."""

MAX_RISE = 1000.0
"""A rise of H above this is called a divergence, in nats."""


class HMCConfig(KindConfig):
    kind: Literal["hmc"] = "hmc"
    title: ClassVar[str] = "Hamiltonian Monte Carlo"
    summary: ClassVar[str] = "Long gliding trajectories, each accepted or rejected: exact, far."

    step_size: float = option(
        0.1,
        "Length of one leapfrog step.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    num_leapfrog: int = option(
        10,
        "Leapfrog steps of a trajectory on average; each costs one gradient.",
        ge=1,
        le=1000,
        main=True,
        group="Sampler",
    )
    temperature: float = temperature_option()
    adapt: bool = option(
        True,
        "Tunes the step size and each coordinate's mass in the warm-up, where there is one.",
        group="Sampler",
    )

    @property
    def length_range(self) -> tuple[int, int]:
        """Fewest and most leapfrog steps of a trajectory: half and one and a half of the mean."""
        return max(1, round(0.5 * self.num_leapfrog)), max(1, round(1.5 * self.num_leapfrog))

    def derived(self) -> dict[str, str]:
        low, high = self.length_range
        return {
            "num_leapfrog": f"Each trajectory takes {low} to {high} leapfrog steps and glides "
            f"{low * self.step_size:.3g} to {high * self.step_size:.3g} data sd.",
            "step_size": "About 80 % of trajectories should be accepted: a smaller step accepts "
            "more.",
            "adapt": ADAPT_ABOUT,
        }


class HMC(Sampler):
    """Momentum p ~ N(0, M), then L leapfrog steps of H(x, p) = E(x)/T + pᵀM⁻¹p/2, then Metropolis.

    p ← p − (ε/2T) ∇E(x); x ← x + ε M⁻¹p; p ← p − (ε/2T) ∇E(x). The end is taken with probability
    min(1, exp(H_start − H_end)); one that runs away is rejected. The length is drawn anew for
    every step, uniformly from half to one and a half of `num_leapfrog` and the same for all chains,
    since a fixed one can come back to its start. One gradient for each leapfrog step.

    ε is `extra["step_size"]` and diagonal M⁻¹ `extra["inverse_mass"]` (*event_shape), ones at
    first; `extra["hamiltonian"]` (chains,) is H at the start. Warm-up tunes ε to a mean acceptance
    of 0.8 and sets M⁻¹ to the variances of the chains. `divergences` counts the chains
    whose H rose by more than 1000. Duane et al. 1987; Neal 2011.
    """

    Config: ClassVar[type[KindConfig]] = HMCConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Duane et al. 1987; Neal 2011; Hoffman & Gelman 2014"
    config: HMCConfig

    @property
    def gradients_a_step(self) -> int:
        return self.config.num_leapfrog

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        extra = mass_extra(position, self.config.step_size)
        return state.carrying(**extra, hamiltonian=torch.zeros_like(state.energy))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        x, temperature = state.position, self.config.temperature
        num_leapfrog = self._length(generator)
        momentum = normal(x, generator)
        uniform = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        before = _hamiltonian(state.energy, momentum, temperature)
        end, momentum = leapfrog(
            state,
            momentum,
            energy,
            state.extra["step_size"],
            num_leapfrog,
            temperature,
            scale=state.extra["inverse_mass"].sqrt(),
            fused=self.fused,
        )
        log_rate = before - _hamiltonian(end.energy, momentum, temperature)
        after, info = metropolis(state, end, log_rate, uniform, num_leapfrog)
        divergences = (~(log_rate > -MAX_RISE)).sum().to(x.dtype)
        after = after.carrying(hamiltonian=before)
        return after, info._replace(figures={"divergences": divergences})

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        if not self.config.adapt:
            return state
        return tuned(state, info.acceptance_rate, index, num_warm_up, TARGET_RATE)

    def _length(self, generator: torch.Generator) -> int:
        """Leapfrog steps of this trajectory: a number the host must know.

        Taken from the generator's state, which lies on the host even for a generator of a GPU, so
        nothing waits for the device. The draws that follow move the state on.
        """
        low, high = self.config.length_range
        length = low + zlib.crc32(generator.get_state().numpy().tobytes()) % (high - low + 1)
        return length if self.most_gradients is None else min(length, self.most_gradients)


def leapfrog(
    state: State,
    momentum: Tensor,
    energy: Energy,
    step_size: Tensor | float,
    num_steps: int,
    temperature: float = 1.0,
    *,
    scale: Tensor | float = 1.0,
    fused: Callable[..., Any] | None = None,
) -> tuple[State, Tensor]:
    """State and momentum (chains, *event_shape) after `num_steps` ≥ 1 steps of H = E/T + |p|²/2.

    The momentum is in units of √M, so that it is N(0, I) whatever the mass; `scale` is 1/√M
    (*event_shape). Reversible, keeps volume, and keeps H up to O(step_size²). One gradient a step:
    the half kicks of neighbouring steps are made as one. `fused` calls each step's arithmetic.
    """
    drift = step_size * scale
    kick = drift / temperature
    half_kick = 0.5 * kick
    call = plainly if fused is None else fused
    for index in range(num_steps):
        parts = call(
            drifted,
            energy,
            state.position,
            momentum,
            state.gradient,
            half_kick if index == 0 else kick,
            drift,
        )
        state, momentum = (
            state._replace(position=parts[0], energy=parts[1], gradient=parts[2]),
            parts[3],
        )
    return state, momentum - half_kick * state.gradient


@by_rows(3)
def drifted(
    energy: Energy,
    x: Tensor,
    momentum: Tensor,
    gradient: Tensor,
    kick: Tensor | float,
    drift: Tensor | float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A kick and a drift: position, energy, gradient there, and the momentum on the way."""
    momentum = momentum - kick * gradient
    x = x + drift * momentum
    return x, *energy_and_gradient(energy, x), momentum


def plainly(function: Callable[..., Any], energy: Energy, *given: Tensor | float) -> Any:
    """`function(energy, *given)`, as a sampler's `fused` calls it, and never compiled."""
    return function(energy, *given)


def _hamiltonian(energy: Tensor, momentum: Tensor, temperature: float) -> Tensor:
    return energy / temperature + 0.5 * momentum.square().flatten(1).sum(1)
