"""Parallel tempering: replicas at rising temperatures that swap places."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy
from backend.sampler import Info, Sampler, State, temperature_option
from backend.samplers.annealing import Path, acceptance_target, move

UP, DOWN = 1, -1
"""Directions of a replica: last at the coldest temperature, last at the hottest; 0 before either"""


class ParallelTemperingConfig(KindConfig):
    kind: Literal["parallel_tempering"] = "parallel_tempering"
    title: ClassVar[str] = "Parallel tempering"
    summary: ClassVar[str] = (
        "Hot replicas cross barriers and hand what they find down the ladder: exact, and not "
        "caught in one mode."
    )

    num_temperatures: int = option(
        8,
        "Rungs of the ladder; every chain has a replica on each, and each costs a gradient.",
        ge=2,
        le=256,
        main=True,
        group="Sampler",
    )
    hottest: float = option(
        30.0,
        "Temperature of the last rung, over that of the first.",
        gt=1,
        le=1e6,
        main=True,
        log=True,
        group="Sampler",
    )
    step_size: float = option(
        0.02,
        "How far a proposal of the coldest replica follows the gradient, a in x − a E′.",
        unit="data sd²",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    confinement: float = option(
        0.0,
        "Precision κ of the Gaussian that hot replicas turn into, so that they cannot run "
        "off; 0 leaves them to the energy alone.",
        unit="1 / data sd²",
        ge=0,
        le=1e4,
        group="Sampler",
    )
    adapt: bool = option(
        True,
        "Tunes the step of each rung, and the spacing of the rungs so that all neighbours "
        "swap equally often, in the warm-up, where there is one.",
        group="Sampler",
    )
    temperature: float = temperature_option()

    @property
    def path(self) -> Path:
        """κ at β = 0, exp(−E/T) at β = 1."""
        return Path(self.temperature, self.confinement)

    def derived(self) -> dict[str, str]:
        ratio = self.hottest ** (1 / (self.num_temperatures - 1))
        sentences = {
            "num_temperatures": f"Each rung is {ratio:.3g} times as hot as the one below. Between "
            "20 and 60 % of swaps should be accepted.",
            "hottest": f"The last replica samples exp(−E/{self.temperature * self.hottest:.3g}).",
        }
        if self.confinement:
            sentences["hottest"] = (
                f"The last replica samples exp(−E/{self.temperature * self.hottest:.3g} − "
                f"{0.5 * self.confinement * (1 - 1 / self.hottest):.3g} |x|²)."
            )
        return sentences


class ParallelTempering(Sampler):
    """MALA on every rung β_1 = 1 > ... > β_R, then swaps of neighbours.

    The replica on rung r samples exp(−β_r E/T − (1−β_r) κ|x|²/2), κ = `confinement`. Rungs i and
    i + 1 swap with probability min(1, exp((β_i − β_{i+1})(V_i − V_{i+1}))), V = E/T − κ|x|²/2; even
    and odd pairs take turns. The step of rung r is aT/β_r where κ = 0, a/(β_r/T + (1−β_r)κ) in
    general, until it is tuned. All replicas of all chains are one batch: R gradients of every
    chain a step. `position` is the replica at β = 1, whose law is exact once the whole ladder has
    settled: `init` starts every replica where its chain starts, so that even chains that start
    with exact draws wander off and come back. Geyer 1991; Earl & Deem 2005; Syed et al. 2022.
    """

    Config: ClassVar[type[KindConfig]] = ParallelTemperingConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Geyer 1991; Earl & Deem 2005; Syed et al. 2022"
    config: ParallelTemperingConfig

    @property
    def gradients_a_step(self) -> int:
        return int(self.config.num_temperatures)

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """All replicas at `position`. Costs one gradient evaluation.

        `extra`: hot_position, hot_energy, hot_gradient (R−1, chains, ...) of the rungs above the
        first; beta (R,); step_size 0-d, and step_ratio (R,), the tuned part of each rung's step
        over it; acceptance (R,) and swaps (R−1,), mean rates of the last step; direction (R,
        chains) for round trips; parity 0-d, whose turn it is to swap.
        """
        state = super().init(position, energy, generator)
        num = self.config.num_temperatures
        device, dtype = state.position.device, state.energy.dtype
        rungs = torch.arange(num, device=device, dtype=dtype) / (num - 1)
        direction = torch.zeros((num, len(state.position)), dtype=torch.int8, device=device)
        direction[0] = UP
        return state.carrying(
            hot_position=_repeated(state.position, num - 1),
            hot_energy=_repeated(state.energy, num - 1),
            hot_gradient=_repeated(state.gradient, num - 1),
            beta=torch.exp(-math.log(self.config.hottest) * rungs),
            step_size=torch.tensor(self.config.step_size, device=device),
            step_ratio=torch.ones(num, device=device),
            acceptance=torch.zeros(num, device=device, dtype=dtype),
            swaps=torch.zeros(num - 1, device=device, dtype=dtype),
            direction=direction,
            parity=torch.zeros((), dtype=torch.int64, device=device),
        )

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        path, extra = self.config.path, state.extra
        beta, num, chains = extra["beta"], self.config.num_temperatures, len(state.position)
        step_size = path.step_size(extra["step_size"] * extra["step_ratio"], beta)
        x, value, gradient = (part.flatten(0, 1) for part in _ladder(state))
        rows = State(x, value, gradient)
        rows, info = move(
            self,
            rows,
            energy,
            generator,
            path,
            beta.repeat_interleave(chains),
            step_size.to(beta.dtype).repeat_interleave(chains),
        )
        rate = info.acceptance_rate.reshape(num, chains)
        swap = swaps(path.log_ratio(rows).reshape(num, chains), beta, extra["parity"], generator)
        x, value, gradient = (
            _permuted(part.unflatten(0, (num, chains)), swap.source)
            for part in (rows.position, rows.energy, rows.gradient)
        )
        direction, round_trips = turned(_permuted(extra["direction"], swap.source))
        means = swap.rate.mean(1)
        after = State(x[0], value[0], gradient[0], extra).carrying(
            hot_position=x[1:],
            hot_energy=value[1:],
            hot_gradient=gradient[1:],
            acceptance=rate.mean(1),
            swaps=means,
            direction=direction,
            parity=1 - extra["parity"],
        )
        figures = {
            "swap_rate": means.mean(),
            "swap_rate_min": means.amin(),
            "round_trips": round_trips.to(means.dtype),
        }
        return after, Info(rate[0], info.accepted[:chains], info.proposal[:chains], num, figures)

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        """Robbins–Monro, g = (index + 1)^−0.6. Step of each rung: log a_r ← log a_r + g (rate_r −
        0.574). Gaps between rungs, first and last fixed: log gap_r ← log gap_r + g (swap rate_r −
        mean swap rate), in log T; a pair that swaps too often is moved apart."""
        if not self.config.adapt:
            return state
        gain, extra = (index + 1) ** -0.6, state.extra
        steps = extra["step_size"] * extra["step_ratio"]
        steps = steps * (gain * (extra["acceptance"] - acceptance_target(1))).exp().to(steps.dtype)
        gaps = -extra["beta"].log().diff()
        gaps = gaps * (gain * (extra["swaps"] - extra["swaps"].mean())).exp()
        gaps = gaps * (math.log(self.config.hottest) / gaps.sum())
        beta = torch.exp(-torch.cat([gaps.new_zeros(1), gaps.cumsum(0)]))
        return state.carrying(step_size=steps[0], step_ratio=steps / steps[0], beta=beta)


class Swaps(NamedTuple):
    """Record of what neighbours did."""

    source: Tensor
    """(R, chains) int64: the rung that what is now on this rung came from"""
    rate: Tensor
    """(R−1, chains) probability of swapping, whether or not it was the pair's turn"""


