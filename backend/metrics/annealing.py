"""log Z by annealed importance sampling from a fitted distribution to the model, both ways."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from backend.energy import Energy, energy_and_gradient
from backend.metrics.density import energies
from backend.metrics.weighted_points import WeightedPoints, weighed

NUM_LEVELS = 100
NUM_CHAINS = 1000
NUM_GROUPS = 8
"""Groups of chains that know nothing of one another: they differ by what log Z is uncertain."""
RESAMPLED_BELOW = 0.5
"""Effective share of a group's weights below which its chains are drawn anew by them."""
FIRST_STEP = 0.02
"""Step of Langevin moves, squared data sd; then tuned level by level."""
ACCEPTED = 0.6
ACCEPTED_TRAJECTORIES = 0.8
"""The same where a move is several leapfrog steps."""


class Base(Protocol):
    """A law with known density and exact draws, such as a fitted distribution."""

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Exact independent draws (num, *event_shape)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) (num,) of positions z (num, *event_shape)."""


class Between(Energy):
    """(1 − β) (−log q) + β E/T, of a base q with known density."""

    def __init__(self, base: Base, energy: Energy, temperature: float, beta: float) -> None:
        super().__init__()
        self.base, self.energy, self.temperature, self.beta = base, energy, temperature, beta

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        log_base = self.base.log_prob(x)
        return self.beta * self.energy(x) / self.temperature - (1 - self.beta) * log_base


class Annealing:
    """Chains from q to exp(−E/T) by levels of β that are densest at q, a Hamiltonian move at each
    (of one leapfrog step, Metropolis-adjusted Langevin), in groups that resample among themselves.
    Neal 2001; resampled Del Moral et al. 2006; in reverse Grosse et al. 2015."""

    def __init__(
        self,
        base: Base,
        energy: Energy,
        temperature: float = 1.0,
        *,
        num_levels: int = NUM_LEVELS,
        num_leapfrog: int = 1,
    ) -> None:
        self.base, self.energy, self.temperature = base, energy, temperature
        self.num_leapfrog = num_leapfrog
        self.betas = [(index / num_levels) ** 2 for index in range(num_levels + 1)]
        self.steps = [FIRST_STEP] * (num_levels + 1)
        """step of the moves at each level, which `forward` tunes"""

    def forward(self, generator: torch.Generator, num: int = NUM_CHAINS) -> WeightedPoints:
        """About `num` positions that stand for the model: E[w] = Z, so log Z falls short on
        average, and exceeds the truth by c nats with a probability of at most e^−c."""
        x = self.base.sample(num - num % NUM_GROUPS, generator)
        groups = Groups(x)
        target = ACCEPTED if self.num_leapfrog == 1 else ACCEPTED_TRAJECTORIES
        for index in range(1, len(self.betas)):
            x = groups.weigh(x, self._gain(x, index), generator)
            x, accepted = self._move(x, index, generator)
            if index + 1 < len(self.steps):
                self.steps[index + 1] = self.steps[index] * math.exp(accepted - target)
        return WeightedPoints(
            x, groups.log_weights.flatten() - math.log(len(x)), groups.log_mean()[1]
        )

    def reverse(self, draws: Tensor, generator: torch.Generator) -> tuple[float, float]:
        """log Z and its error from the model's own draws (num, *event_shape): too high on average,
        and as good as the draws are. Call `forward` before, which tunes the steps."""
        x = draws[: len(draws) - len(draws) % NUM_GROUPS]
        groups = Groups(x)
        for index in range(len(self.betas) - 1, 0, -1):
            x, _ = self._move(x, index, generator)
            x = groups.weigh(x, -self._gain(x, index), generator)
        log_mean, error = groups.log_mean()
        return -log_mean, error

    def _gain(self, x: Tensor, index: int) -> Tensor:
        """log of the density at a level over that at the one before, (num,) float64; −inf where an
        energy is no number."""
        values = -energies(self.energy, x).double() / self.temperature
        ratio = (values - self.base.log_prob(x).double()).nan_to_num(nan=-torch.inf)
        return (self.betas[index] - self.betas[index - 1]) * ratio

    def _move(self, x: Tensor, index: int, generator: torch.Generator) -> tuple[Tensor, float]:
        """x after one move at a level, and the share of the moves that was accepted."""
        between = Between(self.base, self.energy, self.temperature, self.betas[index])
        length = math.sqrt(2 * self.steps[index])
        momentum = torch.randn(x.shape, generator=generator, device=x.device)
        value, gradient = energy_and_gradient(between, x)
        before = value + 0.5 * momentum.flatten(1).square().sum(1)
        proposal, momentum = x, momentum - 0.5 * length * gradient
        for remaining in range(self.num_leapfrog - 1, -1, -1):
            proposal = proposal + length * momentum
            value, gradient = energy_and_gradient(between, proposal)
            momentum = momentum - (1.0 if remaining else 0.5) * length * gradient
        log_rate = before - value - 0.5 * momentum.flatten(1).square().sum(1)
        uniform = torch.rand(len(x), generator=generator, device=x.device)
        accepted = uniform.log() < log_rate
        mask = accepted.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, proposal, x), float(accepted.float().mean())


class Groups:
    """Weights of chains (num, ...) in NUM_GROUPS groups, each with an estimate of its own."""

    def __init__(self, x: Tensor) -> None:
        shape = (NUM_GROUPS, len(x) // NUM_GROUPS)
        self.since = torch.zeros(shape, dtype=torch.float64, device=x.device)
        """(groups, chains of a group) log-weights since a group was last resampled"""
        self.log_scale = torch.zeros((NUM_GROUPS, 1), dtype=torch.float64, device=x.device)
        """log of the mean weight of each group up to then"""

    @property
    def log_weights(self) -> Tensor:
        """(groups, chains of a group)"""
        return self.since + self.log_scale

    def weigh(self, x: Tensor, change: Tensor, generator: torch.Generator) -> Tensor:
        """x, after log-weights changed by `change` (num,): drawn anew, systematically, in those
        groups whose weights have become uneven."""
        self.since = self.since + change.reshape(self.since.shape)
        num = self.since.shape[1]
        shares = self.since.softmax(1).nan_to_num(nan=1 / num)  # a group whose weights are all 0
        uneven = 1 / shares.square().sum(1, keepdim=True) < RESAMPLED_BELOW * num
        offset = torch.rand((NUM_GROUPS, 1), generator=generator, device=x.device)
        places = torch.arange(num, device=x.device).expand_as(shares)
        chosen = torch.searchsorted(shares.cumsum(1), ((places + offset) / num).double())
        chosen = torch.where(uneven, chosen.clamp(max=num - 1), places)
        log_mean = self.since.logsumexp(1, keepdim=True) - math.log(num)
        self.log_scale = self.log_scale + torch.where(uneven, log_mean, 0.0)
        self.since = torch.where(uneven, 0.0, self.since)
        first = num * torch.arange(NUM_GROUPS, device=x.device)[:, None]
        return x[(first + chosen).flatten()]

    def log_mean(self) -> tuple[float, float]:
        """log of the mean weight of all, and its standard error by the spread of the groups."""
        return weighed(self.log_weights.logsumexp(1) - math.log(self.since.shape[1]))
