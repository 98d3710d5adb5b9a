"""A multilayer perceptron that ends in one number, or in several."""

from __future__ import annotations

import torch
from torch import nn

from backend.networks.layers import ACTIVATIONS, Activation, Gain, linear


def mlp(
    inputs: int,
    width: int,
    depth: int,
    generator: torch.Generator,
    activation: Activation = "silu",
    spectral: bool = False,
    outputs: int = 1,
) -> nn.Sequential:
    """(batch, *event_shape) → (batch, outputs): `depth` hidden layers of `width` units.

    With `spectral`, every layer has spectral norm and a learned gain follows the last.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for size in [inputs, *[width] * (depth - 1)]:
        layers += [linear(size, width, generator, spectral), ACTIVATIONS[activation]()]
    layers.append(linear(width, outputs, generator, spectral))
    if spectral:
        layers.append(Gain())
    return nn.Sequential(*layers)
