"""Networks from a context to an event: what predictors without an energy are made of.

`AnyRegressor` is the type of a Config field that holds one. The energies of the same kinds have the
same body, so that a prediction with an energy and one without have as many weights.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option, tagged_union
from backend.networks.layers import Activation, linear
from backend.networks.mlp import mlp
from backend.networks.transformer import (
    Transformer,
    events_of,
    num_tokens,
    token_size,
    tokens,
)

NUM_WAVES = 16
"""Sines, and as many cosines, that a time is read by."""
GROUP = "Network"


class PerceptronConfig(KindConfig):
    kind: Literal["mlp"] = "mlp"
    title: ClassVar[str] = "Multilayer perceptron"
    summary: ClassVar[str] = "Fully connected layers, for events and contexts of any shape."

    width: int = option(128, "Units of each hidden layer.", ge=1, le=4096, group=GROUP, main=True)
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group=GROUP)
    activation: Activation = option("silu", "What bends the layers.", group=GROUP)


class TransformerConfig(KindConfig):
    kind: Literal["transformer"] = "transformer"
    title: ClassVar[str] = "Transformer"
    summary: ClassVar[str] = "Attention between the patches of images or the coordinates of points."

    width: int = option(
        48, "Numbers that stand for a token.", ge=4, le=4096, group=GROUP, main=True
    )
    depth: int = option(2, "Blocks of attention and two layers.", ge=1, le=48, group=GROUP)
    num_heads: int = option(
        4, "Heads of the attention, each of `width` / heads numbers.", ge=1, le=64, group=GROUP
    )
    patch: int = option(
        2,
        "Side of the squares of pixels that are a token; points have none.",
        ge=1,
        le=64,
        unit="pixels",
        group=GROUP,
    )
    activation: Activation = option("silu", "What bends the layers.", group=GROUP)


AnyRegressor: Any = tagged_union([TransformerConfig, PerceptronConfig])


def waves(time: Tensor) -> Tensor:
    """(batch, 2 NUM_WAVES) sines and cosines of times (batch,) in [0, 1], from slow to fast."""
    speeds = torch.logspace(0, 2, NUM_WAVES, device=time.device) * math.pi / 2
    angles = time[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], 1)


class Regressor(nn.Module):
    """(context, x, time) → (batch, *event_shape).

    x is an event that is looked at beside the context, such as a noisy one, and time (batch,) in
    [0, 1] goes with it; a plain regressor, made with `takes_event` False, has neither. A context of
    the event's shape stands beside x token by token; any other is flattened and added to all.
    """

    def __init__(
        self,
        config: Any,
        event_shape: torch.Size,
        context_shape: torch.Size,
        takes_event: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.event_shape, self.takes_event = event_shape, takes_event
        self.beside = context_shape == event_shape
        build = self._perceptron if config.kind == "mlp" else self._transformer
        build(config, context_shape, generator)

    def _perceptron(
        self, config: PerceptronConfig, context_shape: torch.Size, generator: torch.Generator
    ) -> None:
        num = self.event_shape.numel()
        inputs = context_shape.numel() + (num + 2 * NUM_WAVES if self.takes_event else 0)
        self.net: nn.Module | None = mlp(
            inputs, config.width, config.depth, generator, config.activation, outputs=num
        )

    def _transformer(
        self, config: TransformerConfig, context_shape: torch.Size, generator: torch.Generator
    ) -> None:
        self.net, self.patch = None, config.patch
        size = token_size(self.event_shape, config.patch)
        self.body = Transformer(
            num_tokens(self.event_shape, config.patch),
            size * max(1, self.takes_event + self.beside),
            config.width,
            config.depth,
            config.num_heads,
            config.activation,
            generator,
        )
        added = (0 if self.beside else context_shape.numel()) + 2 * NUM_WAVES * self.takes_event
        self.added = linear(added, config.width, generator, False) if added else None
        self.last = linear(config.width, size, generator, False)

    def forward(
        self, context: Tensor, x: Tensor | None = None, time: Tensor | None = None
    ) -> Tensor:
        beside_all = [] if time is None else [waves(time)]
        if self.net is not None:
            parts = [context.flatten(1).float(), *([] if x is None else [x.flatten(1)])]
            flat: Tensor = self.net(torch.cat([*parts, *beside_all], 1))
            return flat.reshape(-1, *self.event_shape)
        cut = [] if x is None else [tokens(x, self.patch)]
        if self.beside:
            cut.append(tokens(context, self.patch))
        else:
            beside_all.insert(0, context.flatten(1).float())
        if not cut:  # places alone tell the tokens apart
            cut.append(tokens(context.new_zeros(len(context), *self.event_shape), self.patch))
        added = None if self.added is None else self.added(torch.cat(beside_all, 1))
        return events_of(
            self.last(self.body(torch.cat(cut, 2), added)), self.event_shape, self.patch
        )
