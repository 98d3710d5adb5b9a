"""Parts of the networks for images: residual blocks, halving, and how pixels lie."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.networks.layers import ACTIVATIONS, Activation, ChannelGain, conv, linear

SMALLEST = 4
"""Halving stops before a side is shorter than this."""
GROUP = 4
"""Channels normalised together, at least: one alone would lose what the condition adds to it."""


class ImageNetwork(nn.Module):
    """A network that takes images (batch, h, w) or (batch, h, w, c)."""

    memory_format: torch.memory_format = torch.contiguous_format

    def channels_last(self) -> None:
        """Lay pixels out with the channels last, as GPUs like it; numbers stay.

        Weights stay as they lie: an optimiser's memories of them must lie alike, and convolutions
        follow the pixels.
        """
        self.memory_format = torch.channels_last

    def opened(self, first: nn.Module, x: Tensor) -> Tensor:
        """Output of the first layer for images x: (batch, features, h, w), laid out as asked."""
        pixels = x.unsqueeze(1) if x.dim() == 3 else x.movedim(3, 1)
        # after the layer: where there is one channel alone, both layouts are the same
        hidden: Tensor = first(pixels.contiguous())
        return hidden.contiguous(memory_format=self.memory_format)


class ResidualBlock(nn.Module):
    """h ↦ S h + g · conv₂ a(conv₁ a(h) + W e): (batch, inputs, h, w) → (batch, outputs, h, w).

    a is the activation, after group norm (over each image alone) where asked for; e the embedding
    (batch, embedding) of a condition; S the identity or a 1×1 convolution; g a learned gain of
    each channel, which gives spectral norm its steepness back. He et al. 2016; Zhu et al. 2024.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        *,
        activation: Activation,
        gain: float,
        embedding: int = 0,
        spectral: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.norms = nn.ModuleList(
            nn.GroupNorm(math.gcd(size, max(1, size // GROUP)), size)
            if normalised
            else nn.Identity()
            for size in (inputs, outputs)
        )
        self.first = conv(inputs, outputs, 3, generator, spectral, padding=1)
        self.told = linear(embedding, outputs, generator, spectral) if embedding else None
        self.second = conv(outputs, outputs, 3, generator, spectral, padding=1)
        self.gain = ChannelGain(outputs, gain)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = conv(inputs, outputs, 1, generator, spectral)

    def forward(self, hidden: Tensor, embedded: Tensor | None) -> Tensor:
        branch = self.first(self.act(self.norms[0](hidden)))
        if self.told is not None and embedded is not None:
            branch = branch + self.told(embedded)[:, :, None, None]
        branch = self.second(self.act(self.norms[1](branch)))
        total: Tensor = self.shortcut(hidden) + self.gain(branch)
        return total


class Stage(nn.Module):
    """Residual blocks one after the other, at one resolution; what they take is the blocks'."""

    def __init__(
        self, inputs: int, outputs: int, num_blocks: int, generator: torch.Generator, **how: Any
    ) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * (num_blocks - 1)]
        self.blocks = nn.ModuleList(ResidualBlock(w, outputs, generator, **how) for w in widths)

    def forward(self, hidden: Tensor, embedded: Tensor | None) -> Tensor:
        for block in self.blocks:
            hidden = block(hidden, embedded)
        return hidden


def halved(hidden: Tensor) -> Tensor:
    """Means of 2×2 pixels; images too small for it stay. An odd side keeps its last row."""
    if min(hidden.shape[2:]) < 2 * SMALLEST:
        return hidden
    return F.avg_pool2d(hidden, 2, ceil_mode=True)
