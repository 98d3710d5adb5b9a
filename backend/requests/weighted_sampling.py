"""Draws of an energy of several coordinates: importance sampling from a mixture that is fitted to
the data and, where it misses mass, to populations tempered towards the energy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.data import Data
from backend.distributions import Distribution, build_distribution
from backend.distributions.gaussian import FittedGaussianConfig
from backend.distributions.mixture import MixtureConfig
from backend.energy import Energy, energy_and_gradient
from backend.metrics.convergence import r_hat
from backend.metrics.density import energies
from backend.sampler import State
from backend.samplers.annealing import HUGE, weight_ess
from backend.samplers.hmc import leapfrog
from backend.samplers.mala import metropolis
from backend.samplers.tempered_smc import ancestors_of, next_beta

MAX_COORDINATES = 64
"""Coordinates up to which a mixture of full covariances is fitted."""
COMPONENTS, WIDEN, WIDE_SHARE = 20, 1.2, 0.1
"""Gaussians of the proposal, their covariances over the fitted ones, and the share of a wide
Student's t, so that no weight is huge (Hesterberg 1995)."""
FAR = 9.0
"""Covariance over that of the data of the Gaussian that the second population starts from."""
MAX_FITTED = 5000
"""Positions that a mixture is fitted to."""
CANDIDATES = 20_000
"""Least draws of a proposal; 8 times as many as are asked for where that is more."""
ENOUGH, BELIEVED = 0.1, 0.02
"""Effective share of the weights at which no better proposal is looked for, and that below which
the tempered population is taken instead."""
MISSED = 2.0
"""Nats by which log-weights of positions found otherwise may exceed all those of the proposal."""
ROUNDS = 2
"""Mixtures fitted anew where the first misses mass."""
SEARCHERS, FALL = 100, 60
"""Chains from either start that look for basins, and the moves that they fall for."""
ISLANDS = 4
"""Populations that do not touch: where they disagree, none has the law's masses."""
POPULATION, MAX_TEMPERATURES, SHARE_KEPT = 1000, 60, 0.7
MOVES, NUM_LEAPFROG, TARGET_RATE, GAIN = 4, 5, 0.7, 1.0
STEP_RANGE = 1.0
"""Decades that the step sizes of one move span, since parts of a law differ in scale."""
LAST_MOVES = 10
"""Moves at the target that end every way."""
DRIFT = 5.0
"""Standard errors by which the last moves may change the mean energy."""


