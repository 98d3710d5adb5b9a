"""A transformer along a sequence: no place sees a later one.

For energies each place holds a guess beside what stands there: guess i sees the values up to i and
itself, never another guess, so that all places are judged at once and apart. Values see no guess:
they are read once for as many guesses as there are. Gladstone et al. 2025.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backend.energy import Condition
from backend.networks.layers import Activation, linear
from backend.networks.transformer import Block

Seen = tuple[Tensor, Tensor]
"""Key and value (batch, num_heads, length, size) of the tokens that others see."""


class CausalTransformer(nn.Module):
    """Logits of the next value, (batch, length) int64 → (batch, length, num_values)."""

    def __init__(
        self,
        num_values: int,
        length: int,
        width: int,
        depth: int,
        num_heads: int,
        activation: Activation,
        generator: torch.Generator,
        num_outputs: int | None = None,
    ) -> None:
        super().__init__()
        device = generator.device
        rows = torch.randn(num_values, width, generator=generator, device=device)
        places = torch.randn(length, width, generator=generator, device=device)
        self.values, self.places = nn.Parameter(rows), nn.Parameter(0.1 * places)
        self.blocks = nn.ModuleList(
            Block(width, num_heads, activation, generator) for _ in range(depth)
        )
        self.normalised = nn.LayerNorm(width)
        self.last = linear(width, num_outputs or num_values, generator, False)

    @property
    def stack(self) -> list[Block]:
        return list(self.blocks)  # type: ignore[arg-type]

    def embedded(self, context: Tensor) -> Tensor:
        """(batch, length, width) of values (batch, length)."""
        return self.values[context] + self.places[: context.shape[1]]

    def forward(self, context: Tensor) -> Tensor:
        x = self.embedded(context)
        hidden = causal_mask(x.shape[1], x.device)
        for block in self.stack:
            x = block(x, hidden)
        logits: Tensor = self.last(self.normalised(x))
        return logits


class CausalEnergy(nn.Module):
    """E_i(softmax x_i, c_0 … c_i), (batch, length): energies of guesses at each place, with several
    outputs (batch, length, num_outputs).

    x (batch, length, num_values) are logits; the Condition's context (batch, length) int64.
    """

    def __init__(
        self,
        num_values: int,
        length: int,
        width: int,
        depth: int,
        num_heads: int,
        activation: Activation,
        generator: torch.Generator,
        num_outputs: int = 1,
    ) -> None:
        super().__init__()
        self.body = CausalTransformer(
            num_values, length, width, depth, num_heads, activation, generator, num_outputs
        )
        self.body.last.register_parameter("bias", None)
        self.guesses = linear(num_values, width, generator, False)

    def forward(
        self, x: Tensor, condition: Condition, read: Sequence[Seen] | None = None
    ) -> Tensor:
        assert condition.context is not None, "made for a context"
        body, read = self.body, read or self.reading(condition.context)
        guesses = self.guesses(x.softmax(-1)) + body.places[: x.shape[1]]
        hidden = causal_mask(x.shape[1], x.device)
        for block, seen in zip(body.stack, read, strict=True):
            attended = block.attention.beside(block.before(guesses), seen, hidden)
            guesses = block.after(guesses, attended)
        energies: Tensor = body.last(body.normalised(guesses))
        return energies.squeeze(-1) if energies.shape[-1] == 1 else energies

    def reading(self, context: Tensor) -> list[Seen]:
        """Key and value of a context in each block: what several calls beside it have in common."""
        body, hidden = self.body, causal_mask(context.shape[1], context.device)
        x, read = body.embedded(context), []
        for index, block in enumerate(body.stack):
            query, key, value = block.attention.heads(block.before(x))
            read.append((key, value))
            if index + 1 < len(body.stack):
                x = block.after(x, block.attention.attended(query, key, value, hidden))
        return read


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(length, length) bool, True where row i may not see column j: later ones."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
