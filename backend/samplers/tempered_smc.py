"""Tempered sequential Monte Carlo: AIS that chooses its temperatures and resamples."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers import annealing
from backend.samplers.annealing import Path, log_mean, weight_ess

BISECTIONS = 30
"""Halvings of [β, 1] in search of the next β: down to 1e-9, less than float32 can tell at 1."""
GAIN = 0.5
"""Rate at which log step_size follows the acceptance of each temperature."""


class TemperedSMCConfig(KindConfig):
    kind: Literal["tempered_smc"] = "tempered_smc"
    title: ClassVar[str] = "Tempered sequential Monte Carlo"
    summary: ClassVar[str] = (
        "A population goes from a wide Gaussian to the target; it sets its own temperatures, and "
        "the heavy replace the light."
    )

    share_kept: float = option(
        0.9,
        "How far one temperature may thin the weights: the conditional effective sample size "
        "after it, as a share.",
        gt=0,
        lt=1,
        main=True,
        group="Sampler",
    )
    resample_below: float = option(
        0.5,
        "Chains are resampled when the effective sample size of the weights falls below this "
        "share; 0 never resamples.",
        ge=0,
        le=1,
        group="Sampler",
    )
    resampling: Literal["systematic", "multinomial"] = option(
        "systematic", "How ancestors are drawn; systematic adds the least noise.", group="Sampler"
    )
    moves: int = option(
        5, "Metropolis moves at each temperature.", ge=1, le=1000, main=True, group="Sampler"
    )
    num_leapfrog: int = option(
        1,
        "Leapfrog steps of a move, one gradient each; 1 is MALA, more is Hamiltonian.",
        ge=1,
        le=1000,
        group="Sampler",
    )
    num_steps_at_target: int = option(
        4,
        "Steps of `moves` moves at β = 1 before a pass is complete.",
        ge=1,
        le=10_000,
        group="Sampler",
    )
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
        True,
        "Tunes the step size to the acceptance at every temperature, warm-up or not.",
        group="Sampler",
    )
    temperature: float = temperature_option()

    @property
    def path(self) -> Path:
        """From N(0, base_scale²) to exp(−E/T)."""
        return Path(self.temperature, self.base_scale**-2)

    def derived(self) -> dict[str, str]:
        return {
            "moves": f"A step is one temperature and costs {self.moves * self.num_leapfrog} "
            "gradients of every chain.",
            "resample_below": "Never resamples: AIS at temperatures of its own choice."
            if self.resample_below == 0
            else f"Resamples below {self.resample_below:.0%} of the chains.",
        }


class TemperedSMC(Sampler):
    """β ← the one whose conditional ESS is a set share; w ← w·(target/base)^{Δβ}; resample; move.

    The conditional ESS of Δβ is n (ΣWv)² / ΣWv², W the normalised weights and v the factors; the
    next β is found by bisection on the device. Resampling, when (Σw)²/Σw² < n/2, draws ancestors in
    proportion to w and gives each the mean weight, so that the log mean weight goes on estimating
    log Z. Then `moves` Metropolis moves at β. One β a step; a pass is complete after a few steps
    at β = 1, and the next step begins another from N(0, s² I). The choice of temperatures and of
    step sizes by the same chains biases log Z by O(1/n). `init` takes the shape of the positions it
    is given, not where they are. Del Moral, Doucet & Jasra 2006; Zhou, Johansen & Aston 2016.
    """

    Config: ClassVar[type[KindConfig]] = TemperedSMCConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Its draws follow the target only with their weights, and those with one ancestor are "
        "alike."
    )
    references: ClassVar[str] = "Del Moral, Doucet & Jasra 2006; Zhou, Johansen & Aston 2016"
    anneals: ClassVar[bool] = True
    weighs: ClassVar[bool] = True
    population: ClassVar[bool] = True
    config: TemperedSMCConfig

    @property
    def gradients_a_step(self) -> int:
        return int(self.config.moves * self.config.num_leapfrog)

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """A pass at its start. `extra`: beta and settled (0-d; steps made at β = 1), log_weights
        and ancestors (chains,), log_z of the last finished pass (nan so far), step_size."""
        path = self.config.path
        x = path.draw(position.detach(), generator)
        state = State(x, *energy_and_gradient(energy, x))
        return state.carrying(
            beta=state.energy.new_zeros(()),
            settled=torch.zeros((), dtype=torch.int64, device=x.device),
            log_weights=torch.full_like(state.energy, path.log_z_base(x)),
            ancestors=torch.arange(len(x), device=x.device),
            log_z=state.energy.new_full((), torch.nan),
            step_size=torch.tensor(self.config.step_size, device=x.device),
        )

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, path = self.config, self.config.path
        restart = state.extra["settled"] >= config.num_steps_at_target
        state = self._reweighted(state, restart)
        state = self._resampled(state, ~restart, generator)
        beta, extra = state.extra["beta"], state.extra
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
        complete = extra["settled"] >= config.num_steps_at_target
        log_weights, ancestors = extra["log_weights"], extra["ancestors"]
        log_z = torch.where(complete, log_mean(log_weights), extra["log_z"])
        state = state.carrying(log_z=log_z, step_size=self._tuned(extra, info, restart))
        figures = {
            "beta": beta,
            "log_z": log_z,
            "weight_ess": weight_ess(log_weights),
            "ancestors": distinct_share(ancestors).to(log_z.dtype),
        }
        return state, info._replace(figures=figures, log_weights=log_weights, complete=complete)

    def _reweighted(self, state: State, restart: Tensor) -> State:
        """At the next β with its weights; at the start of a pass where `restart`."""
        path, extra = self.config.path, state.extra
        log_ratio = path.log_ratio(state)
        beta = next_beta(extra["log_weights"], log_ratio, extra["beta"], self.config.share_kept)
        log_weights = extra["log_weights"] + (beta - extra["beta"]) * log_ratio
        return state.carrying(
            beta=torch.where(restart, 0.0, beta),
            settled=torch.where(restart, 0, extra["settled"] + (beta >= 1)),
            log_weights=torch.where(restart, path.log_z_base(state.position), log_weights),
            ancestors=torch.where(
                restart, torch.arange(len(log_ratio), device=beta.device), extra["ancestors"]
            ),
        )

    def _resampled(self, state: State, allowed: Tensor, generator: torch.Generator) -> State:
        log_weights = state.extra["log_weights"]
        chosen = ancestors_of(log_weights, self.config.resampling, generator)
        due = allowed & (weight_ess(log_weights) < self.config.resample_below)
        index = torch.where(due, chosen, torch.arange(len(chosen), device=chosen.device))
        ancestors = state.extra["ancestors"][index]
        log_weights = torch.where(due, log_mean(log_weights), log_weights)
        moved = State(
            state.position[index], state.energy[index], state.gradient[index], state.extra
        )
        return moved.carrying(log_weights=log_weights, ancestors=ancestors)

    def _tuned(self, extra: annealing.Extra, info: Info, restart: Tensor) -> Tensor:
        step_size = extra["step_size"]
        if not self.config.adapt:
            return step_size
        rise = info.acceptance_rate.mean() - annealing.acceptance_target(self.config.num_leapfrog)
        return torch.where(restart, step_size, step_size * (GAIN * rise).exp().float())


def next_beta(log_weights: Tensor, log_ratio: Tensor, beta: Tensor, share: float) -> Tensor:
    """The β' > β, at most 1, whose conditional effective sample size is `share` of the chains.

    log_weights, log_ratio (chains,), beta 0-d; (Σ W v)² / Σ W v² = share with v = exp((β' − β)
    log_ratio) and W the normalised weights. Always so many bisections, all on the device.
    """
    log_normal = log_weights.log_softmax(0)

    def keeps(following: Tensor) -> Tensor:
        log_factors = (following - beta) * log_ratio
        first = (log_normal + log_factors).logsumexp(0)
        return 2 * first - (log_normal + 2 * log_factors).logsumexp(0) >= math.log(share)

    one = torch.ones_like(beta)
    low, high = beta, one
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        good = keeps(middle)
        low, high = torch.where(good, middle, low), torch.where(good, high, middle)
    # the upper end, so that β always grows
    return torch.where(keeps(one), one, high)


def ancestors_of(log_weights: Tensor, resampling: str, generator: torch.Generator) -> Tensor:
    """Indices (chains,) drawn in proportion to the weights.

    Systematic: one uniform u, ancestors at (i + u)/n of the cumulated weights; multinomial: n of
    them. Each index comes up n·W times on average.
    """
    num, device = len(log_weights), log_weights.device
    shape = (1,) if resampling == "systematic" else (num,)
    places = torch.rand(shape, generator=generator, device=device, dtype=log_weights.dtype)
    if resampling == "systematic":
        places = (torch.arange(num, device=device) + places) / num
    cumulated = log_weights.softmax(0).cumsum(0)
    # rounding can leave the last sum below 1
    indices = torch.searchsorted(cumulated / cumulated[-1], places, right=True)
    return indices.clamp(max=num - 1)


def distinct_share(index: Tensor) -> Tensor:
    """Distinct values of index (num,), each in [0, num), over num; 0-d.

    >>> float(distinct_share(torch.tensor([0, 0, 3, 3])))
    0.5
    """
    return torch.zeros_like(index).scatter(0, index, 1).float().mean()
