"""A residual perceptron read as an energy of points, noise levels and classes."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.energies.tilt_config import TiltConfig
from backend.networks.residual_mlp import ResidualMLP


class ResidualMLPConfig(TiltConfig):
    kind: Literal["residual_mlp"] = "residual_mlp"
    title: ClassVar[str] = "Residual perceptron"
    summary: ClassVar[str] = (
        "Fully connected layers that add to what came before; can be told a noise level and a "
        "class."
    )

    width: int = option(96, "Units of each hidden layer.", ge=1, le=4096, group="Energy", main=True)
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Energy")
    start_scale: float = option(
        1.0,
        "Factor on the last layer's weights at the start: a small one starts from an energy "
        "that is nearly flat.",
        gt=0,
        le=1,
        log=True,
        group="Energy",
    )


class ResidualMLPEnergy(NetworkEnergy):
    """E(x | level, label) = residual MLP(x), x of any shape, flattened."""

    Config: ClassVar[type[KindConfig]] = ResidualMLPConfig
    conditional: ClassVar[bool] = True

    def __init__(
        self,
        config: ResidualMLPConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int = 0,
        num_labels: int = 0,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        self.net = ResidualMLP(
            event_shape.numel(),
            num_outputs,
            config.width,
            config.depth,
            generator,
            num_levels,
            num_labels,
            config.start_scale,
        )

    @property
    def last_layer(self) -> nn.Module:
        return self.net.last

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        energies: Tensor = self.net(x, condition)
        return energies
