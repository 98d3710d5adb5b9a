"""A small convolutional network that ends in one number, or in several."""

from __future__ import annotations

import torch
from torch import nn

from backend.networks.layers import ACTIVATIONS, Activation, Gain, conv, linear

SMALLEST = 4
"""Sides at which halving stops; smaller images have no room for a convolution of this size."""
MOST_CHANNELS = 8
"""Channels stop doubling at this many times the first layer's."""


def conv_net(
    height: int,
    width: int,
    channels: int,
    features: int,
    generator: torch.Generator,
    activation: Activation = "silu",
    spectral: bool = False,
    outputs: int = 1,
) -> nn.Sequential:
    """(batch, channels, height, width) → (batch, outputs).

    A 3×3 convolution to `features` channels; then 4×4 convolutions that halve the sides and double
    the channels until a side is below 8; then one hidden layer over what is left. No pooling and
    no batch norm: an energy must depend on its own position alone.
    """

    def act() -> nn.Module:
        return ACTIVATIONS[activation]()

    layers: list[nn.Module] = [conv(channels, features, 3, generator, spectral, padding=1), act()]
    now = features
    while min(height, width) >= 2 * SMALLEST:
        after = min(2 * now, MOST_CHANNELS * features)
        layers += [conv(now, after, 4, generator, spectral, stride=2, padding=1), act()]
        now, height, width = after, height // 2, width // 2
    hidden = 4 * features
    layers += [nn.Flatten(), linear(now * height * width, hidden, generator, spectral), act()]
    layers.append(linear(hidden, outputs, generator, spectral))
    if spectral:
        layers.append(Gain())
    return nn.Sequential(*layers)
