"""A classifier read as an energy: of positions, and of positions of one class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.energies import NO_LABEL, NetworkEnergy
from backend.energy import Energy


class CosineHead(nn.Module):
    """−cos(h(x), m_k) / τ, (batch, num_outputs): energies of an embedding h of as many outputs or
    more beside one prototype m_k a class.

    Energies lie within ±1/τ whatever the weights, so that E(x) of `Classifier` is bounded too; a
    linear layer in its place grows without end once nothing but themselves tells classes apart.
    Directions that no prototype has are where what is like no class can go.
    """

    prototypes: Tensor
    """(num_outputs, width), each divided by its norm before use"""

    def __init__(
        self,
        embedding: NetworkEnergy,
        num_outputs: int,
        temperature: float,
        generator: torch.Generator | None = None,
    ) -> None:
        """generator: draws prototypes that are learned, as small as the rows of a linear layer, as
        longer ones turn more slowly; without one they are the first axes, at right angles."""
        super().__init__()
        self.embedding, self.temperature = embedding, temperature
        if generator is None:
            axes = torch.eye(num_outputs, embedding.num_outputs)
            self.register_buffer("prototypes", axes, persistent=False)
        else:
            shape, device = (num_outputs, embedding.num_outputs), generator.device
            uniform = 2 * torch.rand(shape, generator=generator, device=device) - 1
            self.prototypes = nn.Parameter(uniform * shape[1] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        embedded, prototypes = (F.normalize(each) for each in (self.embedding(x), self.prototypes))
        return -embedded @ prototypes.T / self.temperature


class Classifier(Energy):
    """E(x) = −log Σ_y exp f_y(x), E(x | y) = −f_y(x), log p(y | x) = log softmax f(x); f logits.

    p(x | y) ∝ exp f_y(x) in x for every class, and p(x, y) ∝ exp f_y(x) over both, so that the
    classes come as often as their own normalisers say. The network gives −f, one energy a class.
    A wall takes (how far x is outside the box from low to high)² / (2 wall²), summed over
    coordinates, from every logit: chains stay near the data, and the classes are told apart as
    they were. Grathwohl et al. 2020.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        network: NetworkEnergy | CosineHead,
        low: Tensor | None = None,
        high: Tensor | None = None,
        wall: float = 0.0,
    ) -> None:
        super().__init__()
        self.network, self.wall = network, wall
        self.register_buffer("low", torch.zeros(()) if low is None else low)
        self.register_buffer("high", torch.zeros(()) if high is None else high)

    def logits(self, x: Tensor) -> Tensor:
        """f (batch, num_outputs) of positions x (batch, *event_shape)."""
        logits: Tensor = -self.network(x)
        if not self.wall:
            return logits
        outside = (x - self.high).clamp(min=0) + (self.low - x).clamp(min=0)
        return logits - outside.flatten(1).square().sum(1, keepdim=True) / (2 * self.wall**2)

    def log_probs(self, x: Tensor) -> Tensor:
        """log p(y | x), (batch, num_outputs)."""
        return self.logits(x).log_softmax(1)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """E(x) (batch,), or E(x | y) where the Condition names a class."""
        logits = self.logits(x)
        total = -logits.logsumexp(1)
        label = None if condition is None else condition.label
        if label is None:
            return total
        label = label.expand(len(x))
        chosen = -logits.gather(1, label.clamp(min=0)[:, None])[:, 0]
        return torch.where(label == NO_LABEL, total, chosen)
