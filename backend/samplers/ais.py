"""Annealed importance sampling: weighted draws, and the normaliser, forward and in reverse."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers import annealing
from backend.samplers.annealing import Path, Schedule, level_beta, log_z, weight_ess

__all__ = ["AIS", "AISConfig", "log_z", "reverse_ais"]


class AISConfig(KindConfig):
    kind: Literal["ais"] = "ais"
    title: ClassVar[str] = "Annealed importance sampling"
    summary: ClassVar[str] = (
        "From a wide Gaussian to the target through many temperatures; weights make up for the "
        "haste and give log Z."
    )

    num_temperatures: int = option(
        200,
        "Temperatures from the base law to the target; more give more even weights.",
        ge=1,
        le=100_000,
        main=True,
        log=True,
        group="Sampler",
    )
    base_scale: float = option(
        2.0,
        "Standard deviation of the Gaussian a pass starts from; wider than the target.",
        unit="data sd",
        gt=0,
        le=1000,
        main=True,
        log=True,
        group="Sampler",
    )
    schedule: Schedule = option(
        "sigmoid",
        "How the temperatures are spaced; sigmoid is densest at both ends.",
        group="Sampler",
    )
    moves: int = option(1, "Metropolis moves at each temperature.", ge=1, le=1000, group="Sampler")
    num_leapfrog: int = option(
        1,
        "Leapfrog steps of a move, one gradient each; 1 is MALA, more is Hamiltonian.",
        ge=1,
        le=1000,
        group="Sampler",
    )
    step_size: float = option(
        0.05,
        "How far a move follows the gradient at the target, a in x − a E′; longer where the "
        "path is wider.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    adapt: bool = option(
        True, "Tunes the step size in the warm-up, where there is one.", group="Sampler"
    )
    temperature: float = temperature_option()

    @property
    def path(self) -> Path:
        """From N(0, base_scale²) to exp(−E/T)."""
        return Path(self.temperature, self.base_scale**-2)

    def derived(self) -> dict[str, str]:
        cost = self.num_temperatures * self.moves * self.num_leapfrog
        target = annealing.acceptance_target(self.num_leapfrog)
        return {
            "num_temperatures": f"A pass takes {self.num_temperatures} steps and {cost} gradients "
            "of every chain, and one step more to begin anew.",
            "step_size": f"About {target:.0%} of moves should be accepted: a smaller step accepts "
            "more.",
        }


class AIS(Sampler):
    """log w ← log w + (β_k − β_{k−1}) (|x|²/2s² − E(x)/T), then moves that keep the law at β_k.

    A pass draws x ~ N(0, s² I) with log w = log (2πs²)^{d/2}, goes through β_0 = 0 < ... < β_K = 1,
    one β a step, and is complete at β_K; the next step begins another. Whatever the moves, E[w] =
    ∫ exp(−E/T): the log mean weight estimates log Z, from below on average. Positions alone are
    not draws of the target; with their weights they are. `init` takes the shape of the positions
    it is given, not where they are. Neal 2001.
    """

    Config: ClassVar[type[KindConfig]] = AISConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = "Its draws follow the target only with their weights."
    references: ClassVar[str] = "Neal 2001; Grosse et al. 2015"
    anneals: ClassVar[bool] = True
    weighs: ClassVar[bool] = True
    config: AISConfig

    @property
    def gradients_a_step(self) -> int:
        return int(self.config.moves * self.config.num_leapfrog)

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """A pass at its start. `extra`: level (0-d, int), log_weights (chains,), log_z of the last
        finished pass (nan so far), step_size."""
        path = self.config.path
        x = path.draw(position.detach(), generator)
        state = State(x, *energy_and_gradient(energy, x))
        return state.carrying(
            level=torch.zeros((), dtype=torch.int64, device=x.device),
            log_weights=torch.full_like(state.energy, path.log_z_base(x)),
            log_z=state.energy.new_full((), torch.nan),
            step_size=torch.tensor(self.config.step_size, device=x.device),
        )

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, path, extra = self.config, self.config.path, state.extra
        level = extra["level"]
        restart = level >= config.num_temperatures
        following = torch.where(restart, 0, level + 1)
        beta = self._beta(following)
        increments = (beta - self._beta(level)) * path.log_ratio(state)
        log_weights = torch.where(
            restart, path.log_z_base(state.position), extra["log_weights"] + increments
        )
        step_size = path.step_size(extra["step_size"], beta)
        state, info = annealing.moves(
            self,
            state,
            energy,
            generator,
            path,
            beta,
            step_size,
            config.moves,
            config.num_leapfrog,
            restart,
        )
        complete = following == config.num_temperatures
        estimate, _ = log_z(log_weights)
        estimate = torch.where(complete, estimate, extra["log_z"])
        state = state.carrying(level=following, log_weights=log_weights, log_z=estimate)
        figures = {
            "beta": beta,
            "log_z": estimate,
            "log_weight_sd": log_weights.std(),
            "weight_ess": weight_ess(log_weights),
        }
        return state, info._replace(figures=figures, log_weights=log_weights, complete=complete)

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        """log a ← log a + (rate − target) (index + 1)^−0.6."""
        if not self.config.adapt:
            return state
        rise = info.acceptance_rate.mean() - annealing.acceptance_target(self.config.num_leapfrog)
        factor = (rise * (index + 1) ** -0.6).exp().float()
        return state.carrying(step_size=state.extra["step_size"] * factor)

    def _beta(self, level: Tensor) -> Tensor:
        return level_beta(level, self.config.num_temperatures, self.config.schedule)


def reverse_ais(
    energy: Energy, draws: Tensor, generator: torch.Generator, config: AISConfig
) -> Tensor:
    """Log-weights (chains,) of AIS run backwards from draws of exp(−E/T) (chains, *event_shape).

    For k = K ... 1: moves that keep the law at β_k, then the same sum as forward. E[1/w] = 1/Z, so
    −log mean(1/w) estimates log Z from above on average, as `log_z(weights, reverse=True)` does:
    with the forward estimate below, the truth is held between. Only as good as the draws are.
    Grosse et al. 2015.
    """
    sampler, path = AIS(config), config.path
    x = draws.detach()
    state = State(x, *energy_and_gradient(energy, x))
    log_weights = torch.full_like(state.energy, path.log_z_base(x))
    levels = torch.arange(config.num_temperatures + 1, device=x.device)
    betas = level_beta(levels, config.num_temperatures, config.schedule)
    stay = torch.zeros((), dtype=torch.bool, device=x.device)
    for index in range(config.num_temperatures, 0, -1):
        beta = betas[index]
        step_size = path.step_size(config.step_size, beta)
        state, _ = annealing.moves(
            sampler,
            state,
            energy,
            generator,
            path,
            beta,
            step_size,
            config.moves,
            config.num_leapfrog,
            stay,
        )
        log_weights = log_weights + (beta - betas[index - 1]) * path.log_ratio(state)
    return log_weights
