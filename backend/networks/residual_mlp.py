"""A residual perceptron that is told a noise level and a class: the body of energies and of maps.

Energies read it as x → (batch, 1), initializers as x → x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.energy import NO_LABEL, Condition
from backend.networks.layers import linear

_SPREAD = 0.5
"""Standard deviation of embeddings at the start, beside hidden units of about the same."""


class ConditionEmbedding(nn.Module):
    """A learned vector for each level plus one for each class; NO_LABEL has a row of its own.

    None where there is neither level nor class to tell.
    """

    def __init__(
        self, width: int, num_levels: int, num_labels: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.levels = _table(num_levels, width, generator) if num_levels else None
        self.labels = _table(num_labels + 1, width, generator) if num_labels else None

    def forward(self, condition: Condition | None) -> Tensor | None:
        """(batch, width), or (width,) where level and class are one for all."""
        parts = condition or Condition()
        embedding = None
        if self.levels is not None:
            level = torch.zeros((), dtype=torch.int64, device=self.levels.device)
            embedding = F.embedding(level if parts.level is None else parts.level, self.levels)
        if self.labels is not None:
            none = torch.full((), NO_LABEL, dtype=torch.int64, device=self.labels.device)
            label = none if parts.label is None else parts.label
            # the first row is that of no class
            row = F.embedding(label - NO_LABEL, self.labels)
            embedding = row if embedding is None else embedding + row
        return embedding


class ResidualMLP(nn.Module):
    """h = W x + c, then h ← h + W silu(h + c) `depth` − 1 times, then W silu(h); c the condition.

    (batch, *event_shape) → (batch, outputs). `start_scale` multiplies the weights of the last layer
    at the start: with a small one the network starts as nearly nothing.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        generator: torch.Generator,
        num_levels: int = 0,
        num_labels: int = 0,
        start_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.first = linear(inputs, width, generator, False)
        self.blocks = nn.ModuleList(
            linear(width, width, generator, False) for _ in range(depth - 1)
        )
        self.last = linear(width, outputs, generator, False)
        self.embedding = ConditionEmbedding(width, num_levels, num_labels, generator)
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(start_scale)

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        embedded = self.embedding(condition)
        hidden = self.first(x.flatten(1))
        if embedded is not None:
            hidden = hidden + embedded
        for block in self.blocks:
            hidden = hidden + block(F.silu(hidden if embedded is None else hidden + embedded))
        result: Tensor = self.last(F.silu(hidden))
        return result


class ResidualMap(nn.Module):
    """x → x + body(x | condition), events of any shape; nearly the identity at the start."""

    def __init__(
        self,
        event_shape: torch.Size,
        width: int,
        depth: int,
        generator: torch.Generator,
        num_levels: int = 0,
        num_labels: int = 0,
    ) -> None:
        super().__init__()
        size = event_shape.numel()
        self.body = ResidualMLP(
            size, size, width, depth, generator, num_levels, num_labels, start_scale=0.1
        )

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        change: Tensor = self.body(x, condition)
        return x + change.view_as(x)


def _table(num: int, width: int, generator: torch.Generator) -> nn.Parameter:
    draws = torch.randn((num, width), generator=generator, device=generator.device)
    return nn.Parameter(_SPREAD * draws)
