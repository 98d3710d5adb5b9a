"""Networks of events of which only a part is known, read as one-hot of q values and "unknown"."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.networks.layers import conv
from backend.networks.residual_mlp import ResidualMLP

Layout = Literal["perceptron", "convolutional"]
START_SCALE = 0.1
"""Factor on the last layer at the start, which leaves the uniform law."""


def partial_one_hot(x: Tensor, known: Tensor, num_values: int) -> Tensor:
    """Values x (batch, sites) where `known` (batch, sites) bool, as (batch, sites, q + 1): the
    values first, "unknown" last.

    >>> partial_one_hot(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]), 2).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    symbols = x.long().masked_fill(~known, num_values)
    return F.one_hot(symbols, num_values + 1).to(x.dtype)


class MaskedPerceptron(nn.Module):
    """One-hot parts (batch, sites, q + 1) → (batch, outputs), by a residual perceptron."""

    def __init__(
        self,
        event_shape: torch.Size,
        num_values: int,
        outputs: int,
        width: int,
        depth: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        inputs = event_shape.numel() * (num_values + 1)
        self.body = ResidualMLP(inputs, outputs, width, depth, generator, start_scale=START_SCALE)

    def forward(self, part: Tensor) -> Tensor:
        result: Tensor = self.body(part.flatten(1))
        return result


class MaskedConvolutions(nn.Module):
    """One-hot parts (batch, sites, q + 1) of a lattice → (batch, sites, outputs).

    `depth` 3×3 convolutions and a 1×1 one. A lattice whose ends meet is padded with its other end
    and so treats all sites alike; another is padded with zeros and told its rows and columns.
    """

    def __init__(
        self,
        event_shape: torch.Size,
        num_values: int,
        outputs: int,
        width: int,
        depth: int,
        generator: torch.Generator,
        wraps: bool,
    ) -> None:
        super().__init__()
        self.event_shape, self.wraps = event_shape, wraps
        rows, columns = event_shape
        inputs = num_values + 1
        if not wraps:
            sides = (torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns))
            self.register_buffer("places", torch.stack(torch.meshgrid(*sides, indexing="ij")))
            inputs += 2
        padding = {"padding": 1, "padding_mode": "circular" if wraps else "zeros"}
        self.layers = nn.ModuleList(
            conv(width if layer else inputs, width, 3, generator, False, **padding)
            for layer in range(depth)
        )
        self.last = conv(width, outputs, 1, generator, False)
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(START_SCALE)

    def forward(self, part: Tensor) -> Tensor:
        hidden = part.unflatten(1, self.event_shape).permute(0, 3, 1, 2)
        if not self.wraps:
            places = self.get_buffer("places").to(hidden)
            hidden = torch.cat([hidden, places.expand(len(hidden), -1, -1, -1)], 1)
        for layer in self.layers:
            hidden = F.silu(layer(hidden))
        result: Tensor = self.last(hidden).permute(0, 2, 3, 1).flatten(1, 2)
        return result


class MarginalNetworks(nn.Module):
    """log p of any part of an event, M(x_S), and the law of each unknown site given it, C(x_S).

    Both are the uniform law plus what a network of their own adds. Parts are given as values x
    (batch, sites) and `known` (batch, sites) bool. Liu et al. 2024.
    """

    def __init__(
        self,
        event_shape: torch.Size,
        num_values: int,
        layout: Layout,
        width: int,
        depth: int,
        generator: torch.Generator,
        wraps: bool = False,
    ) -> None:
        super().__init__()
        self.num_values, self.sites = num_values, event_shape.numel()
        self.nets = nn.ModuleDict()
        for name, outputs in (("marginal", 1), ("conditional", num_values)):
            if layout == "convolutional":
                self.nets[name] = MaskedConvolutions(
                    event_shape, num_values, outputs, width, depth, generator, wraps
                )
            else:
                all_outputs = outputs if name == "marginal" else self.sites * outputs
                self.nets[name] = MaskedPerceptron(
                    event_shape, num_values, all_outputs, width, depth, generator
                )

    def log_marginal(self, x: Tensor, known: Tensor) -> Tensor:
        """M(x_S) (batch,): log p of the known part, all that is unknown summed out."""
        return self.log_marginal_of(partial_one_hot(x, known, self.num_values))

    def log_marginal_of(self, part: Tensor) -> Tensor:
        """The same of one-hot parts (batch, sites, q + 1), differentiable in them."""
        num_known = part[..., :-1].sum((1, 2))
        added: Tensor = self.nets["marginal"](part).flatten(1).sum(1)
        return added - math.log(self.num_values) * num_known

    def log_conditionals(self, x: Tensor, known: Tensor) -> Tensor:
        """C(x_S) (batch, sites, q): log p of each value at each site given the known part."""
        logits: Tensor = self.nets["conditional"](partial_one_hot(x, known, self.num_values))
        return logits.reshape(len(x), self.sites, self.num_values).log_softmax(-1)
