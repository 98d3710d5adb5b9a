"""Walkers that carry weights through training: modes that they do not cross keep their masses."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from backend.distributions import Distribution
from backend.energy import Energy
from backend.sampler import Sampler, State
from backend.samplers import Walk, run
from backend.samplers.replay_buffer import drawn_places

RESAMPLED_BELOW = 0.7
"""Effective share of the weights below which walkers are drawn anew by their weights."""
TUNED_AS = 20
"""The step size moves as at this step of a warm-up that never ends."""


class Moved(NamedTuple):
    """Walkers after a move: together a weighted sample of exp(−E)/Z."""

    weights: Tensor
    """(num,), sum 1"""
    walk: Walk
    effective: Tensor
    """0-d, 1 / (num Σ weights²), before they were resampled if they were"""


class WeightedWalkers(nn.Module):
    """Positions X_i with log-weights A_i: Σ e^{A_i} φ(X_i) / num is ∫ φ e^{−E} / c without bias.

    They start as draws of a base q with c = 1 and A = 0. When E changes to E', A loses
    E'(X) − E(X), and a kernel that is exact for E' moves X (Jarzynski 1997; Neal 2001; in training
    Carbone et al. 2023). A share of them is redrawn from q at every move, with the weight
    e^{−E'} / (q c): that keeps the mean and brings modes back that resampling has lost. Resampling
    puts the mean weight into c, so log Z = log c + log mean e^A at all times.
    """

    positions: Tensor
    energies: Tensor
    log_weights: Tensor
    log_scale: Tensor
    step_size: Tensor
    num_resampled: Tensor

    def __init__(self, base: Distribution, num: int, generator: torch.Generator) -> None:
        super().__init__()
        positions = base.sample(num, generator)
        energies = -base.log_prob(positions)
        self.register_buffer("positions", positions)
        # of the energy that the log-weights are of
        self.register_buffer("energies", energies)
        self.register_buffer("log_weights", torch.zeros_like(energies))
        self.register_buffer("log_scale", energies.new_zeros(()))
        # that of the kernel until it has been tuned
        self.register_buffer("step_size", energies.new_full((), math.nan))
        self.register_buffer("num_resampled", energies.new_zeros(()))

    @torch.no_grad()
    def move(
        self,
        kernel: Sampler,
        energy: Energy,
        base: Distribution,
        renewed: float,
        num_steps: int,
        generator: torch.Generator,
    ) -> Moved:
        """Follow the energy to what it is now, and walk `num_steps` there.

        renewed: the share redrawn from the base. The kernel must be exact.
        """
        self._renew(base, round(renewed * len(self.positions)), generator)
        state = kernel.init(self.positions, energy, generator)
        self.log_weights = self._log_weights_at(state.energy)
        weights = self.log_weights.softmax(0)
        effective = 1 / (len(weights) * weights.square().sum())
        state = self._resampled(state, weights, effective < RESAMPLED_BELOW, generator)
        walk = self._walk(kernel, state, energy, num_steps, generator)
        self.positions, self.energies = walk.state.position, walk.state.energy
        return Moved(self.log_weights.softmax(0), walk, effective)

    def forget_step_size(self) -> None:
        """Start again from the kernel's own step size, and tune it from there."""
        self.step_size = torch.full_like(self.step_size, math.nan)

    @torch.no_grad()
    def log_z(self, energy: Energy) -> Tensor:
        """log ∫ exp(−E) of an energy near the one that was walked on, 0-d."""
        log_weights = self._log_weights_at(energy(self.positions))
        return self.log_scale + log_weights.logsumexp(0) - math.log(len(log_weights))

    def drawn(self, num: int, generator: torch.Generator) -> Tensor:
        """`num` positions, each as often as its weight says, (num, *event_shape)."""
        weights = self.log_weights.softmax(0)
        return self.positions[torch.multinomial(weights, num, True, generator=generator)]

    def _log_weights_at(self, energies: Tensor) -> Tensor:
        change = energies - self.energies
        # what has no energy has no weight
        return torch.nan_to_num(self.log_weights - change, nan=-math.inf, posinf=-math.inf)

    def _renew(self, base: Distribution, num: int, generator: torch.Generator) -> None:
        if not num:
            return
        places = drawn_places(self.positions, num, generator)
        fresh = base.sample(num, generator)
        self.positions = self.positions.index_copy(0, places, fresh)
        self.energies = self.energies.index_copy(0, places, -base.log_prob(fresh))
        weights = -self.log_scale.expand(num)
        self.log_weights = self.log_weights.index_copy(0, places, weights)

    def _resampled(
        self, state: State, weights: Tensor, wanted: Tensor, generator: torch.Generator
    ) -> State:
        """Systematic resampling where `wanted` (0-d bool), decided without a look at the device."""
        num = len(weights)
        offset = torch.rand((), generator=generator, device=weights.device)
        places = torch.arange(num, device=weights.device)
        chosen = torch.searchsorted(weights.cumsum(0), (places + offset) / num).clamp(max=num - 1)
        index = torch.where(wanted, chosen, places)
        log_mean = self.log_weights.logsumexp(0) - math.log(num)
        self.log_scale = self.log_scale + torch.where(wanted, log_mean, 0.0)
        self.log_weights = torch.where(wanted, 0.0, self.log_weights)
        self.num_resampled = self.num_resampled + wanted
        position, energy, gradient = (part[index] for part in state[:3])
        return State(position, energy, gradient, state.extra)

    def _walk(
        self,
        kernel: Sampler,
        state: State,
        energy: Energy,
        num_steps: int,
        generator: torch.Generator,
    ) -> Walk:
        """Walk; a step size that the kernel tunes by itself follows the energy."""
        if "step_size" not in state.extra:
            return run(kernel, state, energy, generator, num_steps)
        size = state.extra["step_size"]
        state = state.carrying(step_size=torch.where(self.step_size > 0, self.step_size, size))
        walk = run(kernel, state, energy, generator, num_steps)
        if walk.info is not None:
            after = kernel.tune(walk.state, walk.info, TUNED_AS, 3 * TUNED_AS)
            self.step_size = after.extra["step_size"]
        return walk
