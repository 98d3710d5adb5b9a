"""Initializers: networks that guess where the chains of a recovery conditional should end.

x_t ≈ g(x_{t+1} | level, label) plus noise; the guess is where the chains start. A kind here is a
Config with sizes of its own and a `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option, tagged_union
from backend.energies import Condition
from backend.energies.images import image_misfit
from backend.networks.residual_mlp import ResidualMap
from backend.networks.unet import UNet
from backend.training import TrainConfig


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

    def fitted_as(self, train: TrainConfig) -> TrainConfig:
        """Fitting of its weights, where those of the energy are fitted as `train`."""
        return train

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        """Reason why it cannot take events of this shape; "" when it can."""
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
    """Fields of all that learn; the rest of Adam is as for the energy."""

    learning_rate: float = option(
        1e-3,
        "Adam's step size for the initializer, at the start.",
        ge=0,
        le=10,
        log=True,
        group="Initializer",
        turnable=True,
    )
    gradient_clip: float = option(
        1.0,
        "Largest norm of the gradient in the initializer's weights; 0 leaves it as it is.",
        ge=0,
        le=1e6,
        group="Initializer",
        turnable=True,
    )

    def fitted_as(self, train: TrainConfig) -> TrainConfig:
        # its target is a regression's, which Adam's usual memory of the gradient suits
        changed = {
            "learning_rate": self.learning_rate,
            "gradient_clip": self.gradient_clip,
            "beta1": 0.9,
        }
        return train.model_copy(update=changed)


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


class UNetInitializerConfig(FittedInitializerConfig):
    kind: Literal["unet"] = "unet"
    title: ClassVar[str] = "U-Net"
    summary: ClassVar[str] = "Adds to the noisier image what a U-Net makes of it."

    features: int = option(
        16,
        "Channels of the first layer; 64 is usual for 32×32 in colour.",
        ge=1,
        le=1024,
        group="Initializer",
    )
    multipliers: str = option(
        "1,2",
        "Channels at each resolution over the first layer's, from the full size down; each "
        "resolution halves the sides.",
        pattern=r"^[1-9][0-9]?(,[1-9][0-9]?){0,5}$",
        group="Initializer",
    )
    num_blocks: int = option(
        1, "Residual blocks at each resolution.", ge=1, le=64, group="Initializer"
    )

    def build(
        self,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int,
        num_labels: int,
    ) -> nn.Module:
        return ImageMap(
            UNet(
                (*event_shape, 1)[2],
                self.features,
                [int(word) for word in self.multipliers.split(",")],
                num_levels,
                num_labels,
                generator,
                num_blocks=self.num_blocks,
            )
        )

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        reason = image_misfit(event_shape)
        return reason.replace("`mlp`", "`residual_mlp`")


class ImageMap(nn.Module):
    """A U-Net as a map of (x, Condition)."""

    def __init__(self, body: UNet) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        mapped: Tensor = self.body(x, condition.level, condition.label)
        return mapped


if TYPE_CHECKING:
    AnyInitializer = InitializerConfig
else:
    AnyInitializer = tagged_union(
        [NoInitializerConfig, ResidualMLPInitializerConfig, UNetInitializerConfig]
    )
