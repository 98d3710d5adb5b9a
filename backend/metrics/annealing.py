"""log Z by annealed importance sampling from a fitted distribution to the model, both ways."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from backend.distributions import Distribution
from backend.energy import Energy, energy_and_gradient
from backend.metrics.density import energies
from backend.metrics.weighted_points import WeightedPoints, weighed

NUM_LEVELS = 100
NUM_CHAINS = 1000
FIRST_STEP = 0.02
"""Step of Langevin moves, squared data sd; then tuned level by level."""
ACCEPTED = 0.6


class Between(Energy):
    """(1 − β) (−log q) + β E/T, of a base q with known density."""

    def __init__(self, base: Distribution, energy: Energy, temperature: float, beta: float) -> None:
        super().__init__()
        self.base, self.energy, self.temperature, self.beta = base, energy, temperature, beta

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        log_base = self.base.log_prob(x)
        return self.beta * self.energy(x) / self.temperature - (1 - self.beta) * log_base


class Annealing:
    """Chains from q to exp(−E/T) by NUM_LEVELS values of β, one Metropolis-adjusted Langevin move
    at each. Neal 2001; in reverse Grosse et al. 2015."""

    def __init__(self, base: Distribution, energy: Energy, temperature: float = 1.0) -> None:
        self.base, self.energy, self.temperature = base, energy, temperature
        self.betas = [index / NUM_LEVELS for index in range(NUM_LEVELS + 1)]
        self.steps = [FIRST_STEP] * (NUM_LEVELS + 1)
        """step of the moves at each level, which `forward` tunes"""

    def forward(self, generator: torch.Generator, num: int = NUM_CHAINS) -> WeightedPoints:
        """Positions that stand for the model: E[w] = Z, so log Z falls short on average."""
        x = self.base.sample(num, generator)
        logs = torch.zeros(num, dtype=torch.float64, device=x.device)
        for index in range(1, NUM_LEVELS + 1):
            logs = logs + self._ratio(x) / NUM_LEVELS
            x, accepted = self._move(x, index, generator)
            if index < NUM_LEVELS:
                self.steps[index + 1] = self.steps[index] * math.exp(accepted - ACCEPTED)
        _, error = weighed(logs)
        return WeightedPoints(x, logs - math.log(num), error)

    def reverse(self, draws: Tensor, generator: torch.Generator) -> tuple[float, float]:
        """log Z and its error from the model's own draws (num, *event_shape): too high on average,
        and as good as the draws are. Call `forward` before, which tunes the steps."""
        x, logs = draws, torch.zeros(len(draws), dtype=torch.float64, device=draws.device)
        for index in range(NUM_LEVELS, 0, -1):
            x, _ = self._move(x, index, generator)
            logs = logs - self._ratio(x) / NUM_LEVELS
        log_mean, error = weighed(logs)
        return -log_mean, error

    def _ratio(self, x: Tensor) -> Tensor:
        """log exp(−E/T)/q (num,), −inf where an energy is no number."""
        values = -energies(self.energy, x).double() / self.temperature
        return (values - self.base.log_prob(x).double()).nan_to_num(nan=-torch.inf)

    def _move(self, x: Tensor, index: int, generator: torch.Generator) -> tuple[Tensor, float]:
        """x after one move at a level, and the share of the moves that was accepted."""
        between = Between(self.base, self.energy, self.temperature, self.betas[index])
        step = self.steps[index]
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        value, gradient = energy_and_gradient(between, x)
        proposal = x - step * gradient + math.sqrt(2 * step) * noise
        new_value, new_gradient = energy_and_gradient(between, proposal)
        back = (x - proposal + step * new_gradient).flatten(1).square().sum(1) / (4 * step)
        log_rate = value - new_value + 0.5 * noise.flatten(1).square().sum(1) - back
        uniform = torch.rand(len(x), generator=generator, device=x.device)
        accepted = uniform.log() < log_rate
        mask = accepted.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, proposal, x), float(accepted.float().mean())
