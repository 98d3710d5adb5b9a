"""Energies: closed-form targets with known truth, and networks that are fitted.

`AnyNetwork` is the type of a Config field that holds any trainable energy found in this folder. It
is made when it is first asked for, so that an energy's file can import this package.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from backend.config import KindConfig, tagged_union
from backend.energies.discrete import Coded, DiscreteEnergy, Embedded, code_of, code_shape
from backend.energies.tilt import Tilt, build_tilt
from backend.energy import NO_LABEL, Condition, Energy
from backend.networks import row_sharing
from backend.system import discovery

if TYPE_CHECKING:
    from backend.data import Data
    from backend.method import Task

    AnyNetwork = KindConfig
    AnyConditionalNetwork = KindConfig
    AnyContextNetwork = KindConfig


class NetworkEnergy(Energy):
    """Base of trainable energies. A file in this folder with one subclass adds one.

    A subclass computes `outputs`; with `precision` bfloat16 that runs under autocast, and energies
    come out in float32 either way. Conditional ones are made with `num_levels` and `num_labels`
    (0 for none) after the generator, and their `outputs` take the Condition. Those that take a
    context are made with its `context_shape` (None for none), and their `outputs` take it too. With
    several outputs it is one energy for each of `num_outputs` classes, which
    `classifier.Classifier` reads. One whose Config is a `tilt_config.TiltConfig` and that names its
    `last_layer` can correct a fitted distribution.
    """

    Config: ClassVar[type[KindConfig]]
    conditional: ClassVar[bool] = False
    takes_context: ClassVar[bool] = False
    precision: torch.dtype = torch.float32
    num_values: int | None = None
    """q where positions hold the values 0, 1, ... q − 1, of which `outputs` sees the `code`"""
    tilt: Tilt | None
    """what makes the outputs a correction of a fitted distribution, where there is one"""

    @abstractmethod
    def __init__(
        self,
        config: Any,
        event_shape: torch.Size,
        generator: torch.Generator,
        *,
        num_outputs: int = 1,
    ) -> None:
        """Weights are drawn from `generator` alone. Raises BadInput if the shape does not fit."""
        super().__init__()
        self.num_outputs = num_outputs
        self.tilt = None

    @abstractmethod
    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Energies (batch, num_outputs) of positions x (batch, *event_shape), in any precision."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch,) in float32; (batch, num_outputs) where there are several outputs."""
        if row_sharing.is_sharing():
            return row_sharing.shared(self, x, condition)
        seen = x if self.num_values is None else code_of(x, self.num_values)
        return self.of_code(seen, condition)

    def of_code(self, x: Tensor, condition: Any = None) -> Tensor:
        """The same of what `outputs` sees: positions of real numbers, or the code of values."""
        given = (condition,) if self.conditional or self.takes_context else ()
        if self.precision is torch.float32:
            energies = self.outputs(x, *given)
        else:
            with torch.autocast(x.device.type, dtype=self.precision):
                energies = self.outputs(x, *given).float()
        if self.tilt is not None:
            energies = self.tilt(x, energies)
        return energies[:, 0] if self.num_outputs == 1 else energies

    @property
    def last_layer(self) -> nn.Module:
        """The layer whose weights at zero make `outputs` zero."""
        raise NotImplementedError(f"{type(self).__name__} takes no base")

    def over_values(self, event_shape: torch.Size, num_values: int) -> DiscreteEnergy:
        """This energy as one of events of the values 0, 1, ... num_values − 1; weights are shared,
        not copied."""
        cls = Embedded if self.num_values is None else Coded
        return cls(self, event_shape, num_values)

    def begin_at(self, data: Data) -> None:
        """Set what can be known of the data without training; nothing by default."""

    @classmethod
    def stand_in(cls, event_shape: torch.Size, num_values: int) -> DiscreteEnergy | None:
        """An energy of the same kind as `over_values` gives, which samplers are asked about before
        any is made; None where any will do."""
        return None

    def readings(self) -> dict[str, Tensor]:
        """0-d numbers by path of parameters that mean something by themselves, for `step`."""
        return {}

    def errors(self, data: Data) -> dict[str, Tensor]:
        """0-d numbers by path: how far such parameters are from what is known of the data."""
        return {}

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        """Reason why this energy cannot take events of this shape; "" when it can."""
        return ""

    @classmethod
    def fits_values(cls, num_values: int | None) -> str:
        """Reason why this energy cannot take so many values, None for real numbers; "" when it
        can."""
        return ""


def __getattr__(name: str) -> Any:
    if name == "AnyNetwork":
        return tagged_union([cls.Config for cls in discovery.networks().values()])
    if name == "AnyConditionalNetwork":
        configs = [cls.Config for cls in discovery.networks().values() if cls.conditional]
        return tagged_union(configs)
    if name == "AnyContextNetwork":
        configs = [cls.Config for cls in discovery.networks().values() if cls.takes_context]
        return tagged_union(configs)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build_network(
    config: KindConfig,
    task: Task,
    num_levels: int = 0,
    num_labels: int = 0,
    context_shape: torch.Size | None = None,
    *,
    num_outputs: int = 1,
) -> NetworkEnergy:
    """The energy of a Config for a task: its data's shape, its device, its precision.

    Only conditional networks take levels and labels, and only those that take a context its shape;
    all of them take several outputs. Raises BadInput if it does not fit the data.
    """
    cls = discovery.networks()[config.kind]
    condition_sizes = (num_levels, num_labels) if cls.conditional else ()
    context = {"context_shape": context_shape} if cls.takes_context else {}
    network: NetworkEnergy = cls(
        config,
        code_shape(task.data.event_shape, task.data.num_values),
        task.generator,
        *condition_sizes,
        num_outputs=num_outputs,
        **context,
    )
    network.precision, network.num_values = task.precision, task.data.num_values
    network.begin_at(task.data)
    network.tilt = build_tilt(config, task.data, task.generator)
    if network.tilt is not None:
        for parameter in network.last_layer.parameters():
            nn.init.zeros_(parameter)
    return network.to(task.device)


__all__ = [
    "NO_LABEL",
    "AnyConditionalNetwork",
    "AnyContextNetwork",
    "AnyNetwork",
    "Condition",
    "NetworkEnergy",
    "build_network",
]
