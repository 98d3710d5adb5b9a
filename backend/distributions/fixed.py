"""A Gaussian that is given, whatever the data are."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data
from backend.distributions import LOG_2PI, Distribution


class FixedGaussianConfig(KindConfig):
    kind: Literal["fixed"] = "fixed"
    title: ClassVar[str] = "Given Gaussian"
    summary: ClassVar[str] = "The same mean and width in every coordinate, as you say them."

    mean: float = option(
        0.0,
        "Its mean in every coordinate, in the units of the data as they came.",
        ge=-1e6,
        le=1e6,
        group="Noise",
        main=True,
    )
    sd: float = option(
        1.0,
        "Its standard deviation in every coordinate, in the units of the data as they came.",
        gt=0,
        le=1e6,
        group="Noise",
        main=True,
        log=True,
    )


class FixedGaussian(Distribution):
    """N(mean, sd²) of every coordinate, in the user's units."""

    Config: ClassVar[type[KindConfig]] = FixedGaussianConfig
    mean: Tensor
    sd: Tensor

    def __init__(self, config: FixedGaussianConfig, data: Data, generator: torch.Generator) -> None:
        super().__init__(config, data, generator)
        given = torch.full(data.event_shape, config.mean).to(data.train)
        self.register_buffer("mean", data.standardise(given))
        self.register_buffer("sd", (config.sd / data.scale.to(given)).expand(data.event_shape))

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        shape = (num, *self.event_shape)
        return self.mean + self.sd * torch.randn(shape, generator=generator, device=self.sd.device)

    def log_prob(self, z: Tensor) -> Tensor:
        white = ((z - self.mean.to(z.dtype)) / self.sd.to(z.dtype)).flatten(1)
        log_scale = self.sd.to(z.dtype).log().sum() + 0.5 * math.prod(self.event_shape) * LOG_2PI
        return -0.5 * white.square().sum(1) - log_scale
