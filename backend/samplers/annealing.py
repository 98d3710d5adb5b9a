"""The path from a wide Gaussian to the target, and what samplers that go along it share.

The law at β of the path, β from 0 to 1, is exp(−U_β), U_β(x) = β E(x)/T + (1−β) κ |x|²/2. At β = 0
that is N(0, 1/κ), the base law; at β = 1 the target. κ = 0 has no base law and is plain tempering.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, per_chain
from backend.samplers.mala import metropolis

Schedule = Literal["sigmoid", "linear", "geometric"]
Extra = Mapping[str, Tensor]

SIGMOID_REACH = 4.0
"""The sigmoid schedule is the logistic function between ± this."""
FIRST = 1e-3
"""Lowest β above 0 of the geometric schedule."""
HUGE = 1e30
"""Stands for infinite log-weights: far from all others, and still finite in float32."""


class Path(NamedTuple):
    """Everything between the base law and the target but β itself."""

    temperature: float
    """T"""
    precision: float
    """κ, in 1 / data sd²"""

    def log_ratio(self, state: State) -> Tensor:
        """log of target over base, neither normalised, κ|x|²/2 − E(x)/T, (chains,)."""
        ratio = 0.5 * self.precision * _squares(state.position) - state.energy / self.temperature
        return ratio.nan_to_num(nan=-HUGE, posinf=HUGE, neginf=-HUGE)

    def log_z_base(self, like: Tensor) -> float:
        """log ∫ exp(−κ|x|²/2) dx over events shaped like those of `like`."""
        return 0.5 * like[0].numel() * math.log(2 * math.pi / self.precision)

    def draw(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Positions from the base law, shaped like `like`."""
        return normal(like, generator) / math.sqrt(self.precision)

    def step_size(self, base: Tensor | float, beta: Tensor) -> Tensor:
        """a for U_β out of the a for E: `base` over the curvature β/T + (1−β)κ of standardised
        data, so that it is aT at β = 1 and aT/β where κ = 0."""
        return base / (beta / self.temperature + (1 - beta) * self.precision)


