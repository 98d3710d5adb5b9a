"""Outlines of shapes on 28×28 pixels, drawn from their distance, beside themselves in noise."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.randomness import generator_of

NAMES = ("triangle", "square", "hexagon", "circle", "cross")
SIDES = {"triangle": 3, "square": 4, "hexagon": 6}
"""Sides of regular polygons."""
NUM_SHAPES = 2
"""Shapes of an image."""
RADIUS = 0.35, 0.7
"""Least and greatest radius, of half the side of the image."""
STROKE = 0.07
"""Half the width of a line, of half the side."""


def distance(points: Tensor, name: str, angle: Tensor, radius: Tensor) -> Tensor:
    """(num, h, w) distance of points (num, h, w, 2) from the lines of shapes about the origin.

    angle and radius (num,). Of polygons the distance from the nearest side's line, which is that
    from the outline everywhere but beyond its corners.
    """
    if name == "circle":
        return (points.norm(dim=3) - radius[:, None, None]).abs()
    if name == "cross":
        arms = []
        for turn in (0.0, math.pi / 2):
            way = torch.stack([(angle + turn).cos(), (angle + turn).sin()], 1)
            along = torch.einsum("nhwc,nc->nhw", points, way)
            held = torch.minimum(along.abs(), radius[:, None, None]) * along.sign()
            arms.append((points - held[..., None] * way[:, None, None]).norm(dim=3))
        return torch.minimum(*arms)
    num = SIDES[name]
    around = angle[:, None] + 2 * math.pi * torch.arange(num, device=points.device) / num
    normals = torch.stack([around.cos(), around.sin()], 2)
    along = torch.einsum("nhwc,nkc->nhwk", points, normals).amax(3)
    return (along - (radius * math.cos(math.pi / num))[:, None, None]).abs()


def drawn(num: int, side: int, generator: torch.Generator) -> Tensor:
    """(num, side, side) images in [-1, 1] of NUM_SHAPES white outlines each, on black."""
    ticks = (torch.arange(side) + 0.5) * 2 / side - 1
    grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), 2)
    nearest = torch.full((num, side, side), torch.inf)
    for _ in range(NUM_SHAPES):
        kind = torch.randint(len(NAMES), (num,), generator=generator)
        angle = 2 * math.pi * torch.rand(num, generator=generator)
        low, high = RADIUS
        radius = low + (high - low) * torch.rand(num, generator=generator)
        room = (1 - STROKE - radius)[:, None]
        centre = room * (2 * torch.rand(num, 2, generator=generator) - 1)
        for place, name in enumerate(NAMES):
            rows = (kind == place).nonzero()[:, 0]
            points = grid - centre[rows][:, None, None]
            apart = distance(points, name, angle[rows], radius[rows])
            nearest[rows] = torch.minimum(nearest[rows], apart)
    # a pixel is as white as a line covers it, to the first order
    covered = (0.5 - (nearest - STROKE) * side / 2).clamp(0, 1)
    return 2 * covered - 1


class ShapesConfig(KindConfig):
    kind: Literal["shapes_denoising"] = "shapes_denoising"
    side: int = option(28, "Pixels along a side.", ge=8, le=128, unit="pixels")
    noise: float = option(
        0.8,
        "Standard deviation of the noise in each pixel; black is −1 and white 1.",
        unit="half the range",
        gt=0,
        le=10,
        main=True,
    )
    num: int = option(4000, "Training images.", ge=20, le=200_000, main=True)
    num_held_out: int = option(500, "Held-out images.", ge=20, le=20_000)
    seed: int = option(0, "Seeds the images; the run has its own.", ge=0, le=2**31 - 1)


class ShapesDenoising(Dataset):
    """Images x of two outlines each, with a `context`: x + noise · N(0, 1), not cut to the range.

    Made here, so that images of 28×28 pixels need no download; they are simpler than handwriting.
    """

    Config: ClassVar[type[KindConfig]] = ShapesConfig
    title: ClassVar[str] = "Shapes seen through noise, 28×28"
    summary: ClassVar[str] = "Outlines of two shapes, each image beside a noisy version of itself."
    is_image: ClassVar[bool] = True
    gives: ClassVar[tuple[str, ...]] = ("context",)
    config: ShapesConfig

    def load(self) -> Data:
        config = self.config
        parts = []
        for part, num in enumerate((config.num, config.num_held_out)):
            generator = generator_of("shapes_denoising", config.seed, part)
            x = drawn(num, config.side, generator)
            noise = torch.randn(x.shape, generator=generator)
            parts.append((x, {"context": x + config.noise * noise}))
        (train, given), (held_out, held_out_given) = parts
        shape = train.shape[1:]
        return Data(
            name="shapes_denoising",
            title=self.title,
            train=train,
            held_out=held_out,
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.full(shape, -1.0),
            noise_high=torch.full(shape, 1.0),
            image_range=(-1.0, 1.0),
            given=given,
            held_out_given=held_out_given,
        )
