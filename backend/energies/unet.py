"""A U-Net read as an energy of images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies import Condition
from backend.energies.images import ImageConfig, ImageEnergy, wall_energy
from backend.networks.layers import Activation
from backend.networks.unet import UNet


class UNetConfig(ImageConfig):
    kind: Literal["unet"] = "unet"
    title: ClassVar[str] = "U-Net"
    summary: ClassVar[str] = (
        "How far an image is from what a U-Net makes of it; for score matching."
    )

    features: int = option(
        16,
        "Channels of the first layer; 64 is usual for 32×32 in colour.",
        ge=1,
        le=1024,
        group="Energy",
        main=True,
    )
    wall: float = option(
        0.0,
        "Width of a quadratic wall outside black and white, E + (how far out)² / (2 wall²) "
        "for each pixel; 0 builds none, as score matching wants.",
        unit="half the range",
        ge=0,
        le=10,
        group="Energy",
    )
    activation: Activation = option(
        "silu", "What bends the layers; smooth ones give smooth scores.", group="Energy"
    )


class UNetEnergy(ImageEnergy):
    """E(x | level, label) = ½ |x − u(x, level, label)|² + wall(x), u a U-Net that starts at zero.

    The reading of Salimans & Ho 2021, "Should EBMs model the energy or the score?", up to the
    scale, which a method sets: the score is u − x and a term that makes it a gradient, so what
    serves to denoise serves here. At the start exp(−E) is a standard Gaussian.
    """

    Config: ClassVar[type[KindConfig]] = UNetConfig

    def __init__(
        self,
        config: UNetConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int = 0,
        num_labels: int = 0,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(
            config, event_shape, generator, num_levels, num_labels, num_outputs=num_outputs
        )
        self.body = UNet(
            (*event_shape, 1)[2],
            config.features,
            config.widths,
            num_levels,
            num_labels,
            generator,
            num_blocks=config.num_blocks,
            activation=config.activation,
            residual=False,
            outputs=num_outputs,
        )
        if config.channels_last:
            self.body.channels_last()

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        images = self.read(x, condition)
        images = images if self.num_outputs > 1 else images[:, None]
        missed = (x[:, None] - images).flatten(2)
        return 0.5 * missed.square().sum(2) + wall_energy(x, self.wall)[:, None]