def level_beta(level: Tensor, num_levels: int, schedule: Schedule) -> Tensor:
    """β of a level (an integer tensor) from 0 to `num_levels`; 0 at the first, 1 at the last.

    >>> level_beta(torch.arange(5), 4, "linear").tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    share = level / num_levels
    if schedule == "linear":
        return share
    if schedule == "geometric":
        remaining = (num_levels - level) / max(1, num_levels - 1)
        return torch.where(level > 0, FIRST**remaining, torch.zeros_like(share))
    half = torch.full_like(share, SIGMOID_REACH / 2)
    return 0.5 * (1 + torch.tanh(half * (2 * share - 1)) / torch.tanh(half))


def propose(
    sampler: Sampler,
    state: State,
    energy: Energy,
    noise: Tensor,
    path: Path,
    beta: Tensor,
    step_size: Tensor,
    num_leapfrog: int = 1,
    restart: Tensor | None = None,
) -> tuple[State, Tensor]:
    """A Langevin or leapfrog proposal for exp(−U_β), and the log of its Metropolis ratio (chains,).

    With momentum p = `noise` ~ N(0, I), `num_leapfrog` leapfrog steps of length √(2a), a =
    `step_size`; one of them is y = x − a ∇U_β(x) + √(2a) p, the proposal of MALA. `beta` and
    `step_size` are 0-d or (chains,). Where `restart` (0-d bool) is true, the proposal is p/√κ, a
    draw of the base law, and its log ratio is inf. `num_leapfrog` gradients.
    """
    if restart is None:
        restart = torch.zeros((), dtype=torch.bool, device=noise.device)
    return sampler.fused(
        _proposed,
        energy,
        state.position,
        state.energy,
        state.gradient,
        noise,
        beta,
        step_size,
        restart,
        path.temperature,
        path.precision,
        num_leapfrog,
    )


def _proposed(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    noise: Tensor,
    beta: Tensor,
    step_size: Tensor,
    restart: Tensor,
    temperature: float,
    precision: float,
    num_leapfrog: int,
) -> tuple[State, Tensor]:
    target, base = beta / temperature, (1 - beta) * precision
    wide_target, wide_base = per_chain(target, x), per_chain(base, x)
    length = per_chain((2 * step_size).sqrt(), x)
    before = target * value + 0.5 * base * _squares(x) + 0.5 * _squares(noise)
    momentum = noise - 0.5 * length * (wide_target * gradient + wide_base * x)
    for index in range(num_leapfrog):
        x = x + length * momentum
        if precision:
            x = torch.where(restart, noise / math.sqrt(precision), x)
        value, gradient = energy_and_gradient(energy, x)
        kick = 0.5 if index == num_leapfrog - 1 else 1.0
        momentum = momentum - kick * length * (wide_target * gradient + wide_base * x)
    after = target * value + 0.5 * base * _squares(x) + 0.5 * _squares(momentum)
    log_rate = torch.where(restart, torch.inf, before - after)
    return State(x, value, gradient), log_rate


def move(
    sampler: Sampler,
    state: State,
    energy: Energy,
    generator: torch.Generator,
    path: Path,
    beta: Tensor,
    step_size: Tensor,
    num_leapfrog: int = 1,
    restart: Tensor | None = None,
) -> tuple[State, Info]:
    """`propose`, then Metropolis: leaves exp(−U_β) in place exactly. Keeps `extra`."""
    noise = normal(state.position, generator)
    uniform = torch.rand(len(noise), generator=generator, device=noise.device, dtype=noise.dtype)
    proposed, log_rate = propose(
        sampler, state, energy, noise, path, beta, step_size, num_leapfrog, restart
    )
    after, info = metropolis(state, proposed, log_rate, uniform, num_leapfrog)
    return after._replace(extra=state.extra), info


def moves(
    sampler: Sampler,
    state: State,
    energy: Energy,
    generator: torch.Generator,
    path: Path,
    beta: Tensor,
    step_size: Tensor,
    num_moves: int,
    num_leapfrog: int,
    restart: Tensor,
) -> tuple[State, Info]:
    """`num_moves` moves at one β. A restart is made by the first; the others then move in the base
    law. Told are the mean rate of acceptance, whether any move was accepted, the last proposal."""
    rates: list[Tensor] = []
    any_accepted: list[Tensor] = []
    for index in range(num_moves):
        begin = restart if index == 0 else None
        state, info = move(
            sampler, state, energy, generator, path, beta, step_size, num_leapfrog, begin
        )
        rates.append(info.acceptance_rate)
        any_accepted.append(info.accepted)
    return state, info._replace(
        acceptance_rate=torch.stack(rates).mean(0),
        accepted=torch.stack(any_accepted).any(0),
        gradient_evaluations=num_moves * num_leapfrog,
    )


def acceptance_target(num_leapfrog: int) -> float:
    """The rate of acceptance to tune for: 0.574 of MALA, 0.8 of trajectories."""
    return 0.574 if num_leapfrog == 1 else 0.8


# ---------------------------------------------------------------------- weights


def log_mean(log_weights: Tensor) -> Tensor:
    """log of the mean weight, 0-d."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def log_z(log_weights: Tensor, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """(estimate of log ∫ exp(−E/T), its standard error), 0-d each, from weights (chains,).

    Forward: log mean w, whose expectation is below the truth. Of the weights of `reverse_ais`:
    −log mean(1/w), whose expectation is above it. The error is that of the mean's logarithm to
    first order, sd(w) / (mean(w) √n): too small where a few weights hold all the mass.

    >>> [round(float(part), 3) for part in log_z(torch.tensor([1.0, 3.0]).log())]
    [0.693, 0.5]
    """
    signed = -log_weights if reverse else log_weights
    weights = (signed - signed.amax()).exp()
    error = weights.std() / (weights.mean() * math.sqrt(len(weights)))
    estimate = log_mean(signed)
    return (-estimate if reverse else estimate), error


def weight_ess(log_weights: Tensor) -> Tensor:
    """Effective sample size of weights (chains,) as a share of their number, 0-d: (Σw)² / nΣw².

    >>> float(weight_ess(torch.zeros(8)))
    1.0
    """
    weights = log_weights.softmax(0)
    return 1 / (len(weights) * weights.square().sum())


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise shaped like positions (chains, *event_shape)."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _squares(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1)
