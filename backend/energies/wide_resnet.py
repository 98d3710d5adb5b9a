"""A wide residual network read as an energy of images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.energies import Condition
from backend.energies.images import ImageConfig, ImageEnergy, wall_energy
from backend.energies.tilt_config import TiltConfig
from backend.networks.layers import Activation
from backend.networks.wide_resnet import WideResNet


class WideResNetConfig(ImageConfig, TiltConfig):
    kind: Literal["wide_resnet"] = "wide_resnet"
    title: ClassVar[str] = "Wide residual network"
    summary: ClassVar[str] = "For images at their real size, of a class or a noise level too."

    activation: Activation = option(
        "leaky_relu", "What bends the layers; score matching needs a smooth one.", group="Energy"
    )
    spectral_norm: bool = option(
        False,
        "Divide every layer but the last by its largest singular value; learned gains "
        "follow the blocks.",
        group="Energy",
    )


class WideResNetEnergy(ImageEnergy):
    """E(x | level, label) = ⟨Σ_pixels a(h(x, e)), W e⟩ + wall(x), e embedding the condition.

    Without conditions W e is one learned vector. Du & Mordatch 2019; with noise levels Gao et al.
    2021, whose f is −E.
    """

    Config: ClassVar[type[KindConfig]] = WideResNetConfig
    body: WideResNet

    def __init__(
        self,
        config: WideResNetConfig,
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
        self.body = WideResNet(
            (*event_shape, 1)[2],
            config.features,
            config.widths,
            config.num_blocks,
            generator,
            activation=config.activation,
            spectral=config.spectral_norm,
            num_levels=num_levels,
            num_labels=num_labels,
            outputs=num_outputs,
        )
        if config.channels_last:
            self.body.channels_last()

    @property
    def last_layer(self) -> nn.Module:
        return self.body.readout

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        return self.read(x, condition) + wall_energy(x, self.wall)[:, None]
