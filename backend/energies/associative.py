"""Energies of associative memories: patterns are their valleys, retrieval rolls down into one."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy
from backend.energy import Energy

ROUNDING = 1e-6
"""Of an energy a bit, in 32-bit arithmetic."""


class AssociativeEnergy(DiscreteEnergy):
    """E(s) = −(N/n) Σ_a m_a^n, or −log Σ_a exp(N m_a), of spins s = 2x − 1, bits x in {0, 1}^N.

    m_a = v_a · s / N is the overlap with the stored vector v_a of `vectors` (A, N), or (..., A, N)
    for many memories side by side. n = 2 is Hopfield's, larger
    n a dense memory (Krotov & Hopfield 2016), `power` None the exponential one (Demircigil et al.
    2017). Energies are extensive, so that the local field of a spin is Σ_a v_ai m_a^(n−1).
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, power: int | None, event_shape: torch.Size) -> None:
        super().__init__()
        self.num_values, self.event_shape, self.power = 2, event_shape, power
        self.register_buffer("vectors", vectors)

    def value(self, one_hot: Tensor) -> Tensor:
        return self.of_spins((one_hot[..., 1] - one_hot[..., 0]).flatten(1))

    def of_spins(self, spins: Tensor) -> Tensor:
        """Energies (batch,) of spins (batch, N), −1 or 1 or in between."""
        return self.of_overlaps(self.overlaps(spins))

    def overlaps(self, spins: Tensor) -> Tensor:
        """m (..., batch, A) of spins (..., batch, N)."""
        return spins @ self.vectors.to(spins).mT / self.num_sites

    def of_overlaps(self, overlaps: Tensor) -> Tensor:
        """Energies (..., batch) of overlaps (..., batch, A)."""
        if self.power is None:
            return -(self.num_sites * overlaps).logsumexp(-1)
        return -self.num_sites / self.power * _power(overlaps, self.power).sum(-1)

    @property
    def tie(self) -> float:
        """Difference in energy that is no more than rounding."""
        return ROUNDING * self.num_sites

    def fall(self, rest: Tensor, column: Tensor) -> Tensor:
        """E(s_i = −1) − E(s_i = 1), (..., batch): how far a spin lowers the energy by pointing up.

        rest: (..., batch, A) overlaps without it; column: (..., 1, A) what it adds to each,
        v_ai / N.
        """
        return self.of_overlaps(rest - column) - self.of_overlaps(rest + column)

    def fields(self, spins: Tensor) -> Tensor:
        """Mean-field form of the local fields (..., batch, N): Σ_a v_ai m_a^(n−1), N·A a sweep, the
        spin's own share of m_a left in. Of the exponential memory Σ_a v_ai softmax_a(N m)."""
        overlaps = self.overlaps(spins)
        if self.power is None:
            weights = (self.num_sites * overlaps).softmax(-1)
        else:
            weights = _power(overlaps, self.power - 1)
        return weights @ self.vectors.to(spins)

    def asynchronous(
        self,
        spins: Tensor,
        temperature: float,
        generator: torch.Generator,
        sites: Tensor | None = None,
    ) -> Tensor:
        """Spins (..., batch, N) after one sweep, one spin after the other in random order.

        Each is drawn from its law given all others (Glauber); at temperature 0 it takes the side of
        lower energy and stays where both are equal, so the energy never rises. Overlaps are updated
        in place: N·A operations a sweep. sites: (num,) int64, these alone and in this order.
        """
        num = self.num_sites
        if sites is None:
            sites = torch.randperm(num, generator=generator, device=spins.device)
        columns = self.vectors.movedim(-1, 0)[sites].unsqueeze(-2) / num
        result = spins.movedim(-1, 0).clone()
        turned = result[sites]
        overlaps = self.overlaps(spins)
        for index in range(len(sites)):
            column, now = columns[index], turned[index]
            rest = overlaps - now.unsqueeze(-1) * column
            new = _chosen(self.fall(rest, column), now, temperature, self.tie, generator)
            turned[index] = new
            overlaps = torch.addcmul(rest, new.unsqueeze(-1), column)
        result[sites] = turned
        return result.movedim(0, -1).contiguous()

    def parallel(self, spins: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Spins (..., batch, N) after all were drawn at once by their mean-field fields h.

        P(s_i = 1) = (1 + tanh(h_i / T)) / 2. The energy may rise.
        """
        return _chosen(2 * self.fields(spins), spins, temperature, self.tie, generator)


class ModernHopfieldEnergy(Energy):
    """E(q) = −log Σ_a exp(β x_a · q) / β + |q|² / 2 + log A / β + max |x_a|² / 2 ≥ 0, of real q.

    Ramsauer et al. 2021. Stored x_a (A, dim); q (batch, *event_shape).
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.register_buffer("vectors", vectors)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        q, stored, beta = x.flatten(1), self.vectors.to(x), self.sharpness
        constant = math.log(len(stored)) / beta + 0.5 * stored.square().sum(1).amax()
        fit = (beta * q @ stored.T).logsumexp(1) / beta
        return 0.5 * q.square().sum(1) - fit + constant

    def retrieved(self, x: Tensor) -> Tensor:
        """One update q ← Xᵀ softmax(β X q), which lowers the energy, of x (batch, *event_shape)."""
        stored = self.vectors.to(x)
        weights = (self.sharpness * x.flatten(1) @ stored.T).softmax(1)
        return (weights @ stored).view_as(x)


def _power(x: Tensor, exponent: int) -> Tensor:
    """x to a whole power by squaring, which is several times as fast as `torch.pow`."""
    if exponent == 1:
        return x
    half = _power(x, exponent // 2)
    return half * half * x if exponent % 2 else half * half


def _chosen(
    fall: Tensor, now: Tensor, temperature: float, tie: float, generator: torch.Generator
) -> Tensor:
    """Spins that a fall of energy by pointing up decides, or draws; `tie` is none at all."""
    if not temperature:
        return torch.where(fall.abs() <= tie, now, fall.sign())
    chance = (fall / temperature).sigmoid()
    uniform = torch.rand(now.shape, generator=generator, device=now.device)
    return torch.where(uniform < chance, 1.0, -1.0)
