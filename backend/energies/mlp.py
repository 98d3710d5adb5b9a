"""A multilayer perceptron read as an energy."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.data import Data
from backend.energies import Condition, NetworkEnergy
from backend.energies.tilt_config import TiltConfig
from backend.metrics.sites import site_log_probs
from backend.networks import row_sharing
from backend.networks.layers import Activation
from backend.networks.mlp import mlp, value_and_gradient


class MLPConfig(TiltConfig):
    kind: Literal["mlp"] = "mlp"
    title: ClassVar[str] = "Multilayer perceptron"
    summary: ClassVar[str] = "Fully connected layers; for points, and for anything flattened."

    width: int = option(64, "Units of each hidden layer.", ge=1, le=4096, group="Energy", main=True)
    depth: int = option(3, "Hidden layers.", ge=1, le=20, group="Energy")
    activation: Activation = option(
        "silu", "What bends the layers; smooth ones give smooth scores.", group="Energy"
    )
    waves: int = option(
        0,
        "Sines and cosines of 1, 2, … times every coordinate that stand beside it as inputs; a "
        "few make modes that lie close together easier to tell apart.",
        ge=0,
        le=32,
        group="Energy",
    )
    waves_up_to: int = option(
        1_000_000,
        "Most coordinates of an event that waves stand beside; events of more have none. In ten "
        "dimensions a few thousand points are learned by heart through them.",
        ge=1,
        le=1_000_000,
        group="Energy",
    )
    straight: bool = option(
        False,
        "A straight path from the inputs to the energy beside the layers. On whole numbers it "
        "begins at independent sites, and the layers at 0: they learn how sites hang together.",
        group="Energy",
    )
    spectral_norm: bool = option(
        False,
        "Divide every layer by its largest singular value; a learned gain follows the last.",
        group="Energy",
    )

    def derived(self) -> dict[str, str]:
        notes = super().derived()
        return notes if self.waves else {**notes, "waves_up_to": "No effect without waves."}


class MLPEnergy(NetworkEnergy):
    """E(x) = MLP(x), x of any shape, flattened; with waves MLP(x, sin kx, cos kx), k = 1, 2, …;
    with a straight path MLP(x) + w·x.

    Waves repeat, but x beside them does not, so far from the data the energy still knows where it
    is. Tancik et al. 2020. A context, flattened, stands beside all of it.
    """

    Config: ClassVar[type[KindConfig]] = MLPConfig
    takes_context: ClassVar[bool] = True

    def __init__(
        self,
        config: MLPConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        context_shape: torch.Size | None = None,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        self.waves = config.waves if event_shape.numel() <= config.waves_up_to else 0
        self.has_context = context_shape is not None
        num_beside = 0 if context_shape is None else context_shape.numel()
        num_inputs = event_shape.numel() * (1 + 2 * self.waves) + num_beside
        self.straight: nn.Parameter | None = None
        if config.straight:
            zeros = torch.zeros(num_outputs, num_inputs, device=generator.device)
            self.straight = nn.Parameter(zeros)
        self.net = mlp(
            num_inputs,
            config.width,
            config.depth,
            generator,
            config.activation,
            config.spectral_norm,
            num_outputs,
        )

    @property
    def last_layer(self) -> nn.Module:
        return self.net[-1]

    def begin_at(self, data: Data) -> None:
        if self.straight is None or data.num_values is None:
            return
        by_value = -site_log_probs(data)
        slopes = (by_value[..., 1] - by_value[..., 0]) / 2 if data.num_values == 2 else by_value
        with torch.no_grad():
            self.straight[:, : slopes.numel()] = slopes.flatten()
            for parameter in self.last_layer.parameters():
                parameter.zero_()

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        inputs = self._inputs(x)
        if self.has_context:
            assert condition is not None and condition.context is not None, "made for a context"
            inputs = torch.cat([inputs.flatten(1), condition.context.flatten(1).to(x.dtype)], 1)
        energies: Tensor = self.net(inputs)
        if self.straight is not None:
            energies = energies + F.linear(inputs.flatten(1), self.straight)
        return energies

    def closed_form(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """By the chain rule written out, since autograd costs a small network much of its time."""
        plain = type(self) is MLPEnergy and not (self.waves or self.has_context or self.tilt)
        exact = self.precision is x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
        if not (plain and exact and self.num_outputs == 1) or row_sharing.is_sharing():
            return None
        both = value_and_gradient(self.net, x.flatten(1))
        if both is None:
            return None
        value, slope = both
        if self.straight is not None:
            value, slope = value + F.linear(x.flatten(1), self.straight), slope + self.straight
        return value[:, 0], slope.reshape(x.shape)

    def _inputs(self, x: Tensor) -> Tensor:
        """(batch, dim × (1 + 2 waves)) of x (batch, *event_shape); x itself without waves."""
        if not self.waves:
            return x
        x = x.flatten(1)
        turns = [k * x for k in range(1, self.waves + 1)]
        return torch.cat([x, *[part for turn in turns for part in (turn.sin(), turn.cos())]], 1)
