"""Data sets drawn from densities that are known exactly, in the plane unless more is asked for."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.energies.closed_form import ClosedForm, Ring
from backend.energies.closed_form_curves import Circles, Moons, Spirals
from backend.energies.closed_form_shapes import Banana, Checkerboard, DoubleWell, Funnel, Pinwheel
from backend.errors import BadInput
from backend.randomness import generator_of


class ToyConfig(KindConfig):
    """Fields of every toy."""

    num: int = option(10_000, "Training points.", ge=100, le=1_000_000, main=True)
    num_held_out: int = option(
        3000, "Held-out points, drawn apart; quality is judged on them.", ge=100, le=100_000
    )
    seed: int = option(0, "Seeds the draw of the data; the run has its own.", ge=0, le=2**31 - 1)


class Toy(Dataset):
    """Draws from a closed form, standardised coordinate by coordinate."""

    is_target: ClassVar[bool] = True

    config: Any
    keeps_units: ClassVar[bool] = False
    """True where z is x: nothing is shifted or scaled"""

    @abstractmethod
    def target(self) -> ClosedForm:
        """The density, in the user's units."""

    def load(self) -> Data:
        target = self.target()
        x = target.draw(self.config.num, generator_of("data", self.config.seed, 0))
        held_out = target.draw(self.config.num_held_out, generator_of("data", self.config.seed, 1))
        mean, scale = x.mean(0), x.std(0)
        if self.keeps_units:
            mean, scale = torch.zeros(()), torch.ones(())
        z = (x - mean) / scale
        low, high = noise_box(z)
        return Data(
            name=self.config.kind,
            title=self.title,
            train=z,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            density=target,
            truth=target.truth(),
            draw=target.draw,
            modes=target.modes,
            mode_sd=target.mode_sd,
            columns=tuple("xy") if target.dim == 2 else (),
        )


class RingConfig(ToyConfig):
    kind: Literal["ring"] = "ring"
    num_modes: int = option(8, "Gaussians on the circle.", ge=1, le=64)
    radius: float = option(2.0, "Radius of the circle.", gt=0, le=100)
    sd: float = option(0.3, "Standard deviation of each Gaussian.", ge=0.02, le=10)
    weights: Literal["equal", "alternating"] = option(
        "equal", "Equal Gaussians, or every second one twice as heavy as its neighbours."
    )


class RingData(Toy):
    Config: ClassVar[type[KindConfig]] = RingConfig
    title: ClassVar[str] = "Ring of Gaussians"
    summary: ClassVar[str] = "Equal Gaussians on a circle: are all modes found, and none favoured?"

    def target(self) -> ClosedForm:
        config = self.config
        return Ring(config.num_modes, config.radius, config.sd, config.weights == "alternating")


class MoonsConfig(ToyConfig):
    kind: Literal["moons"] = "moons"
    noise: float = option(0.05, "Standard deviation around the curves.", ge=0.02, le=1)


class LabelledToy(Toy):
    """Draws that each come with the part of the density that they are of."""

    label_names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def target(self) -> Moons | Circles: ...

    def load(self) -> Data:
        config, target = self.config, self.target()
        labels, held_out_labels = (
            target.draw_labelled(num, generator_of("data", config.seed, part))[1]
            for part, num in enumerate((config.num, config.num_held_out))
        )
        return replace(
            super().load(),
            labels=labels,
            held_out_labels=held_out_labels,
            label_names=self.label_names,
        )


class MoonsData(LabelledToy):
    Config: ClassVar[type[KindConfig]] = MoonsConfig
    title: ClassVar[str] = "Two moons"
    summary: ClassVar[str] = "Two thin interleaving half circles: steep walls, flat valleys."
    label_names: ClassVar[tuple[str, ...]] = ("upper", "lower")

    def target(self) -> Moons:
        return Moons(self.config.noise)


class CirclesConfig(ToyConfig):
    kind: Literal["circles"] = "circles"
    noise: float = option(0.03, "Standard deviation around the circles.", ge=0.02, le=1)
    factor: float = option(0.5, "Radius of the inner circle over the outer.", gt=0, lt=1)


class CirclesData(LabelledToy):
    Config: ClassVar[type[KindConfig]] = CirclesConfig
    title: ClassVar[str] = "Two circles"
    summary: ClassVar[str] = "One thin circle inside another: parts that no straight line parts."
    label_names: ClassVar[tuple[str, ...]] = ("outer", "inner")

    def target(self) -> Circles:
        return Circles(self.config.noise, self.config.factor)


