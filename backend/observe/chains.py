"""Running chains to look at them: their path, their diagnostics, never the training's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from backend.energy import Energy
from backend.metrics.convergence import bulk_ess, r_hat, tail_ess
from backend.randomness import generator_of
from backend.sampler import Info, Sampler, State

MAX_FIGURES = 8
"""Coordinates, or random projections where there are more, that diagnostics look at."""


@dataclass
class Chains:
    """A batch of chains that was run, and what was kept of its path."""

    state: State
    path: list[Tensor]
    """positions kept, each (chains kept, *event_shape); the first is the start when all are kept"""
    energies: list[Tensor]
    """(chains kept,) of each kept position"""
    accepted: list[Tensor]
    """(chains kept,) bool of each step that led to a kept position"""
    gradient_evaluations: int = 0
    acceptance: list[Tensor] = field(default_factory=list)
    """mean acceptance probability of every step, 0-d each"""
    pull: list[Tensor] = field(default_factory=list)
    """(|drift|, |noise|) root mean squares of the kept steps, each (2,)"""
    num_steps: int = 0
    keep_last: int = 0
    """steps at the end over which the path is kept"""
    keep_every: int = 1
    """steps from one kept position to the next"""

    @property
    def position(self) -> Tensor:
        return self.state.position

    @property
    def acceptance_rate(self) -> float:
        return float(torch.stack(self.acceptance).mean())

    @property
    def drift(self) -> tuple[float, float]:
        """Change of the mean energy over the kept steps, and its standard error."""
        change = self.energies[-1].double() - self.energies[0].double()
        return float(change.mean()), float(change.std()) / math.sqrt(len(change))

    @property
    def gradient_to_noise(self) -> float:
        """Length of the drift over the length of the noise in one step, over the kept steps."""
        drift, noise = torch.stack(self.pull).mean(0).tolist()
        return drift / noise if noise > 0 else float("inf")

    @property
    def radius(self) -> float:
        """Largest norm of a chain."""
        return float(self.position.flatten(1).norm(dim=1).max())


def run_chains(
    sampler: Sampler,
    energy: Energy,
    position: Tensor,
    num_steps: int,
    generator: torch.Generator,
    *,
    keep_last: int,
    keep_every: int = 1,
    keep_chains: int | None = None,
) -> Chains:
    """`num_steps` of the sampler from `position`, keeping the path over the last `keep_last`.

    Kept are every `keep_every`-th position of the first `keep_chains` chains (all by default) and,
    where the whole path is kept, the start.
    """
    state = sampler.init(position, energy, generator)
    chains = Chains(
        state,
        [],
        [],
        [],
        gradient_evaluations=1,
        num_steps=num_steps,
        keep_last=min(keep_last, num_steps),
        keep_every=keep_every,
    )
    followed = slice(keep_chains)
    if keep_last >= num_steps:
        chains.path.append(state.position[followed])
        chains.energies.append(state.energy[followed])
    for index in range(num_steps):
        before = state
        state, info = sampler.step(state, energy, generator)
        chains.gradient_evaluations += info.gradient_evaluations
        chains.acceptance.append(info.acceptance_rate.mean())
        remaining = num_steps - 1 - index
        if remaining < keep_last and remaining % keep_every == 0:
            chains.path.append(state.position[followed])
            chains.energies.append(state.energy[followed])
            chains.accepted.append(info.accepted[followed])
            chains.pull.append(_pull(before, info))
    chains.state = state
    return chains


def _pull(before: State, info: Info) -> Tensor:
    """Root mean squares of drift and noise in one step, (2,).

    The proposal is read as x - aE'(x) + noise; least squares over all chains gives a. That needs
    nothing of a sampler's settings and is exact for Langevin proposals. nan of discrete events,
    whose gradient is one in the values of each site.
    """
    if before.gradient.shape != before.position.shape:
        return torch.full((2,), torch.nan, device=before.position.device)
    gradient = before.gradient.flatten(1)
    move = (info.proposal - before.position).flatten(1)
    rate = (gradient * move).sum() / gradient.square().sum().clamp(min=1e-30)
    drift = rate * gradient
    return torch.stack([drift.square().mean(), (move - drift).square().mean()]).sqrt()


@dataclass(frozen=True)
class Diagnostics:
    """The worst figure over the coordinates looked at, and the energy's own R-hat."""

    r_hat: float
    r_hat_energy: float
    bulk_ess: float
    tail_ess: float


def figures_of(chains: Chains) -> Tensor:
    """Figures of the kept path (chains, draws, 1 + figures), float64: the energy, then every
    coordinate, or MAX_FIGURES fixed random projections where there are more."""
    energies = torch.stack(chains.energies, 1)
    path = torch.stack([position.flatten(1) for position in chains.path], 1)
    if path.shape[2] > MAX_FIGURES:
        shape = (path.shape[2], MAX_FIGURES)
        path = path @ torch.randn(shape, generator=generator_of("projections")).to(path)
    return torch.cat([energies[:, :, None], path], 2).double().cpu()


def diagnose(chains: Chains) -> Diagnostics:
    """R-hat and effective sample sizes of the figures of the kept path.

    Constant figures do not count; nan where any is not finite.
    """
    figures = figures_of(chains)
    moves = figures.flatten(0, 1).std(0) > 0
    if not figures.isfinite().all() or not moves[0]:
        return Diagnostics(*[float("nan")] * 4)
    hats = r_hat(figures[:, :, moves])
    return Diagnostics(
        r_hat=float(hats.max()),
        r_hat_energy=float(hats[0]),
        bulk_ess=float(bulk_ess(figures[:, :, moves]).min()),
        tail_ess=float(tail_ess(figures[:, :, moves]).min()),
    )
