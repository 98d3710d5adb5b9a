"""A transformer over the patches of images or the coordinates of points.

Attention is written out, since the fused kernels have no second derivative: what minimises an
energy inside its training loss differentiates twice.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.networks.layers import ACTIVATIONS, Activation, linear


def num_tokens(event_shape: torch.Size, patch: int) -> int:
    """Tokens that an event is cut into: patch × patch pixels each, or one coordinate.

    >>> num_tokens(torch.Size((8, 8)), 2), num_tokens(torch.Size((5,)), 2)
    (16, 5)
    """
    if len(event_shape) == 1:
        return event_shape[0]
    return math.ceil(event_shape[0] / patch) * math.ceil(event_shape[1] / patch)


def token_size(event_shape: torch.Size, patch: int) -> int:
    """Numbers in a token."""
    return 1 if len(event_shape) == 1 else patch**2 * (*event_shape, 1)[2]


def tokens(x: Tensor, patch: int) -> Tensor:
    """(batch, num_tokens, token_size) of events (batch, dim), (batch, h, w) or (batch, h, w, c).

    Sides that are no multiple of `patch` are filled up with zeros.
    """
    if x.dim() == 2:
        return x.unsqueeze(2)
    pixels = x.unsqueeze(3) if x.dim() == 3 else x
    height, width = pixels.shape[1:3]
    pixels = F.pad(pixels, (0, 0, 0, -width % patch, 0, -height % patch))
    cells = pixels.unflatten(2, (-1, patch)).unflatten(1, (-1, patch))
    return cells.transpose(2, 3).flatten(3).flatten(1, 2)


def events_of(cut: Tensor, event_shape: torch.Size, patch: int) -> Tensor:
    """(batch, *event_shape) of tokens (batch, num_tokens, token_size): `tokens` undone.

    >>> x = torch.arange(30.0).reshape(1, 5, 6)
    >>> bool((events_of(tokens(x, 2), x.shape[1:], 2) == x).all())
    True
    """
    if len(event_shape) == 1:
        return cut.squeeze(2)
    height, width = event_shape[:2]
    rows, columns = math.ceil(height / patch), math.ceil(width / patch)
    cells = cut.unflatten(2, (patch, patch, -1)).unflatten(1, (rows, columns))
    pixels = cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :height, :width]
    return pixels.reshape(len(cut), *event_shape)


class Attention(nn.Module):
    """softmax(Q Kᵀ / √size) V with several heads, every token to every one that it sees.

    Vaswani et al. 2017.
    """

    def __init__(self, width: int, num_heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.num_heads, size = num_heads, max(1, width // num_heads)
        self.inward = linear(width, 3 * num_heads * size, generator, False)
        self.outward = linear(num_heads * size, width, generator, False)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(batch, num_tokens, width) → the same shape. hidden (num_tokens, num_tokens) bool: True
        where the token of the row does not see that of the column."""
        return self.attended(*self.heads(x), hidden)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (batch, num_heads, num_tokens, size) of tokens."""
        heads = self.inward(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind()
        return query * query.shape[-1] ** -0.5, key, value

    def attended(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
        scores = query @ key.mT
        if hidden is not None:
            scores = scores.masked_fill(hidden, -torch.inf)
        return self.gathered(scores.softmax(-1) @ value)

    def beside(
        self, x: Tensor, others: tuple[Tensor, Tensor], hidden: Tensor | None = None
    ) -> Tensor:
        """Tokens that see the key and value of others, but for the hidden ones, and themselves."""
        query, own_key, own_value = self.heads(x)
        key, value = others
        scores = query @ key.mT
        if hidden is not None:
            scores = scores.masked_fill(hidden, -torch.inf)
        own = (query * own_key).sum(-1, keepdim=True)
        weights = torch.cat([scores, own], -1).softmax(-1)
        return self.gathered(weights[..., :-1] @ value + weights[..., -1:] * own_value)

    def gathered(self, heads: Tensor) -> Tensor:
        tokens: Tensor = self.outward(heads.transpose(1, 2).flatten(2))
        return tokens


class Block(nn.Module):
    """x + attention, then x + two layers, each of normalised tokens."""

    def __init__(
        self, width: int, num_heads: int, activation: Activation, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.attention = Attention(width, num_heads, generator)
        self.layers = nn.Sequential(
            linear(width, 2 * width, generator, False),
            ACTIVATIONS[activation](),
            linear(2 * width, width, generator, False),
        )
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        return self.after(x, self.attention(self.before(x), hidden))

    def after(self, x: Tensor, attended: Tensor) -> Tensor:
        """Tokens with what attention of them came to."""
        x = x + attended
        mixed: Tensor = x + self.layers(self.between(x))
        return mixed


class Transformer(nn.Module):
    """(batch, num_tokens, token_size) → (batch, num_tokens, width), each place with a learned row.

    `added` (batch, width) is added to every token before the blocks.
    """

    def __init__(
        self,
        num_tokens: int,
        token_size: int,
        width: int,
        depth: int,
        num_heads: int,
        activation: Activation,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.inward = linear(token_size, width, generator, False)
        places = torch.randn(num_tokens, width, generator=generator, device=generator.device)
        self.places = nn.Parameter(0.1 * places)
        self.blocks = nn.ModuleList(
            Block(width, num_heads, activation, generator) for _ in range(depth)
        )
        self.last = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, added: Tensor | None = None) -> Tensor:
        x = self.inward(tokens) + self.places
        if added is not None:
            x = x + added.unsqueeze(1)
        for block in self.blocks:
            x = block(x)
        normalised: Tensor = self.last(x)
        return normalised
