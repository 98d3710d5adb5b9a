"""Events that are unlike the data, made of noise or of held-out events, standardised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from backend.data import Data
from backend.metrics.baselines import pixel_resampled

Kind = Literal["uniform", "shuffled", "inverted", "rot90", "rot180"]
KINDS: tuple[Kind, ...] = ("uniform", "shuffled", "inverted", "rot90", "rot180")
OF_IMAGES = KINDS[2:]


def not_made(data: Data, kind: str) -> str:
    """Reason why there are no outliers of this kind; "" where there are."""
    if kind in OF_IMAGES and not data.is_image:
        return f"{kind} is made of images, and these data are points."
    if kind == "rot90" and data.event_shape[0] != data.event_shape[1]:
        return "rot90 needs square images."
    return ""


def made(
    data: Data, z: Tensor, generator: torch.Generator, kinds: Iterable[Kind] = KINDS
) -> dict[str, Tensor]:
    """As many outliers as z (num, *event_shape) has events, of every kind that there is.

    uniform: the box that noise is drawn from. shuffled: the pixels of each image in an order of
    its own; of points each coordinate from another event. inverted: black for white. rot90, rot180:
    turned.
    """
    return {kind: _of_kind(data, kind, z, generator) for kind in kinds if not not_made(data, kind)}


def _of_kind(data: Data, kind: Kind, z: Tensor, generator: torch.Generator) -> Tensor:
    if kind == "uniform":
        return data.noise(len(z), generator)
    if kind == "shuffled":
        return _shuffled(data, z, generator)
    if kind == "rot90":
        return z.rot90(1, (1, 2))
    if kind == "rot180":
        return z.rot90(2, (1, 2))
    assert data.image_range is not None
    return data.standardise(sum(data.image_range) - data.restore(z))


def _shuffled(data: Data, z: Tensor, generator: torch.Generator) -> Tensor:
    if not data.is_image:
        return pixel_resampled(data, len(z), generator)
    flat = z.flatten(1, 2)
    order = torch.rand(flat.shape[:2], generator=generator, device=z.device).argsort(1)
    index = order.reshape(*order.shape, *[1] * (flat.dim() - 2)).expand_as(flat)
    return flat.gather(1, index).reshape(z.shape)
