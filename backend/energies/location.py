"""A Gaussian energy of which only the place is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy

if TYPE_CHECKING:
    from backend.data import Data


PLAIN_STEPS = {
    "optimiser": "sgd",
    "learning_rate": 0.03,
    "batch_size": 100,
    "beta1": 0.1,
    "gradient_clip": 0.0,
}
"""Settings by which all methods fit a location in their presets, so that they compare: plain
gradient descent, unclipped, since clipping takes from rare heavy weights what makes them
unbiased."""


class LocationConfig(KindConfig):
    kind: Literal["location"] = "location"
    title: ClassVar[str] = "Location"
    summary: ClassVar[str] = "A unit Gaussian of which only the mean is learned."

    start: float = option(
        0.0,
        "The mean that training starts from, in every coordinate.",
        unit="data sd",
        ge=-1e3,
        le=1e3,
        group="Energy",
        main=True,
    )


class LocationEnergy(NetworkEnergy):
    """E(x) = |x − μ|² / 2 with μ learned, x of any shape, standardised.

    log ∫ exp(−E) is dim/2 log 2π wherever μ is.
    """

    Config: ClassVar[type[KindConfig]] = LocationConfig

    def __init__(
        self,
        config: LocationConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        means = event_shape if num_outputs == 1 else (num_outputs, *event_shape)
        self.mean = nn.Parameter(torch.full(means, config.start))

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        means = self.mean.reshape(self.num_outputs, -1)
        return 0.5 * (x.flatten(1)[:, None] - means).square().sum(2)

    def readings(self) -> dict[str, Tensor]:
        """`parameter/location`: μ, the mean over its coordinates; a copy."""
        return {"parameter/location": self.mean.detach().mean()}

    def errors(self, data: Data) -> dict[str, Tensor]:
        """`parameter/error`: |μ − the true mean| in the user's units, where it is known."""
        if self.num_outputs > 1 or data.truth is None or data.truth.mean is None:
            return {}
        mean = data.restore(self.mean.detach())
        return {"parameter/error": (mean - data.truth.mean.to(mean)).norm()}
