"""A transformer read as an energy, of x alone or of x and a context."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.energies.tilt_config import TiltConfig
from backend.errors import BadInput
from backend.networks.layers import Activation, linear
from backend.networks.transformer import Transformer, num_tokens, token_size, tokens

MOST_TOKENS = 1024
"""Attention compares all pairs of them."""


class TransformerConfig(TiltConfig):
    kind: Literal["transformer"] = "transformer"
    title: ClassVar[str] = "Transformer"
    summary: ClassVar[str] = (
        "Attention between the patches of images or the coordinates of points; takes a context."
    )

    width: int = option(
        48, "Numbers that stand for a token.", ge=4, le=4096, group="Energy", main=True
    )
    depth: int = option(2, "Blocks of attention and two layers.", ge=1, le=48, group="Energy")
    num_heads: int = option(
        4, "Heads of the attention, each of `width` / heads numbers.", ge=1, le=64, group="Energy"
    )
    patch: int = option(
        2,
        "Side of the squares of pixels that are a token; points have none.",
        ge=1,
        le=64,
        unit="pixels",
        group="Energy",
    )
    activation: Activation = option(
        "silu", "What bends the layers; smooth ones give smooth scores.", group="Energy"
    )


class TransformerEnergy(NetworkEnergy):
    """E(x, c) = Σ_tokens a · T(x, c), T a transformer, a linear without a constant.

    A context of the event's shape, such as a noisy image, is cut into tokens as x is and stands
    beside it in each; any other is flattened and added to every token by one layer. Energies know
    no order of the tokens but by their places. Hoover et al. 2023; Gladstone et al. 2025.
    """

    Config: ClassVar[type[KindConfig]] = TransformerConfig
    takes_context: ClassVar[bool] = True

    def __init__(
        self,
        config: TransformerConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        context_shape: torch.Size | None = None,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        self._check(config, event_shape)
        self.patch = config.patch
        self.beside = context_shape == event_shape
        size = token_size(event_shape, config.patch)
        self.body = Transformer(
            num_tokens(event_shape, config.patch),
            size * (2 if self.beside else 1),
            config.width,
            config.depth,
            config.num_heads,
            config.activation,
            generator,
        )
        self.context: nn.Module | None = None
        if context_shape is not None and not self.beside:
            self.context = linear(context_shape.numel(), config.width, generator, False)
        self.last = linear(config.width, num_outputs, generator, False)
        self.last.register_parameter("bias", None)

    def _check(self, config: TransformerConfig, event_shape: torch.Size) -> None:
        if reason := self.fits(event_shape):
            raise BadInput.at("config.energy.kind", reason)
        if (num := num_tokens(event_shape, config.patch)) > MOST_TOKENS:
            raise BadInput.at(
                "config.energy.patch",
                f"cuts these images into {num:,} tokens, more than {MOST_TOKENS:,}. Give larger "
                "patches.",
            )

    @property
    def last_layer(self) -> nn.Module:
        return self.last

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        context = None if condition is None else condition.context
        cut, added = tokens(x, self.patch), None
        if self.beside:
            assert context is not None, "made for a context"
            cut = torch.cat([cut, tokens(context, self.patch)], 2)
        elif self.context is not None:
            assert context is not None, "made for a context"
            added = self.context(context.flatten(1).to(x.dtype))
        values: Tensor = self.last(self.body(cut, added))
        return values.sum(1)

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        if len(event_shape) > 3:
            return f"needs points or images, got events of shape {tuple(event_shape)}. Use `mlp`."
        if len(event_shape) == 1 and event_shape[0] > MOST_TOKENS:
            return (
                f"takes points of at most {MOST_TOKENS:,} coordinates, got {event_shape[0]:,}. "
                "Use `mlp`."
            )
        return ""
