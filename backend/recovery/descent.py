"""Chains on recovery conditionals, and the way down all levels of noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.energies import NO_LABEL, Condition, NetworkEnergy
from backend.energy import Energy
from backend.method import SampleRequest
from backend.recovery.bases import Base
from backend.recovery.noise_schedule import NoiseLadder, climbed, noised, per_row


class Terms(NamedTuple):
    """A weighted sum of conditions, Σ weight · f(x | label), weights adding up to 1."""

    weights: tuple[float, ...]
    labels: tuple[Tensor | None, ...]
    """(batch,) or 0-d int64 each; None where no classes are known"""


def terms_of(
    labels: Tensor | None,
    guidance: float = 0.0,
    mixture: Iterable[tuple[int, float]] = (),
    device: torch.device | None = None,
) -> Terms:
    """f(∅) + (1 + guidance) Σ weight (f(label) − f(∅)); parts that weigh nothing are left out.

    `labels`, of weight 1, count where there is no mixture. Ho & Salimans 2021 (guidance).

    >>> terms_of(torch.tensor([3]), guidance=0.5).weights
    (-0.5, 1.5)
    """
    parts = [(torch.tensor(label, device=device), weight) for label, weight in mixture]
    if not parts and labels is not None:
        parts = [(labels, 1.0)]
    weighed = [((1 + guidance) * weight, label) for label, weight in parts]
    none = torch.tensor(NO_LABEL, device=device)
    candidates = [(1 - sum(weight for weight, _ in weighed), none), *weighed]
    terms = [(weight, label) for weight, label in candidates if weight]
    return Terms(tuple(weight for weight, _ in terms), tuple(label for _, label in terms))


class Way(NamedTuple):
    """One way down the ladder."""

    positions: list[Tensor]
    """x_T … x_0, and that one denoised"""
    displacement: list[Tensor]
    """0-d, levels T−1 … 0: mean distance of a chain's end from its start"""