def proposal_of(z: Tensor, data: Data, generator: torch.Generator) -> Distribution:
    """A mixture fitted to positions (num, *event_shape), with fewer parts where they are few."""
    z = z[torch.randperm(len(z), generator=generator, device=z.device)[:MAX_FITTED]]
    num = max(1, min(COMPONENTS, len(z) // (5 * data.event_shape.numel())))
    config = MixtureConfig(num_components=num, scale=WIDEN, wide_share=WIDE_SHARE)
    return build_distribution(config, replace(data, train=z), generator)


class Bridge(Energy):
    """(1 − β)(−log q(x)) + β E(x)."""

    def __init__(self, start: Distribution, energy: Energy, beta: Tensor) -> None:
        super().__init__()
        self.start, self.energy, self.beta = start, energy, beta

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.beta * self.energy(x) - (1 - self.beta) * self.start.log_prob(x)


class Weighted(NamedTuple):
    """Draws of a law, and what they rest on."""

    position: Tensor
    """(num, *event_shape)"""
    weight_ess: float
    """effective share of the weights that chose them"""
    r_hat: float | None
    """of populations apart; None where importance sampling alone was enough"""
    drift: float
    """change of the mean energy by moves that leave the law in place, in standard errors"""
    missed: bool
    """whether mass was met that the proposal does not reach"""
    falls_off: bool
    """False where the energy falls without end away from the data"""


class Population(NamedTuple):
    """Positions brought from a start to the energy."""

    position: Tensor
    log_weights: Tensor
    """(chains,), of importance"""
    r_hat: float
    """between the islands"""


def drawn(energy: Energy, data: Data, num: int, generator: torch.Generator) -> Weighted:
    """`num` draws of exp(−E), standardised (num, *event_shape), in a bounded number of gradients.

    Importance sampling from a mixture fitted to the data; it is believed where ENOUGH of the
    weights count and a population tempered from a far wider Gaussian meets no mass that the
    mixture does not reach. Else mixtures are fitted to populations tempered from both
    (adaptive importance sampling, Cappé et al. 2008); where even those are not enough, the
    tempered population itself is drawn from. Moves that leave the law in place end it.
    """
    far = build_distribution(FittedGaussianConfig(scale=FAR), data, generator)
    proposal = proposal_of(data.train, data, generator)
    elsewhere = _searched(far, energy, data, generator)
    falls_off = _falls_off(energy, data, elsewhere)
    best = _attempt(proposal, energy, num, elsewhere, generator)
    population: Population | None = None
    for _ in range(ROUNDS if falls_off else 0):
        if best.share >= ENOUGH and not best.missed:
            break
        population = tempered(proposal, energy, POPULATION, generator)
        here = _resampled(population.position, population.log_weights, POPULATION, generator)
        around = torch.cat([here, elsewhere]) if best.missed else here
        proposal = proposal_of(around, data, generator)
        attempt = _attempt(proposal, energy, num, elsewhere, generator)
        best = max(best, attempt, key=lambda each: (not each.missed, each.share))
    position, logs, hat = best.position, best.log_weights, None
    if best.share < BELIEVED and population is not None:
        position, logs, hat = population
    z = _resampled(position, logs, num, generator)
    z, drift = _moved_on(z, energy, generator)
    return Weighted(z, float(weight_ess(logs)), hat, drift, best.missed, falls_off)


def _searched(far: Distribution, energy: Energy, data: Data, generator: torch.Generator) -> Tensor:
    """Positions with low energy, wherever they are: a population tempered from far outside, which
    follows mass, and chains that fell from noise, which end in basins however light."""
    met = tempered(far, energy, POPULATION // 2, generator)
    start = torch.cat([far.sample(SEARCHERS, generator), data.noise(SEARCHERS, generator)])
    fallen, _, _ = moved(energy, start, generator, FALL, math.log(0.3))
    followed = _resampled(met.position, met.log_weights, len(met.position), generator)
    z = torch.cat([followed, fallen])
    return z[z.flatten(1).isfinite().all(1)]


class Attempt(NamedTuple):
    """Draws of a proposal, and what their weights say of it."""

    position: Tensor
    log_weights: Tensor
    """(num,) float64"""
    missed: bool

    @property
    def share(self) -> float:
        """Effective share of the weights."""
        return float(weight_ess(self.log_weights))


def _attempt(
    proposal: Distribution, energy: Energy, num: int, elsewhere: Tensor, generator: torch.Generator
) -> Attempt:
    """It misses mass where positions met elsewhere weigh far more than any draw of its own."""
    z = proposal.sample(max(CANDIDATES, 8 * num), generator)
    logs = _log_weights(proposal, energy, z)
    of_others = _log_weights(proposal, energy, elsewhere)
    missed = len(of_others) > 0 and bool(of_others.max() > logs.max() + MISSED)
    return Attempt(z, logs, missed)


def _log_weights(proposal: Distribution, energy: Energy, z: Tensor) -> Tensor:
    log_prob = torch.cat([proposal.log_prob(part) for part in z.split(8192)])
    logs = -energies(energy, z).double() - log_prob.double()
    return torch.where(logs.isfinite(), logs, -HUGE)


def _resampled(z: Tensor, logs: Tensor, num: int, generator: torch.Generator) -> Tensor:
    return z[torch.multinomial(logs.softmax(0), num, True, generator=generator)]


def _falls_off(energy: Energy, data: Data, elsewhere: Tensor) -> bool:
    """False where positions that went far away lie lower than all of the data."""
    train = data.train[:MAX_FITTED]
    centre = train.mean(0)
    reach = 3 * (train - centre).flatten(1).norm(dim=1).max()
    beyond = elsewhere[(elsewhere - centre).flatten(1).norm(dim=1) > reach]
    if len(beyond) <= 0.01 * len(elsewhere):
        return True
    return bool(energies(energy, beyond).median() > energies(energy, train).min())


# ---------------------------------------------------------------------- tempered populations


def tempered(
    start: Distribution, energy: Energy, num: int, generator: torch.Generator
) -> Population:
    """A population of `num`, in ISLANDS that are resampled each by itself, from q to exp(−E).

    β goes up by what leaves SHARE_KEPT of the weights; `Bridge` is moved on at each, with steps
    tuned on the way. Ends at β = 1, or after MAX_TEMPERATURES with weights that make up for the
    rest. Del Moral, Doucet & Jasra 2006.
    """
    num -= num % ISLANDS
    x = start.sample(num, generator)
    x = x[torch.randperm(num, generator=generator, device=x.device)]
    logs = torch.zeros(num, device=x.device, dtype=torch.float64)
    beta, log_step = torch.zeros((), device=x.device, dtype=torch.float64), math.log(0.3)
    for index in range(MAX_TEMPERATURES):
        ratio = _log_weights(start, energy, x)
        last = index == MAX_TEMPERATURES - 1
        following = torch.ones_like(beta) if last else next_beta(logs, ratio, beta, SHARE_KEPT)
        logs = (logs + (following - beta) * ratio).clamp(min=-HUGE)
        beta = following
        if last:
            break
        x, logs = _islands_resampled(x, logs, generator)
        bridge = Bridge(start, energy, beta.float())
        x, log_step, _ = moved(bridge, x, generator, MOVES, log_step)
        if float(beta) >= 1:
            break
    return Population(x, logs, _agreement(x, logs, generator))


def _islands_resampled(
    x: Tensor, logs: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each island by its own weights, where fewer than half of them count."""
    parts = []
    for of, of_logs in zip(x.chunk(ISLANDS), logs.chunk(ISLANDS), strict=True):
        if float(weight_ess(of_logs)) < 0.5:
            of = of[ancestors_of(of_logs, "systematic", generator)]
            of_logs = torch.full_like(of_logs, float(of_logs.logsumexp(0)) - math.log(len(of)))
        parts.append((of, of_logs))
    return torch.cat([of for of, _ in parts]), torch.cat([of for _, of in parts])


def _agreement(x: Tensor, logs: Tensor, generator: torch.Generator) -> float:
    """R-hat between the islands, the worst over coordinates; inf where one is not finite."""
    islands = zip(x.flatten(1).chunk(ISLANDS), logs.chunk(ISLANDS), strict=True)
    draws = torch.stack([_resampled(z, of, len(z), generator) for z, of in islands])
    if not bool(draws.isfinite().all()):
        return math.inf
    return float(r_hat(draws).nan_to_num(nan=1.0).max())


def moved(
    energy: Energy, x: Tensor, generator: torch.Generator, num: int, log_step: float
) -> tuple[Tensor, float, Tensor]:
    """Positions after `num` Hamiltonian moves, the tuned log of the longest step, the energies.

    Every chain draws its own step size for every move, over STEP_RANGE decades below the longest:
    a mixture of kernels that leave exp(−E) in place, so that it is left in place too.
    """
    state = State(x, *energy_and_gradient(energy, x))
    for _ in range(num):
        uniform = torch.rand((2, len(x)), generator=generator, device=x.device)
        momentum = torch.randn(x.shape, generator=generator, device=x.device)
        steps = math.exp(log_step) * 10 ** (-STEP_RANGE * uniform[0])
        steps = steps.reshape(-1, *[1] * (x.dim() - 1))
        end, after = leapfrog(state, momentum, energy, steps, NUM_LEAPFROG)
        rise = end.energy + 0.5 * after.square().flatten(1).sum(1)
        rise = rise - state.energy - 0.5 * momentum.square().flatten(1).sum(1)
        state, info = metropolis(state, end, -rise, uniform[1], NUM_LEAPFROG)
        log_step += GAIN * (float(info.acceptance_rate.mean()) - TARGET_RATE)
        log_step = min(max(log_step, math.log(1e-4)), math.log(2.0))
    return state.position, log_step, state.energy


def _moved_on(z: Tensor, energy: Energy, generator: torch.Generator) -> tuple[Tensor, float]:
    """Draws after the last moves, and how far their mean energy went, in standard errors."""
    before = energies(energy, z).double()
    _, log_step, _ = moved(energy, z[:256], generator, LAST_MOVES, math.log(0.3))
    z, _, after = moved(energy, z, generator, LAST_MOVES, log_step)
    change = after.double() - before
    error = float(change.std()) / math.sqrt(len(change)) if len(change) > 1 else math.inf
    return z, float(change.mean()) / max(error, 1e-12)
