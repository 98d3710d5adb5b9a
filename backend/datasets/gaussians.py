"""Gaussian targets of any dimension, with exact draws and known moments."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.datasets.toys import Toy, ToyConfig
from backend.energies.closed_form import ClosedForm, Gaussian
from backend.energies.closed_form_gaussians import ConditionedGaussian, UnevenMixture
from backend.randomness import generator_of


class GaussianConfig(ToyConfig):
    kind: Literal["gaussian"] = "gaussian"
    dim: int = option(10, "Coordinates.", ge=1, le=1000, main=True)
    condition: float = option(
        100.0,
        "Greatest variance over the least, along the axes of the ellipsoid.",
        ge=1,
        le=1e6,
        main=True,
        log=True,
    )
    rotation: int = option(
        1,
        "Seeds a random rotation after which all coordinates have variance 1; 0 leaves the "
        "ellipsoid along the coordinates.",
        ge=0,
        le=2**31 - 1,
    )


class GaussianData(Toy):
    """Keeps the user's units (mean 0, scale 1): to scale coordinates would change the condition."""

    Config: ClassVar[type[KindConfig]] = GaussianConfig
    title: ClassVar[str] = "Gaussian"
    summary: ClassVar[str] = "A long thin ellipsoid: how does the cost grow with its condition?"
    keeps_units: ClassVar[bool] = True

    def target(self) -> ClosedForm:
        config = self.config
        rotation = generator_of("rotation", config.rotation) if config.rotation else None
        return ConditionedGaussian(config.dim, config.condition, rotation)


class ShiftedGaussianConfig(ToyConfig):
    kind: Literal["shifted_gaussian"] = "shifted_gaussian"
    mean: float = option(
        1.0, "The mean, the same in every coordinate.", ge=-1000, le=1000, main=True
    )
    dim: int = option(1, "Coordinates.", ge=1, le=1000, main=True)


class ShiftedGaussianData(Toy):
    """Keeps the user's units (mean 0, scale 1): to standardise would put the mean at 0."""

    Config: ClassVar[type[KindConfig]] = ShiftedGaussianConfig
    title: ClassVar[str] = "Gaussian away from 0"
    summary: ClassVar[str] = "Variance 1 about a mean to be found: how far can a method see?"
    keeps_units: ClassVar[bool] = True

    def target(self) -> ClosedForm:
        dim = self.config.dim
        return Gaussian(torch.full((dim,), self.config.mean), torch.eye(dim))


class MixtureConfig(ToyConfig):
    kind: Literal["mixture"] = "mixture"
    num_components: int = option(4, "Gaussians.", ge=2, le=64, main=True)
    dim: int = option(2, "Coordinates.", ge=1, le=256, main=True)
    spread: float = option(
        4.0, "Standard deviation of the Gaussians' centres; their own are 0.5 to 2.", gt=0, le=100
    )
    layout: int = option(
        0, "Seeds the centres, widths and weights of the Gaussians.", ge=0, le=2**31 - 1
    )


class MixtureData(Toy):
    Config: ClassVar[type[KindConfig]] = MixtureConfig
    title: ClassVar[str] = "Uneven mixture"
    summary: ClassVar[str] = (
        "Gaussians of different weights and widths: is each mode weighed right?"
    )

    def target(self) -> ClosedForm:
        config = self.config
        generator = generator_of("layout", config.layout)
        return UnevenMixture.random(config.dim, config.num_components, config.spread, generator)
