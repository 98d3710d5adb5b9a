"""Initializers: networks that guess where the chains of a recovery conditional should end.

x_t ≈ g(x_{t+1} | level, label) plus noise; the guess is where the chains start. A kind here is a
Config with sizes of its own and a `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import nn

from backend.config import KindConfig, option, tagged_union
from backend.networks.residual_mlp import ResidualMap


class InitializerConfig(KindConfig):
    """Base of the initializers' Configs."""

    def build(
        self,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int,
        num_labels: int,
    ) -> nn.Module | None:
        """A map (x (batch, *event_shape), Condition) → like x; None where there is none."""
        raise NotImplementedError

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        """Why it cannot take events of this shape; "" when it can."""
        return ""


class NoInitializerConfig(InitializerConfig):
    kind: Literal["none"] = "none"
    title: ClassVar[str] = "None"
    summary: ClassVar[str] = "Chains start at the noisier position itself."

    def build(
        self,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int,
        num_labels: int,
    ) -> None:
        return None


class FittedInitializerConfig(InitializerConfig):
    """What all that learn are asked; the rest of Adam is as for the energy."""

    learning_rate: float = option(
        1e-3, "Adam's step size for the initializer, at the start.", gt=0, le=10, log=True,
        group="Initializer",
    )  # fmt: skip
    gradient_clip: float = option(
        1.0, "Largest norm of the gradient in the initializer's weights; 0 leaves it as it is.",
        ge=0, le=1e6, group="Initializer",
    )  # fmt: skip


class ResidualMLPInitializerConfig(FittedInitializerConfig):
    kind: Literal["residual_mlp"] = "residual_mlp"
    title: ClassVar[str] = "Residual perceptron"
    summary: ClassVar[str] = "Adds to the noisier position what a residual perceptron makes of it."

    width: int = option(96, "Units of each hidden layer.", ge=1, le=4096, group="Initializer")
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Initializer")

    def build(
        self,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int,
        num_labels: int,
    ) -> nn.Module:
        return ResidualMap(event_shape, self.width, self.depth, generator, num_levels, num_labels)


if TYPE_CHECKING:
    AnyInitializer = InitializerConfig
else:
    AnyInitializer = tagged_union([NoInitializerConfig, ResidualMLPInitializerConfig])
