"""A Gaussian of the data's own mean and covariance, widened."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.data import Data
from backend.distributions import FullGaussian, moments, too_wide


class FittedGaussianConfig(KindConfig):
    kind: Literal["gaussian"] = "gaussian"
    title: ClassVar[str] = "Gaussian of the data"
    summary: ClassVar[str] = "The data's mean and covariance, widened to reach their tails."

    scale: float = option(
        1.5,
        "Its covariance over that of the data; below 1 it misses tails.",
        gt=0,
        le=100,
        group="Noise",
        main=True,
        log=True,
    )


class FittedGaussian(FullGaussian):
    """N(mean of the data, scale × covariance of the data), full covariance."""

    Config: ClassVar[type[KindConfig]] = FittedGaussianConfig

    def __init__(
        self, config: FittedGaussianConfig, data: Data, generator: torch.Generator
    ) -> None:
        super().__init__(config, data, generator)
        mean, covariance = moments(data)
        self.hold(mean, config.scale * covariance)

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        return too_wide(event_shape)
