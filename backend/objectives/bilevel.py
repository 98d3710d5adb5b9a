"""Bilevel learning of a field of experts: its minima to an accuracy, and the slope above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.energy import Energy

Map = Callable[[Tensor], Tensor]
MOST_STEPS = 5000


@torch.no_grad()
def descend(
    x: Tensor, gradient: Map, lipschitz: float, accuracy: float, most: int = MOST_STEPS
) -> tuple[Tensor, int]:
    """Go down a convex function from x (batch, size) until no entry of its gradient is larger than
    `accuracy`: where it ends, and the gradients that were asked for.

    By accelerated steps of 1/`lipschitz` that forget their speed where it goes uphill. Nesterov
    1983; O'Donoghue & Candès 2015.
    """
    ahead, speed = x, 1.0
    for num in range(1, most + 1):
        slope = gradient(ahead)
        if bool(slope.abs().amax() <= accuracy):
            return ahead, num
        stepped = ahead - slope / lipschitz
        if bool((slope * (stepped - x)).sum() > 0):
            ahead, speed = stepped, 1.0
        else:
            faster = (1 + (1 + 4 * speed**2) ** 0.5) / 2
            ahead = stepped + (speed - 1) / faster * (stepped - x)
            speed = faster
        x = stepped
    return x, most


@torch.no_grad()
def solve(product: Map, right: Tensor, accuracy: float, most: int = 200) -> tuple[Tensor, int]:
    """Solve H q = b for b = `right` (batch, size) by conjugate gradients, each row by itself, until
    the residual is `accuracy` times as long as b: q, and the products that were asked for.

    `product` gives H p of p (batch, size), H symmetric and positive definite in every row.
    """
    tiny = torch.finfo(right.dtype).tiny
    answer, rest, direction = torch.zeros_like(right), right, right
    squared = rest.square().sum(1, keepdim=True)
    goal = accuracy**2 * squared.sum()
    for num in range(most):
        if bool(squared.sum() <= goal):
            return answer, num
        bent = product(direction)
        length = squared / (direction * bent).sum(1, keepdim=True).clamp(min=tiny)
        answer, rest = answer + length * direction, rest - length * bent
        before, squared = squared, rest.square().sum(1, keepdim=True)
        direction = rest + squared / before.clamp(min=tiny) * direction
    return answer, most


class FieldOfExperts(Energy):
    """E(x) = Σ_k w_k Σ_i (√((K_k x)_i² + ν_k²) − ν_k) of signals x (batch, length), convex.

    filters: (num, size), over values repeated beyond the ends. One filter (−1, 1) is smoothed total
    variation. Roth & Black 2005; Chen, Ranftl & Pock 2014.
    """

    filters: Tensor

    def __init__(self, filters: Tensor, weight: float, smoothing: float, learned: bool) -> None:
        super().__init__()
        if learned:
            self.filters = nn.Parameter(filters)
        else:
            self.register_buffer("filters", filters)
        self.log_weight = nn.Parameter(filters.new_full((len(filters),), weight).log())
        self.log_smoothing = nn.Parameter(filters.new_full((len(filters),), smoothing).log())

    def answers(self, x: Tensor) -> Tensor:
        """K x, (batch, num, length)."""
        size = self.filters.shape[1]
        padded = F.pad(x[:, None], ((size - 1) // 2, size // 2), mode="replicate")
        return F.conv1d(padded, self.filters[:, None])

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        weight, smoothing = self.log_weight.exp()[:, None], self.log_smoothing.exp()[:, None]
        grown = (self.answers(x).square() + smoothing.square()).sqrt() - smoothing
        return (weight * grown).sum((1, 2))

    def matrix(self, length: int) -> Tensor:
        """K as a matrix (num × length, length)."""
        every = torch.eye(length, dtype=self.filters.dtype, device=self.filters.device)
        return self.answers(every).flatten(1).T

    def slope(self, x: Tensor, matrix: Tensor) -> Tensor:
        """∇E (batch, length) by the matrix of the filters, with a graph to the weights."""
        weight, smoothing = self._repeated(x.shape[1])
        answers = x @ matrix.T
        return (weight * answers / (answers.square() + smoothing.square()).sqrt()) @ matrix

    def curvature(self, x: Tensor) -> Tensor:
        """(batch, num × length) second derivatives d of E in the answers: its Hessian is Kᵀ d K."""
        weight, smoothing = self._repeated(x.shape[1])
        answers = self.answers(x).flatten(1)
        return weight * smoothing.square() / (answers.square() + smoothing.square()) ** 1.5

    def lipschitz(self) -> float:
        """A bound on the largest eigenvalue of the Hessian, wherever x is."""
        reach = self.filters.abs().sum(1).square() * (self.log_weight - self.log_smoothing).exp()
        return float(reach.sum().detach())

    @torch.no_grad()
    def minimised(
        self, noisy: Tensor, start: Tensor, accuracy: float, most: int = MOST_STEPS
    ) -> tuple[Tensor, int]:
        """argmin of ½ |x − y|² + E(x) for y = `noisy` (batch, length), and the gradients asked for:
        down from `start` until none has an entry above `accuracy`."""
        matrix = self.matrix(noisy.shape[1])
        bound = 1 + self.lipschitz()
        return descend(start, lambda x: x - noisy + self.slope(x, matrix), bound, accuracy, most)

    @torch.no_grad()
    def adjoint(self, x: Tensor, right: Tensor, accuracy: float) -> tuple[Tensor, int]:
        """q of (I + ∇²E(x)) q = `right` (batch, length), and the products asked for."""
        matrix, bend = self.matrix(x.shape[1]), self.curvature(x)
        return solve(lambda p: p + ((p @ matrix.T) * bend) @ matrix, right, accuracy)

    def _repeated(self, length: int) -> tuple[Tensor, Tensor]:
        weight, smoothing = self.log_weight.exp(), self.log_smoothing.exp()
        return weight.repeat_interleave(length), smoothing.repeat_interleave(length)
