"""Samples drawn part by part from generators that depend on a seed alone.

Whatever the model, a part starts from the same noise and its chains take the same noise: samples of
two models under one seed differ by the models alone, where both draw by the same steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from backend.data import Data
from backend.method import Method, SampleRequest
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.requests.conditional_sampling import Drawn

MOST_IMAGES, MOST_EVENTS = 256, 10_000
"""Samples of one part: of images, and of events of any other shape."""


def part_size(data: Data) -> int:
    """Return the samples that are drawn in one call."""
    return MOST_IMAGES if data.is_image else MOST_EVENTS


def draw(method: Method, request: SampleRequest, seed: int, drawn: Callable[[int], None]) -> Drawn:
    """Draw `request.num` samples; `drawn(number)` is called as each part is done.

    Raises BadInput for what `conditional_sampling.refusal` names.
    """
    data = method.task.data
    device, size = data.train.device, part_size(data)
    rows = torch.arange(request.num, device=device)
    parts = []
    for part, index in enumerate(rows.split(size)):
        # the first part is what the ability `sample` answers under this seed
        key: list[int | str] = ["ask", seed, "sample", *([part] if part else [])]
        generator = generator_of(*key, device=device)
        parts.append(conditional_sampling.draw(method, request.rows(index), generator))
        drawn(int(index[-1]) + 1)
    return conditional_sampling.joined(torch.cat([part.position for part in parts]), parts)


def held_out(data: Data, num: int, seed: int) -> torch.Tensor:
    """Choose at most `num` places (num,) int64 among held-out events, by a seed alone."""
    generator = generator_of("held-out set", seed)
    order = torch.randperm(len(data.held_out), generator=generator)
    return order[:num].to(data.train.device)
