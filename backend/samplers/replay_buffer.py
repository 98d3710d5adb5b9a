"""Chains kept between updates of training: which are moved on, and which start anew."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.sampler import per_chain


def drawn_places(buffer: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """(num,) places in a buffer (size, *event_shape), each at most once where there are enough."""
    size, device = len(buffer), buffer.device
    if num > size:
        return torch.randint(size, (num,), generator=generator, device=device)
    return torch.randperm(size, generator=generator, device=device)[:num]


def restarted(
    positions: Tensor,
    data: Data,
    rate: float,
    generator: torch.Generator,
    fresh: Tensor | None = None,
) -> Tensor:
    """Positions (num, *event_shape), a share `rate` of them replaced by the `fresh` ones in their
    places, or by noise from the data's box."""
    if rate == 0:
        return positions
    if fresh is None:
        fresh = data.noise(len(positions), generator)
    uniform = torch.rand((len(positions),), generator=generator, device=positions.device)
    return torch.where(per_chain(uniform < rate, fresh), fresh, positions)
