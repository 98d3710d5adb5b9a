"""A multilayer perceptron that ends in one number, or in several."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.networks.layers import ACTIVATIONS, Activation, Gain, linear
from backend.networks.products import Linear, pulled_back


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


def value_and_gradient(net: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Outputs (batch, 1) of a network made by `mlp` and their gradients in x (batch, inputs).

    By the products and slopes that autograd takes, one by one. None for a network that is not of
    plain layers with SiLU between them.
    """
    modules = list(net)
    bends = modules[2::2]
    layers = [layer for layer in modules[1::2] if type(layer) is Linear]
    if len(layers) != len(modules[1::2]):
        return None
    if any(type(bend) is not nn.SiLU for bend in bends):
        return None
    before: list[Tensor] = []
    value = layers[0](x)
    for layer, bend in zip(layers[1:], bends, strict=True):
        before.append(value)
        value = layer(bend(value))
    slope = torch.ones_like(value)
    for layer, straight in zip(reversed(layers[1:]), reversed(before), strict=True):
        slope = torch.ops.aten.silu_backward(pulled_back(slope, layer), straight)
    return value, pulled_back(slope, layers[0])
