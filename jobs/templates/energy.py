"""Template name: a small network read as an energy; put your own layers into `__init__`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.networks.mlp import mlp


class TemplateNameConfig(KindConfig):
    kind: Literal["template_name"] = "template_name"
    title: ClassVar[str] = "Template name"
    summary: ClassVar[str] = "Fully connected layers in a quadratic bowl, for points."

    width: int = option(64, "Units of each hidden layer.", ge=1, le=4096, group="Energy", main=True)
    depth: int = option(2, "Hidden layers.", ge=1, le=20, group="Energy")


class TemplateName(NetworkEnergy):
    """E(x) = ½ |x|² + MLP(x), x of any shape, flattened."""

    Config: ClassVar[type[KindConfig]] = TemplateNameConfig

    def __init__(
        self,
        config: TemplateNameConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        self.net = mlp(
            event_shape.numel(),
            config.width,
            config.depth,
            generator,
            "silu",
            False,
            num_outputs,
        )

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Energies (batch, num_outputs) of positions (batch, *event_shape)."""
        bowl: Tensor = 0.5 * x.flatten(1).square().sum(1, keepdim=True)
        return bowl + self.net(x.flatten(1))