class Descent:
    """Chains of K Langevin steps on p(x_t | x_{t+1}), of one network and maybe an initializer."""

    gradient_evaluations: int = 0
    """∇E evaluations in x so far, each over a batch"""

    def __init__(
        self,
        ladder: NoiseLadder,
        base: Base,
        network: NetworkEnergy,
        initializer: nn.Module | None = None,
    ) -> None:
        self.ladder, self.base = ladder, base
        self.network, self.initializer = network, initializer

    @torch.no_grad()
    def start(
        self, x_next: Tensor, level: Tensor, terms: Terms, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Start of chains at `level`, and the noise in it, both like x_next.

        The initializer's guess, put together as the energies are, plus noise of the variance of
        q(x_t | x_{t+1}, x); without one the noisier position itself, over √α_t save at the last
        level.
        """
        if self.initializer is not None:
            guess = torch.zeros_like(x_next)
            for weight, label in zip(*terms, strict=True):
                guess = guess + weight * self.initializer(x_next, Condition(level, label))
            spread = self.ladder.posterior_variance.sqrt()[level]
            jitter = per_row(spread, x_next) * normal(x_next, generator)
            return guess + jitter, jitter
        last = level == self.ladder.num_levels - 1
        signal = torch.where(last, 1.0, self.ladder.alpha.sqrt()[level])
        return x_next / per_row(signal, x_next), torch.zeros_like(x_next)

    def refined(
        self,
        x: Tensor,
        x_next: Tensor,
        level: Tensor,
        terms: Terms,
        num_steps: int,
        generator: torch.Generator,
        mask: Tensor | None = None,
    ) -> Tensor:
        """x (batch, *event_shape) after `num_steps` Langevin steps, held where `mask` is True."""
        if not num_steps:
            return x
        kernel = self.base.kernel(level, mask)
        for _ in range(num_steps):
            gradient = self._gradient(x, level, terms)
            x = kernel(x, x_next, gradient, normal(x, generator))
        return x

    def _gradient(self, x: Tensor, level: Tensor, terms: Terms) -> Tensor:
        """∇ of k_t Σ weight · f(x | label), like x, without a graph. Each term is an evaluation."""
        self.gradient_evaluations += len(terms.weights)
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            total = weighted_energy(self.network, x, level, terms).sum()
            (gradient,) = torch.autograd.grad(total, x)
        return gradient * per_row(-self.base.scale[level], x)

    def denoised(self, x: Tensor, terms: Terms) -> Tensor:
        """E[z | x_0] by Tweedie's formula, (x + σ̄_0² ∇ log p(x)) / √ᾱ_0, like x."""
        level = torch.zeros((), dtype=torch.int64, device=x.device)
        score = self._gradient(x, level, terms) + self.base.score(x, level)
        alpha_bar = self.ladder.alpha_bar[0].to(x.dtype)
        return (x + (1 - alpha_bar) * score) / alpha_bar.sqrt()

    @torch.no_grad()
    def descend(
        self,
        data: Data,
        request: SampleRequest,
        terms: Terms,
        num_steps: int,
        generator: torch.Generator,
    ) -> Way:
        """From noise down all levels to a denoised sample, cut to the range of images.

        Known coordinates hold one noisy version of what is known at every level, while chains
        move the others given them.
        """
        x = normal(data.train.new_empty((request.num, *data.event_shape)), generator)
        versions = self._noisy_versions(request, generator)
        mask = request.mask if versions else None
        x = x if mask is None else torch.where(mask, versions[-1], x)
        positions, displacement = [x], []
        for number in reversed(range(self.ladder.num_levels)):
            level, x_next = torch.tensor(number, device=x.device), x
            start, _ = self.start(x_next, level, terms, generator)
            if mask is not None:
                start = torch.where(mask, versions[number], start)
            x = self.refined(start, x_next, level, terms, num_steps, generator, mask)
            positions.append(x)
            displacement.append((x - start).flatten(1).norm(dim=1).mean())
        z = self.denoised(x, terms)
        if data.is_image:
            z = z.clamp(data.noise_low, data.noise_high)
        if mask is not None and request.known is not None:
            z = torch.where(mask, request.known, z)
        return Way([*positions, z], displacement)

    def _noisy_versions(self, request: SampleRequest, generator: torch.Generator) -> list[Tensor]:
        """x_0 … x_T of what is known, each the last one with more noise; empty without it."""
        if request.known is None or request.mask is None:
            return []
        known = request.known
        level = torch.zeros((), dtype=torch.int64, device=known.device)
        versions = [noised(self.ladder, known, level, normal(known, generator))]
        for number in range(self.ladder.num_levels):
            versions.append(
                climbed(self.ladder, versions[-1], level + number, normal(known, generator))
            )
        return versions


class LowestLevel(Energy):
    """−F_0(√ᾱ_0 z) of standardised z: −log p, up to a constant, of data with the least noise."""

    signal: Tensor

    def __init__(
        self, network: NetworkEnergy, base: Base, ladder: NoiseLadder, terms: Terms
    ) -> None:
        super().__init__()
        self.network, self.base, self.terms = network, base, terms
        self.register_buffer("signal", ladder.alpha_bar[0].sqrt().float())

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        level = torch.zeros((), dtype=torch.int64, device=x.device)
        scaled = self.signal * x
        energy = weighted_energy(self.network, scaled, level, self.terms)
        return self.base.scale[0] * energy - self.base.log_density(scaled, level)


def weighted_energy(network: NetworkEnergy, x: Tensor, level: Tensor, terms: Terms) -> Tensor:
    """Σ weight · E(x | level, label), (batch,): the network's energies, not yet times k_t."""
    total = x.new_zeros(len(x))
    for weight, label in zip(*terms, strict=True):
        # an energy that was moved to another device still has the labels that it was made with
        at = None if label is None else label.to(x.device)
        total = total + weight * network(x, Condition(level, at))
    return total


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal draws shaped like a tensor."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
