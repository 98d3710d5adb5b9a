"""Parts that energies of images share: which events are images, the wall, how they are computed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies import Condition, NetworkEnergy
from backend.errors import BadInput
from backend.networks.compiled import Compiled
from backend.networks.residual_blocks import SMALLEST, ImageNetwork

LARGEST = 256


class ImageConfig(KindConfig):
    """Fields of every network for images."""

    features: int = option(
        32,
        "Channels of the first layer; 128 is usual for 32×32 in colour.",
        ge=1,
        le=1024,
        group="Energy",
        main=True,
    )
    multipliers: str = option(
        "1,2",
        "Channels at each resolution over the first layer's, from the full size down; each "
        f"resolution halves the sides, as long as {SMALLEST} pixels are left.",
        pattern=r"^[1-9][0-9]?(,[1-9][0-9]?){0,5}$",
        group="Energy",
    )
    num_blocks: int = option(1, "Residual blocks at each resolution.", ge=1, le=64, group="Energy")
    wall: float = option(
        0.05,
        "Width of a quadratic wall outside black and white, E + (how far out)² / (2 wall²) "
        "for each pixel; 0 builds none. Sampler steps must be small beside wall², and score "
        "matching, whose noise leaves the range, wants none.",
        unit="half the range",
        ge=0,
        le=10,
        group="Energy",
    )
    channels_last: bool = option(
        False,
        "Lay images out with the channels last, quicker on GPUs in bfloat16; the energies "
        "are the same but for rounding.",
        group="Arithmetic",
    )
    compile: bool = option(
        False,
        "Compile the network: minutes at the start, for long runs on GPUs. It stays eager "
        "where that fails and in score matching; the energies are the same but for rounding.",
        group="Arithmetic",
    )

    @property
    def widths(self) -> list[int]:
        """`multipliers` as numbers."""
        return [int(word) for word in self.multipliers.split(",")]

    def derived(self) -> dict[str, str]:
        notes = super().derived()
        if self.wall:
            limit = 2 * self.wall**2
            notes["wall"] = f"Langevin steps must stay below {limit:.2g} to be stable."
        return notes


class ImageEnergy(NetworkEnergy):
    """Base of conditional energies of images (batch, h, w) or (batch, h, w, c), pixels in ±1."""

    conditional: ClassVar[bool] = True
    body: ImageNetwork

    def __init__(
        self,
        config: ImageConfig,
        event_shape: torch.Size,
        generator: torch.Generator,
        num_levels: int = 0,
        num_labels: int = 0,
        *,
        num_outputs: int = 1,
    ) -> None:
        super().__init__(config, event_shape, generator, num_outputs=num_outputs)
        if reason := self.fits(event_shape):
            raise BadInput.at("config.energy.kind", reason)
        self.wall = config.wall
        self.compiled = Compiled() if config.compile else None

    def read(self, x: Tensor, condition: Condition | None) -> Tensor:
        """Output of the body for positions x (batch, *event_shape)."""
        level, label, _ = condition or Condition()
        if self.compiled is not None:
            return self.compiled(self.body, x, level, label)
        read: Tensor = self.body(x, level, label)
        return read

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        return image_misfit(event_shape)


def image_misfit(event_shape: torch.Size) -> str:
    """Reason why events of this shape are no images that a network takes; "" when they are."""
    if len(event_shape) not in (2, 3):
        return (
            f"needs images of shape (h, w) or (h, w, c), got events of shape "
            f"{tuple(event_shape)}. Use `mlp`."
        )
    if not all(SMALLEST <= side <= LARGEST for side in event_shape[:2]):
        return (
            f"needs images with sides of {SMALLEST} to {LARGEST}, got {tuple(event_shape)}. "
            "Use `mlp`, or other images."
        )
    return ""


def wall_energy(x: Tensor, wall: float) -> Tensor:
    """Σ (|x_i| − 1)₊² / (2 wall²) of images x (batch, ...): (batch,) float32; 0 without a wall.

    Zero for pixels between black (−1) and white (1). It saves the network from having to learn in
    every pixel that there is nothing beyond.
    """
    if not wall:
        return x.new_zeros(len(x))
    outside = (x.abs() - 1).clamp(min=0).flatten(1)
    return outside.square().sum(1) / (2 * wall**2)