class CheckerboardConfig(ToyConfig):
    kind: Literal["checkerboard"] = "checkerboard"


class CheckerboardData(Toy):
    Config: ClassVar[type[KindConfig]] = CheckerboardConfig
    title: ClassVar[str] = "Checkerboard"
    has_gradient: ClassVar[bool] = False
    summary: ClassVar[str] = "Uniform on 8 squares: sharp edges; its true density has no gradient."

    def target(self) -> ClosedForm:
        return Checkerboard()


class PinwheelConfig(ToyConfig):
    kind: Literal["pinwheel"] = "pinwheel"
    num_arms: int = option(5, "Arms.", ge=2, le=20)
    radial_sd: float = option(0.6, "Standard deviation along an arm.", ge=0.1, le=1)
    tangential_sd: float = option(0.2, "Standard deviation across an arm.", ge=0.05, le=1)
    rate: float = option(0.25, "How much the arms bend.", ge=0, le=1)


class PinwheelData(Toy):
    Config: ClassVar[type[KindConfig]] = PinwheelConfig
    title: ClassVar[str] = "Pinwheel"
    summary: ClassVar[str] = "Bent Gaussian arms around a centre: curved, uneven density."

    def target(self) -> ClosedForm:
        config = self.config
        return Pinwheel(config.num_arms, 2.0, config.radial_sd, config.tangential_sd, config.rate)


class SpiralsConfig(ToyConfig):
    kind: Literal["spirals"] = "spirals"
    noise: float = option(0.1, "Standard deviation around the arms.", ge=0.03, le=1)


class SpiralsData(Toy):
    Config: ClassVar[type[KindConfig]] = SpiralsConfig
    title: ClassVar[str] = "Two spirals"
    summary: ClassVar[str] = "Two arms wound around each other: long, thin and close together."

    def target(self) -> ClosedForm:
        return Spirals(self.config.noise)


MAX_TILT = 2.0
"""In barriers. At 3.08 the wall has gone."""


class DoubleWellConfig(ToyConfig):
    kind: Literal["double_well"] = "double_well"
    barrier: float = option(4.0, "Height of the wall.", unit="nats", ge=0.5, le=20)
    tilt: float = option(
        0.0,
        "How much higher the right well is, which makes it lighter.",
        unit="nats",
        ge=-20,
        le=20,
    )
    dim: int = option(2, "Coordinates; the wells lie along the first.", ge=2, le=1000)


class DoubleWellData(Toy):
    Config: ClassVar[type[KindConfig]] = DoubleWellConfig
    title: ClassVar[str] = "Double well"
    summary: ClassVar[str] = "Two wells with a wall of known height: do chains cross it?"

    def target(self) -> ClosedForm:
        barrier, tilt = self.config.barrier, self.config.tilt
        if abs(tilt) > MAX_TILT * barrier:
            raise BadInput.at(
                "data.tilt",
                f"must lie within {MAX_TILT:g} barriers, here ±{MAX_TILT * barrier:g}, or there is "
                f"but one well; got {tilt:g}.",
            )
        return DoubleWell(barrier, tilt=tilt, dim=self.config.dim)


class BananaConfig(ToyConfig):
    kind: Literal["banana"] = "banana"
    bend: float = option(0.4, "How much it bends; 0 is a plain Gaussian.", ge=0, le=2)
    dim: int = option(2, "Coordinates; the first two are bent.", ge=2, le=1000)


class BananaData(Toy):
    Config: ClassVar[type[KindConfig]] = BananaConfig
    title: ClassVar[str] = "Banana"
    summary: ClassVar[str] = "A bent Gaussian: one skewed mode with known mean and covariance."

    def target(self) -> ClosedForm:
        return Banana(bend=self.config.bend, dim=self.config.dim)


class FunnelConfig(ToyConfig):
    kind: Literal["funnel"] = "funnel"
    spread: float = option(3.0, "Standard deviation of the log scale.", gt=0, le=5)
    dim: int = option(2, "Coordinates; the first is the log scale.", ge=2, le=1000)


class FunnelData(Toy):
    Config: ClassVar[type[KindConfig]] = FunnelConfig
    title: ClassVar[str] = "Funnel"
    summary: ClassVar[str] = "Widths from tiny to vast: one step size cannot fit all. Neal 2003."

    def target(self) -> ClosedForm:
        return Funnel(self.config.dim, self.config.spread)
