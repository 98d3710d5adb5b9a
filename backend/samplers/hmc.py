"""Hamiltonian Monte Carlo with trajectories of jittered length."""

from __future__ import annotations

import zlib
from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State
from backend.samplers.mala import metropolis


class HMCConfig(KindConfig):
    kind: Literal["hmc"] = "hmc"
    title: ClassVar[str] = "Hamiltonian Monte Carlo"
    summary: ClassVar[str] = "Long gliding trajectories, each accepted or rejected: exact, far."

    step_size: float = option(
        0.1, "Length of one leapfrog step.",
        unit="data sd", gt=0, le=100, main=True, log=True, group="Sampler",
    )  # fmt: skip
    num_leapfrog: int = option(
        10, "Leapfrog steps of a trajectory on average; each costs one gradient.",
        ge=1, le=1000, main=True, group="Sampler",
    )  # fmt: skip
    temperature: float = option(
        1.0, "T of the exp(−E/T) that is sampled.", gt=0, le=1000, log=True, group="Sampler"
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
        }


class HMC(Sampler):
    """Momentum p ~ N(0, I), then L leapfrog steps of H(x, p) = E(x)/T + |p|²/2, then Metropolis.

    p ← p − (ε/2T) ∇E(x); x ← x + ε p; p ← p − (ε/2T) ∇E(x). The end is taken with probability
    min(1, exp(H_start − H_end)); one that runs away is rejected. The length is drawn anew for
    every step, uniformly from half to one and a half of `num_leapfrog` and the same for all chains,
    since a fixed one can come back to its start. One gradient for each leapfrog step. Duane et al.
    1987; Neal 2011.
    """

    Config: ClassVar[type[KindConfig]] = HMCConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Duane et al. 1987; Neal 2011"
    config: HMCConfig

    @property
    def temperature(self) -> float:
        """T of exp(−E/T)."""
        return self.config.temperature

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, x = self.config, state.position
        num_leapfrog = self._length(generator)
        momentum = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        uniform = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        before = _hamiltonian(state.energy, momentum, config.temperature)
        end, momentum = leapfrog(
            state, momentum, energy, config.step_size, num_leapfrog, config.temperature
        )
        log_rate = before - _hamiltonian(end.energy, momentum, config.temperature)
        return metropolis(state, end, log_rate, uniform, num_leapfrog)

    def _length(self, generator: torch.Generator) -> int:
        """Leapfrog steps of this trajectory: a number the host must know.

        Taken from the generator's state, which lies on the host even for a generator of a GPU, so
        nothing waits for the device. The draws that follow move the state on.
        """
        low, high = self.config.length_range
        return low + zlib.crc32(generator.get_state().numpy().tobytes()) % (high - low + 1)


def leapfrog(
    state: State,
    momentum: torch.Tensor,
    energy: Energy,
    step_size: float,
    num_steps: int,
    temperature: float = 1.0,
) -> tuple[State, torch.Tensor]:
    """State and momentum (chains, *event_shape) after `num_steps` ≥ 1 steps of H = E/T + |p|²/2.

    Reversible, keeps volume, and keeps H up to O(step_size²). One gradient a step: the half kicks
    of neighbouring steps are made as one.
    """
    kick = step_size / temperature
    momentum = momentum - 0.5 * kick * state.gradient
    for index in range(num_steps):
        x = state.position + step_size * momentum
        state = State(x, *energy_and_gradient(energy, x))
        last = index == num_steps - 1
        momentum = momentum - (0.5 if last else 1.0) * kick * state.gradient
    return state, momentum


def _hamiltonian(energy: torch.Tensor, momentum: torch.Tensor, temperature: float) -> torch.Tensor:
    return energy / temperature + 0.5 * momentum.square().flatten(1).sum(1)
