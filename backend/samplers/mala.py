"""MALA: Langevin with a Metropolis correction."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, per_chain


class MALAConfig(KindConfig):
    kind: Literal["mala"] = "mala"
    title: ClassVar[str] = "MALA"
    summary: ClassVar[str] = "Langevin steps, each accepted or rejected: exact at any step size."

    step_size: float = option(
        0.02, "How far a proposal follows the gradient, a in x − a E′.",
        unit="data sd²", gt=0, le=100, main=True, log=True, group="Sampler",
    )  # fmt: skip
    temperature: float = option(
        1.0, "T of the exp(−E/T) that is sampled.", gt=0, le=1000, log=True, group="Sampler"
    )

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise of one proposal, in data sd."""
        return math.sqrt(2 * self.step_size * self.temperature)

    def derived(self) -> dict[str, str]:
        return {
            "step_size": f"One proposal adds noise of {self.noise_sd:.3g} data sd to every "
            "coordinate. About 57 % of proposals should be accepted: a smaller step accepts more."
        }


class MALA(Sampler):
    """y = x − a ∇E(x) + √(2aT) ξ, taken with probability min(1, e^{(E(x)−E(y))/T} q(x|y)/q(y|x)).

    q(y|x) is the density of the proposal, so exp(−E/T) is left in place exactly. One gradient a
    step. Proposals that are not finite are rejected. Roberts & Tweedie 1996.
    """

    Config: ClassVar[type[KindConfig]] = MALAConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Roberts & Tweedie 1996; Roberts & Rosenthal 1998"
    config: MALAConfig

    @property
    def temperature(self) -> float:
        """T of exp(−E/T)."""
        return self.config.temperature

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, x = self.config, state.position
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        uniform = torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype)
        forth = noise.mul_(config.noise_sd)
        y = x - config.step_size * state.gradient + forth
        proposed = State(y, *energy_and_gradient(energy, y))
        # y − x + a∇E(x) is the noise there; back, x − y + a∇E(y) is what it would have to be.
        back = config.step_size * (state.gradient + proposed.gradient) - forth
        squares = (back.square() - forth.square()).flatten(1).sum(1)
        log_rate = (
            (state.energy - proposed.energy) / config.temperature
            - squares / (4 * config.step_size * config.temperature)
        )  # fmt: skip
        return metropolis(state, proposed, log_rate, uniform, 1)


def metropolis(
    state: State,
    proposed: State,
    log_rate: torch.Tensor,
    uniform: torch.Tensor,
    gradient_evaluations: int,
) -> tuple[State, Info]:
    """Take each chain's proposal with probability min(1, exp(log_rate)), all (chains,).

    `uniform` in [0, 1) decides. A rate that is not a number, as of a proposal that ran away,
    counts as 0.
    """
    rate = log_rate.clamp(max=0).exp().nan_to_num(0.0)
    accepted = uniform < rate
    wide = per_chain(accepted, proposed.position)
    after = State(
        torch.where(wide, proposed.position, state.position),
        torch.where(accepted, proposed.energy, state.energy),
        torch.where(wide, proposed.gradient, state.gradient),
    )
    return after, Info(rate, accepted, proposed.position, gradient_evaluations)
