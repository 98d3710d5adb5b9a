"""Running estimates of a sampler's draws, on the device: moments, mode weights, thinned draws.

Nothing here copies to the host except where a docstring says so.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from backend.metrics.convergence import e_bfmi

MOST_LATEST = 64
"""Hamiltonians of a chain that are drawn."""


class RunningMoments:
    """Weighted sums over all draws so far: mean and variance of every coordinate, mean energy,
    shares of the modes, and the normaliser where draws carry weights.

    Draws without weights count 1 each. Sets of draws with log-weights, as of the passes of AIS,
    are pooled with the weights as they are, which is the consistent estimate over passes.
    """

    def __init__(
        self, event_shape: torch.Size, num_modes: int, device: torch.device, num_functions: int = 0
    ) -> None:

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.sum, self.squares = zeros(*event_shape), zeros(*event_shape)
        self.energy, self.modes, self.total = zeros(), zeros(num_modes), zeros()
        self.functions = zeros(num_functions)
        """weight of the draws so far, relative to exp(log_scale) where they are weighted"""
        self.effective = zeros()
        """of weighted draws: their number by Kish's formula, summed over the passes"""
        self.log_scale = zeros() - math.inf
        self.passes = zeros()
        """finished, of samplers that anneal"""

    def add(
        self,
        position: Tensor,
        energy: Tensor,
        nearest: Tensor | None = None,
        values: Tensor | None = None,
    ) -> None:
        """Count draws (chains, *event_shape), their energies and nearest modes (chains,) and the
        values of functions of them (chains, functions)."""
        x = position.double()
        self.sum = self.sum + x.sum(0)
        self.squares = self.squares + (x * x).sum(0)
        self.energy = self.energy + energy.sum(dtype=torch.float64)
        self.total = self.total + len(x)
        if nearest is not None:
            # not `bincount`, which asks the device for the largest
            ones = torch.ones_like(nearest, dtype=self.modes.dtype)
            self.modes = self.modes.index_add(0, nearest, ones)
        if values is not None:
            self.functions = self.functions + values.sum(0, dtype=torch.float64)

    def add_weighted(
        self,
        position: Tensor,
        energy: Tensor,
        nearest: Tensor | None,
        log_weights: Tensor | None,
        complete: Tensor,
        values: Tensor | None = None,
    ) -> None:
        """As `add`, for the end of a pass; `complete` false (0-d bool) counts nothing.

        log_weights (chains,) are of these draws; None where they count 1 each.
        """
        x = position.double()
        log_w = torch.zeros_like(energy, dtype=torch.float64)
        if log_weights is not None:
            log_w = log_weights.double()
        log_w = torch.where(complete, log_w, -math.inf)
        scale = torch.maximum(self.log_scale, log_w.amax())
        weights = (log_w - scale).exp().nan_to_num(0.0)
        keep = (self.log_scale - scale).exp().nan_to_num(0.0)
        wide = weights.reshape(-1, *[1] * (x.dim() - 1))
        # a position that is no number must not spoil the sums of those that do not count
        x = torch.where(wide > 0, x, 0.0)
        self.sum = keep * self.sum + (wide * x).sum(0)
        self.squares = keep * self.squares + (wide * x * x).sum(0)
        self.energy = keep * self.energy + (weights * energy.double().nan_to_num(0.0)).sum()
        self.total = keep * self.total + weights.sum()
        number = weights.sum().square() / weights.square().sum().clamp(min=1e-300)
        self.effective = self.effective + number
        self.passes = self.passes + complete
        self.log_scale = scale
        if nearest is not None:
            counts = torch.zeros_like(self.modes).index_add(0, nearest, weights)
            self.modes = keep * self.modes + counts
        if values is not None:
            shares = (weights[:, None] * values.double().nan_to_num(0.0)).sum(0)
            self.functions = keep * self.functions + shares

    def mean(self) -> Tensor:
        """(*event_shape) float64; nan before the first draw."""
        return self.sum / self.total

    def variance(self) -> Tensor:
        """(*event_shape) float64; nan before the first draw."""
        return self.squares / self.total - self.mean().square()

    def mean_energy(self) -> Tensor:
        return self.energy / self.total

    def mode_weights(self) -> Tensor:
        """(num_modes,) shares of the draws nearest to each mode."""
        return self.modes / self.total

    def log_z(self, num_chains: int) -> Tensor:
        """log of the mean weight over all finished passes of `num_chains` each, 0-d: an estimate
        of log ∫exp(−E) where the weights are those of AIS or SMC."""
        return self.total.log() + self.log_scale - (self.passes * num_chains).log()


class ThinnedDraws:
    """Evenly spaced draws of some chains over the whole run, at most `size` of each.

    When full, every other draw goes and the distance between those to come doubles.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.every = 1
        """offers between two draws kept"""
        self.offered = 0
        self.draws: list[Tensor] = []
        """(chains, figures) each"""

    def wants(self) -> bool:
        """True where the next draw offered is one to keep."""
        return self.offered % self.every == 0

    def offer(self, figures: Tensor | None) -> None:
        """Take a draw (chains, figures); None where `wants` said no."""
        if self.wants():
            assert figures is not None
            self.draws.append(figures)
            if len(self.draws) == self.size:
                self.draws = self.draws[::2]
                self.every *= 2
        self.offered += 1

    def stacked(self) -> Tensor:
        """(chains, draws, figures)."""
        return torch.stack(self.draws, 1)


class Hamiltonians:
    """E-BFMI of every chain from the Hamiltonians at the starts of its trajectories, running."""

    def __init__(self, num_chains: int, device: torch.device) -> None:
        self.last = torch.full((num_chains,), math.nan, dtype=torch.float64, device=device)
        self.jumps = torch.zeros(num_chains, dtype=torch.float64, device=device)
        self.sum = torch.zeros_like(self.jumps)
        self.squares = torch.zeros_like(self.jumps)
        self.shift = torch.zeros_like(self.jumps)
        self.num = 0
        # a deque, which checkpoints leave out: it is drawn, and nothing is computed from it
        self.latest: deque[Tensor] = deque(maxlen=MOST_LATEST)
        """(chains,) of each of the latest trajectories"""

    def add(self, values: Sequence[Tensor]) -> None:
        """Count some trajectories of every chain, (chains,) each, in their order."""
        value = torch.stack(list(values)).double()
        self.latest.extend(value.unbind(0))
        if self.num == 0:
            self.shift = self.last = value[0]
        moves = torch.cat([self.last[None], value]).diff(dim=0)
        centred = value - self.shift
        self.jumps = self.jumps + moves.square().sum(0)
        self.sum = self.sum + centred.sum(0)
        self.squares = self.squares + centred.square().sum(0)
        self.last = value[-1]
        self.num += len(value)

    def figure(self) -> Tensor:
        """E-BFMI, the mean over chains, 0-d; nan before the third trajectory."""
        if self.num < 3:
            return torch.full_like(self.sum[0], math.nan)
        return e_bfmi(self.jumps, self.squares - self.sum.square() / self.num).mean()
