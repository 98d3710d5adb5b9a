"""Images of a curved row beside a distractor, with labels of which a share is wrong."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.randomness import generator_of

REACH = (0.6, 0.3, 0.3)
"""Largest size of each coefficient."""
WIDTH = 0.08
BESIDE, DIMMER = 0.75, 0.45
"""How far the distractor is to one side, and its brightness beside the row's."""
NUM_BANDS, BAND, BAND_CHANCE = 2, 9, 0.3
"""Bands that may hide the row, the lines of each, and the chance of each."""


def curve_of(coefficients: Tensor, side: int) -> Tensor:
    """Places x(y) = c₀ + c₁ y + c₂ y² (num, side) at the lines y of an image from −1 to 1."""
    y = (torch.arange(side, device=coefficients.device) + 0.5) * 2 / side - 1
    return coefficients @ torch.stack([y**0, y, y**2])


class CurvedRowsConfig(KindConfig):
    kind: Literal["curved_rows"] = "curved_rows"
    wrong: float = option(
        0.0, "Share of the training images whose label is wrong.", ge=0, le=1, main=True
    )
    shift: float = option(
        0.0,
        "How far wrong labels are shifted to the right; 0 draws them at random.",
        ge=0,
        le=2,
        unit="half the side",
        main=True,
    )
    noise: float = option(
        0.25, "Standard deviation of the noise in each pixel; the row is 1.", ge=0, le=10
    )
    side: int = option(32, "Pixels along a side.", ge=12, le=128, unit="pixels")
    num: int = option(1500, "Training images.", ge=20, le=200_000, main=True)
    num_held_out: int = option(500, "Held-out images, their labels right.", ge=20, le=20_000)
    seed: int = option(0, "Seeds images and labels; the run has its own.", ge=0, le=2**31 - 1)


class CurvedRows(Dataset):
    """Coefficients x (3,) of the row's curve beside the image (side, side) as `context`."""

    Config: ClassVar[type[KindConfig]] = CurvedRowsConfig
    title: ClassVar[str] = "Curved rows"
    summary: ClassVar[str] = (
        "The curve of a bright row beside its image, with a dimmer row next to it, and labels some "
        "of which may be wrong."
    )
    gives: ClassVar[tuple[str, ...]] = ("context",)
    config: CurvedRowsConfig

    def load(self) -> Data:
        config = self.config
        x, images = self._images(config.num, 0)
        held_out, held_out_images = self._images(config.num_held_out, 1)
        x = self._labels(x)
        mean, scale = x.mean(0), x.std(0)
        low, high = noise_box((x - mean) / scale)
        return Data(
            name="curved_rows",
            title=self.title,
            train=(x - mean) / scale,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            columns=("c0", "c1", "c2"),
            given={"context": images},
            held_out_given={"context": held_out_images},
        )

    def _drawn(self, num: int, generator: torch.Generator) -> Tensor:
        return (2 * torch.rand(num, 3, generator=generator) - 1) * torch.tensor(REACH)

    def _labels(self, x: Tensor) -> Tensor:
        """Coefficients (num, 3), a share of which is wrong."""
        config = self.config
        # a stream of its own: labels that are wrong where the row lies otherwise are no noise
        generator = generator_of("curved_rows_labels", config.seed)
        is_wrong = torch.rand(len(x), 1, generator=generator) < config.wrong
        other = self._drawn(len(x), generator)
        if config.shift:
            other = x + torch.tensor([config.shift, 0.0, 0.0])
        return torch.where(is_wrong, other, x)

    def _images(self, num: int, part: int) -> tuple[Tensor, Tensor]:
        config, side = self.config, self.config.side
        generator = generator_of("curved_rows", config.seed, part)
        coefficients = self._drawn(num, generator)
        right = torch.rand(num, 1, generator=generator) < 0.5
        places = (torch.arange(side) + 0.5) * 2 / side - 1
        row = curve_of(coefficients, side)
        beside = row + torch.where(right, BESIDE, -BESIDE)
        bright, dim = (
            (-0.5 * ((places - x[:, :, None]) / WIDTH).square()).exp() for x in (row, beside)
        )
        images = bright + DIMMER * dim
        lines = torch.arange(side)
        for _ in range(NUM_BANDS):
            first = torch.randint(side - BAND + 1, (num, 1), generator=generator)
            there = torch.rand(num, 1, generator=generator) < BAND_CHANCE
            hidden = there & (lines >= first) & (lines < first + BAND)
            images = images.masked_fill(hidden[:, :, None], 0.0)
        return coefficients, images + config.noise * torch.randn(images.shape, generator=generator)
