"""Embeddings of a condition: a network's level and class as numbers that its layers can take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.energy import NO_LABEL
from backend.networks.layers import linear


class ConditionEmbedding(nn.Module):
    """(level, label) → (batch, size): a learned row each, added, then two layers.

    Where nothing is told the level is 0, the least noise, and the label NO_LABEL, which has a row
    of its own. With no levels or no labels to tell apart, that part is left out.
    """

    def __init__(
        self, num_levels: int, num_labels: int, size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.levels = _rows(num_levels, size, generator)
        self.labels = _rows(num_labels + 1 if num_labels else 0, size, generator)
        self.first = linear(size, size, generator, False)
        self.last = linear(size, size, generator, False)

    def forward(self, batch: int, level: Tensor | None, label: Tensor | None) -> Tensor:
        device = next(self.parameters()).device
        rows: list[Tensor] = []
        if self.levels is not None:
            index = _or(level, 0, device)
            rows.append(self.levels(index.expand(batch)))
        if self.labels is not None:
            index = _or(label, NO_LABEL, device)
            rows.append(self.labels(index.expand(batch) - NO_LABEL))
        added = torch.stack(rows).sum(0)
        hidden: Tensor = self.last(nn.functional.silu(self.first(added)))
        return nn.functional.silu(hidden)


def _or(index: Tensor | None, untold: int, device: torch.device) -> Tensor:
    return torch.full((), untold, dtype=torch.int64, device=device) if index is None else index


def _rows(num: int, size: int, generator: torch.Generator) -> nn.Embedding | None:
    if not num:
        return None
    draws = torch.randn((num, size), generator=generator, device=generator.device)
    return nn.Embedding(num, size, _weight=draws)


def condition_embedding(
    num_levels: int, num_labels: int, size: int, generator: torch.Generator
) -> ConditionEmbedding | None:
    """An embedding, or None where there is nothing to tell."""
    if not num_levels and not num_labels:
        return None
    return ConditionEmbedding(num_levels, num_labels, size, generator)
