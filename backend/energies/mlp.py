"""A multilayer perceptron read as an energy."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.networks.layers import Activation
from backend.networks.mlp import mlp


class MLPConfig(KindConfig):
    kind: Literal["mlp"] = "mlp"
    title: ClassVar[str] = "Multilayer perceptron"
    summary: ClassVar[str] = "Fully connected layers; for points, and for anything flattened."

    width: int = option(64, "Units of each hidden layer.", ge=1, le=4096, group="Energy", main=True)
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Energy")
    activation: Activation = option(
        "silu", "What bends the layers; smooth ones give smooth scores.", group="Energy"
    )
    spectral_norm: bool = option(
        False, "Divide every layer by its largest singular value; a learned gain follows the last.",
        group="Energy",
    )  # fmt: skip


class MLPEnergy(NetworkEnergy):
    """E(x) = MLP(x), x of any shape, flattened."""

    Config: ClassVar[type[KindConfig]] = MLPConfig

    def __init__(
        self, config: MLPConfig, event_shape: torch.Size, generator: torch.Generator
    ) -> None:
        super().__init__(config, event_shape, generator)
        self.net = mlp(
            event_shape.numel(), config.width, config.depth, generator, config.activation,
            config.spectral_norm,
        )  # fmt: skip

    def value(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        return self.net(x)[:, 0]
