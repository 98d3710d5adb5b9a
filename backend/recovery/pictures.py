"""Pictures of a way down the ladder of noise, as events."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.events import Curve, Event, Images, Points
from backend.metrics.distances import energy_distance
from backend.observe.pictures import float32
from backend.recovery.descent import Way, normal
from backend.recovery.noise_schedule import NoiseLadder, noised

NUM_STRIP = 8
"""Images whose way down is drawn."""
GAP = 1.2
"""Ranges of the data from one cloud of the strip to the next."""


def look(way: Way, data: Data, ladder: NoiseLadder, generator: torch.Generator) -> list[Event]:
    """Distances that chains go at each level and of samples there from data, and the strip."""
    events: list[Event] = [_by_level("levels/displacement", way.displacement[::-1], "data sd")]
    if not data.is_image:
        events.append(_distances(way, data, ladder, generator))
    return [*events, *_strip(way, data)]


def _distances(way: Way, data: Data, ladder: NoiseLadder, generator: torch.Generator) -> Event:
    """Energy distance of x_t to held-out data with as much noise, for each level."""
    held_out = data.held_out[: len(way.positions[0])]
    values = []
    for number, x in enumerate(reversed(way.positions[1:-1])):
        level = torch.tensor(number, device=x.device)
        truth = noised(ladder, held_out, level, normal(held_out, generator))
        values.append(torch.tensor(energy_distance(x.flatten(1), truth.flatten(1))))
    return _by_level("levels/energy_distance", values, "squared, data sd")


def _by_level(path: str, values: list[Tensor], unit: str) -> Curve:
    levels = torch.arange(len(values))
    return Curve(
        path, float32(levels), float32(torch.stack(values))[None], ["train_time"], "level", unit
    )


def _strip(way: Way, data: Data) -> list[Event]:
    """x_T … x_0 and the denoised sample side by side: of a few images, or as clouds of points."""
    if data.image_range is not None:
        low, high = data.image_range
        joined = torch.cat([data.restore(x[:NUM_STRIP]) for x in way.positions], dim=2)
        share = ((joined - low) / (high - low)).nan_to_num(0.0).clamp(0, 1)
        pixels = (share * 255).round().to(torch.uint8).cpu().numpy()
        return [Images("levels/strip", pixels, "train_time", low, high)]
    if data.event_shape != (2,):
        return []
    width = GAP * (data.noise_high - data.noise_low)[0]
    shift = torch.stack([width, torch.zeros_like(width)])
    clouds = [data.restore(x + place * shift) for place, x in enumerate(way.positions)]
    return [Points("levels/strip", float32(torch.cat(clouds)), "train_time")]
