"""A convolutional network read as an energy of images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.energies.images import image_misfit, wall_energy
from backend.energies.tilt_config import TiltConfig
from backend.errors import BadInput
from backend.networks.conv import conv_net
from backend.networks.layers import Activation


class ConvConfig(TiltConfig):
    kind: Literal["conv"] = "conv"
    title: ClassVar[str] = "Convolutional network"
    summary: ClassVar[str] = "A small one for images, grey or colour, from 4×4 upward."

    features: int = option(
        32,
        "Channels of the first layer; later ones have 2, 4 and 8 times as many.",
        ge=1,
        le=512,
        group="Energy",
        main=True,
    )
    wall: float = option(
        0.05,
        "Width of a quadratic wall outside black and white, E + (how far out)² / (2 wall²) "
        "for each pixel; 0 builds none. Sampler steps must be small beside wall².",
        unit="half the range",
        ge=0,
        le=10,
        group="Energy",
    )
    activation: Activation = option(
        "silu", "What bends the layers; smooth ones give smooth scores.", group="Energy"
    )
    spectral_norm: bool = option(
        False,
        "Divide every layer by its largest singular value; a learned gain follows the last.",
        group="Energy",
    )

    def derived(self) -> dict[str, str]:
        notes = super().derived()
        if self.wall:
            limit = 2 * self.wall**2
            notes["wall"] = f"Langevin steps must stay below {limit:.2g} to be stable."
        return notes


class ConvEnergy(NetworkEnergy):
    """E(x) = net(x) + Σ (|x_i| − 1)₊² / (2 wall²), x (batch, h, w) or (batch, h, w, c) in ±1."""

    Config: ClassVar[type[KindConfig]] = ConvConfig

    def __init__(
        self,
        config: ConvConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        if reason := self.fits(event_shape):
            raise BadInput.at("config.energy.kind", reason)
        height, width, channels = (*event_shape, 1)[:3]
        self.wall = config.wall
        self.net = conv_net(
            height,
            width,
            channels,
            config.features,
            generator,
            config.activation,
            config.spectral_norm,
            num_outputs,
        )

    @property
    def last_layer(self) -> nn.Module:
        return self.net[-1]

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        pixels = x.unsqueeze(1) if x.dim() == 3 else x.movedim(3, 1)
        energies: Tensor = self.net(pixels) + wall_energy(x, self.wall)[:, None]
        return energies

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        return image_misfit(event_shape)
