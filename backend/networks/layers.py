"""Layers whose weights are drawn from a generator alone, plain or with spectral norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.networks.products import Linear

Activation = Literal["silu", "gelu", "softplus", "tanh", "relu", "leaky_relu"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}

START_GAIN = 10.0
"""Output gain that a spectrally normalised network starts with."""
_WARM_UP = 20


def linear(inputs: int, outputs: int, generator: torch.Generator, spectral: bool) -> nn.Module:
    """A fully connected layer; weights and biases uniform on ±1/√inputs."""
    layer = nn.utils.skip_init(Linear, inputs, outputs)
    return _drawn(layer, inputs, generator, spectral)


def conv(
    inputs: int, outputs: int, size: int, generator: torch.Generator, spectral: bool, **how: Any
) -> nn.Module:
    """A 2-D convolution of `size` × `size`; weights and biases uniform on ±1/√fan-in."""
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, size, **how)
    return _drawn(layer, inputs * size**2, generator, spectral)


def _drawn(layer: Any, fan_in: int, generator: torch.Generator, spectral: bool) -> nn.Module:
    bound = fan_in**-0.5
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            draws = torch.rand(parameter.shape, generator=generator, device=generator.device)
            parameter.copy_(bound * (2 * draws - 1))
    if spectral:
        nn.utils.parametrize.register_parametrization(
            layer, "weight", SpectralNorm(layer.weight, generator)
        )
    return layer


class SpectralNorm(nn.Module):
    """W → W / σ(W), σ the largest singular value of W read as a matrix (outputs, rest).

    One round of power iteration for each use in training mode, in the weight's own precision;
    evaluation changes nothing. Miyato et al. 2018.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        for name, size in (("left", rows), ("right", columns)):
            start = torch.randn(size, generator=generator, device=generator.device)
            self.register_buffer(name, F.normalize(start, dim=0).to(weight.device))
        for _ in range(_WARM_UP):
            self._iterate(weight.flatten(1))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.left.copy_(F.normalize(matrix.detach() @ self.right, dim=0))
        self.right.copy_(F.normalize(matrix.detach().T @ self.left, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.autocast(weight.device.type, enabled=False):
            if self.training:
                self._iterate(matrix)
            # copies, since the next use changes the buffers before this one's graph is done
            sigma = torch.dot(self.left.clone(), matrix @ self.right.clone())
        return weight / sigma


class Gain(nn.Module):
    """Multiplies by one learned positive number.

    Spectral norm bounds how steep a network can be; the gain gives the steepness back, as one
    number that can be learned and read.
    """

    def __init__(self, start: float = START_GAIN) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.tensor(start).log())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.log_gain.exp()


class ChannelGain(nn.Module):
    """Multiplies each channel of (batch, channels, h, w) by a learned number."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain.to(x.dtype)
