"""Fast weights: a matrix written by gradient steps of an inner loss, one a key-value pair.

Schlag, Irie, Schmidhuber 2021 (linear attention and the delta rule); Behrouz et al. 2025 (Miras).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Literal["huber", "squared", "dot", "power"]
Retention = Literal["decay", "none", "simplex", "norm"]
BOUND = 1e3
"""Largest entry of a memory: a step too long stays a number, and is judged as what it recalls."""


class FastWeights(nn.Module):
    """W written pair by pair: A ← α A − η ψ(W k, v) kᵀ, W = w(A), with η and α learned.

    loss: `huber` beyond `threshold`, `squared`, `dot` or the `power` p of the error. retention:
    `decay`, `none`, `simplex` (relative entropy) or `norm` (L4).
    """

    def __init__(self, loss: Loss, retention: Retention, threshold: float, power: float) -> None:
        super().__init__()
        self.kind, self.retention = loss, retention
        self.threshold, self.power = threshold, power
        self.log_step = nn.Parameter(torch.zeros(()))
        self.log_forgotten = nn.Parameter(torch.zeros(()))
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    @property
    def retained(self) -> Tensor:
        """α, 0-d; 1 without retention."""
        forgotten = self.log_forgotten.exp().clamp(max=0.9)
        return 1 - forgotten * (self.retention != "none")

    def slope(self, error: Tensor, value: Tensor) -> Tensor:
        """ψ, the derivative of the inner loss in what is read, entry by entry."""
        if self.kind == "dot":
            return -value
        if self.kind == "squared":
            return error
        if self.kind == "huber":
            return error.clamp(-self.threshold, self.threshold)
        return error.sign() * error.abs().clamp(min=1e-6) ** (self.power - 1)

    def loss(self, error: Tensor, value: Tensor) -> Tensor:
        """The inner loss, entry by entry, of which `slope` is the derivative."""
        size = error.abs()
        if self.kind == "dot":
            return -value * (error + value)
        if self.kind == "squared":
            return 0.5 * error.square()
        if self.kind == "huber":
            return F.huber_loss(error, torch.zeros_like(error), "none", self.threshold)
        return size**self.power / self.power

    def weights(self, state: Tensor) -> Tensor:
        """W of the state A (batch, size, size)."""
        if self.retention == "norm":  # W = A / |A|₄²
            norm = state.pow(4).sum((1, 2), keepdim=True)
            return state / (norm + 1e-6).sqrt()
        if self.retention == "simplex":  # exp(A) and exp(−A), entries of size 1 on average
            state = state.clamp(-30, 30)
            return state.shape[2] * state.sinh() / state.cosh().sum(2, keepdim=True)
        return state

    def written(
        self,
        pairs: Tensor,
        step: Tensor | None = None,
        retained: Tensor | None = None,
        watch: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """W (batch, size, size) after one pass over pairs (batch, num_pairs, 2 size).

        step, retained: η and α, broadcasting over (batch, 1, 1), in place of the learned ones.
        watch: called with each place, its inner loss (batch,) and W after it.
        """
        step = self.log_step.exp() if step is None else step
        retained = self.retained if retained is None else retained
        keys, values = pairs.chunk(2, 2)
        state = pairs.new_zeros(len(pairs), keys.shape[2], keys.shape[2])
        memory = state
        for place in range(pairs.shape[1]):
            key, value = keys[:, place], values[:, place]
            error = torch.einsum("bij,bj->bi", memory, key) - value
            change = self.slope(error, value)[:, :, None] * key[:, None, :]
            state = (retained * state - step * change).clamp(-BOUND, BOUND)
            memory = self.weights(state)
            if watch is not None:
                watch(place, self.loss(error, value).mean(1), memory)
        return memory