def swaps(log_ratio: Tensor, beta: Tensor, parity: Tensor, generator: torch.Generator) -> Swaps:
    """Swaps of rungs i and i + 1 where i + parity is even.

    log_ratio (R, chains) = −V, such that rung i has the law exp(β_i log_ratio) times what all rungs
    share; beta (R,). A pair's probability is min(1, exp((β_i − β_{i+1})(V_i − V_{i+1}))).
    """
    log_rate = -beta.diff()[:, None] * log_ratio.diff(dim=0)
    rate = log_rate.clamp(max=0).exp().nan_to_num(0.0)
    uniform = torch.rand(rate.shape, generator=generator, device=rate.device, dtype=rate.dtype)
    lower = torch.arange(len(rate), device=rate.device)[:, None]
    taken = ((lower + parity) % 2 == 0) & (uniform < rate)
    none = torch.zeros_like(taken[:1])
    up, down = torch.cat([taken, none]).long(), torch.cat([none, taken]).long()
    rungs = torch.arange(len(beta), device=rate.device)[:, None]
    return Swaps(rungs + up - down, rate)


def turned(direction: Tensor) -> tuple[Tensor, Tensor]:
    """(direction (R, chains) after the ends have turned replicas round, round trips made, 0-d).

    A replica at the coldest rung starts up; one that has come up to the hottest starts down. One
    that is back at the coldest on its way down has made a round trip.
    """
    round_trips = (direction[0] == DOWN).sum()
    first = torch.full_like(direction[:1], UP)
    last = torch.where(direction[-1:] == UP, DOWN, direction[-1:])
    return torch.cat([first, direction[1:-1], last]), round_trips


def _ladder(state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Position, energy and gradient of all rungs, (R, chains, ...)."""
    extra = state.extra
    return (
        torch.cat([state.position[None], extra["hot_position"]]),
        torch.cat([state.energy[None], extra["hot_energy"]]),
        torch.cat([state.gradient[None], extra["hot_gradient"]]),
    )


def _repeated(part: Tensor, num: int) -> Tensor:
    return part[None].repeat(num, *[1] * part.dim())


def _permuted(part: Tensor, source: Tensor) -> Tensor:
    """part (R, chains, ...) with rung r of each chain taken from rung source[r, chain]."""
    wide = source.reshape(*source.shape, *[1] * (part.dim() - 2))
    return part.gather(0, wide.expand(part.shape))
