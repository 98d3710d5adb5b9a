"""Paths between two data points: straight, and relaxed on the energy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Problems, nats, real_only
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.energy import Energy, energy_and_gradient
from backend.events import Curve, Event, Table
from backend.metrics.density import energies
from backend.observe import pictures

FARTHEST = 0.5
"""Longest move of a place on the path in one step, in distances to its neighbour."""


class InterpolateConfig(Config):
    first: int = option(
        0,
        "The row of held-out data the path starts at.",
        ge=0,
        le=10_000_000,
        main=True,
        pointed="row",
    )
    second: int = option(
        1,
        "The row of held-out data the path ends at.",
        ge=0,
        le=10_000_000,
        main=True,
        pointed="row",
    )
    num_points: int = option(33, "Places along the path.", ge=3, le=1000, log=True)
    num_steps: int = option(
        500,
        "Steps the path is relaxed for.",
        ge=0,
        le=100_000,
        main=True,
        log=True,
        sweep=(1, 2000),
    )
    step_size: float = option(
        0.01,
        "How far a place follows the gradient at first, a in z − a E′; halved where the "
        "energy would rise.",
        unit="data sd²",
        gt=0,
        le=100,
        log=True,
    )
    free_ends: bool = option(
        True,
        "Whether the ends go down the energy as well, to minima near the two points; data "
        "lie higher than those, and a pass may hide below them.",
    )


class InterpolateAbility(Ability):
    """The string method: z ← z − a ∇E(z) at every place, then equal distances again.

    It converges to a path of least energy, a valley and the passes it crosses; a pass between two
    places reads a little low. The barrier is the highest energy on the way above the higher of the
    path's own two ends, 0 where there is none. One path of several that may be: it depends on the
    straight line it starts from. E, Ren & Vanden-Eijnden 2007.
    """

    id = "interpolate"
    title = "Path between two points"
    summary = "The energy along the straight line between two held-out points and along a valley."
    references = "E, Ren & Vanden-Eijnden 2007"
    needs_energy: ClassVar[bool] = True
    Config: ClassVar[type[Config]] = InterpolateConfig

    @classmethod
    def problems(cls, asked: Asked, config: InterpolateConfig) -> Problems:
        yield from real_only(asked, "first")
        num = len(asked.data.held_out)
        for field in ("first", "second"):
            if (row := getattr(config, field)) >= num:
                yield field, f"must be < {num}, the held-out rows, got {row}."
        if config.first == config.second:
            yield "second", f"must be another row than `first`, got {config.second} for both."

    @classmethod
    def answer(cls, asked: Asked, config: InterpolateConfig, generator: torch.Generator) -> Answer:
        data, energy = asked.data, asked.method.energy()
        ends = data.held_out[[config.first, config.second]]
        share = torch.linspace(0, 1, config.num_points, device=ends.device)
        share = share.reshape(-1, *[1] * (ends.dim() - 1))
        straight = ends[0] + share * (ends[1] - ends[0])
        relaxed = relax(energy, straight, config.num_steps, config.step_size, config.free_ends)
        paths = {"straight": straight, "relaxed": relaxed}
        by_path = {name: energies(energy, path) for name, path in paths.items()}
        figures = {
            "barrier": _barrier(by_path["relaxed"]),
            "barrier/straight": _barrier(by_path["straight"]),
            "length": _length(relaxed),
            "length/straight": _length(straight),
            "energy_first": float(by_path["straight"][0]),
            "energy_second": float(by_path["straight"][-1]),
        }
        summary = (
            f"From row {config.first} to row {config.second} the energy rises "
            f"{nats(figures['barrier'])} nats above the higher end on the relaxed path and "
            f"{nats(figures['barrier/straight'])} on the straight line."
        )
        arrays = {name: pictures.in_units(data.restore(path)) for name, path in paths.items()}
        arrays |= {f"{name}_energy": pictures.float32(value) for name, value in by_path.items()}
        return Answer(summary, figures, arrays, tuple(_events(asked, paths, by_path, figures)))


def relax(
    energy: Energy, path: Tensor, num_steps: int, step_size: float, free_ends: bool = False
) -> Tensor:
    """A path (num, *event_shape) after steps down the energy; its ends are held unless free."""
    shape = (-1, *[1] * (path.dim() - 1))
    steps = path.new_full((len(path),), step_size)
    for _ in range(num_steps):
        before, gradient = energy_and_gradient(energy, path)
        move = -steps.reshape(shape) * gradient
        most = FARTHEST * _length(path) / (len(path) - 1)
        norm = move.flatten(1).norm(dim=1).clamp(min=1e-12)
        moved = path + (most / norm).clamp(max=1.0).reshape(shape) * move
        lower = energies(energy, moved) <= before
        steps = torch.where(lower, (1.1 * steps).clamp(max=step_size), 0.5 * steps)
        if not free_ends:
            lower[[0, -1]] = False
        path = evenly(torch.where(lower.reshape(shape), moved, path))
    return path


def evenly(path: Tensor) -> Tensor:
    """Places at equal distances along the same broken line, (num, *event_shape)."""
    steps = path.diff(dim=0).flatten(1).norm(dim=1)
    along = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    wanted = torch.linspace(0, 1, len(path), device=path.device) * along[-1]
    after = torch.searchsorted(along, wanted[1:-1].contiguous()).clamp(1, len(path) - 1)
    share = (wanted[1:-1] - along[after - 1]) / steps[after - 1].clamp(min=1e-12)
    share = share.clamp(0, 1).reshape(-1, *[1] * (path.dim() - 1))
    inner = path[after - 1] + share * (path[after] - path[after - 1])
    return torch.cat([path[:1], inner, path[-1:]])


def _barrier(values: Tensor) -> float:
    """Highest energy of a path (num,) above the higher of its ends."""
    return float(values.max() - values[[0, -1]].max())


def _length(path: Tensor) -> float:
    return float(path.diff(dim=0).flatten(1).norm(dim=1).sum())


def _events(
    asked: Asked, paths: dict[str, Tensor], by_path: dict[str, Tensor], figures: dict[str, float]
) -> list[Event]:
    data, num = asked.data, len(paths["straight"])
    values = np.stack([pictures.float32(by_path[name]) for name in paths])
    share = np.linspace(0, 1, num, dtype=np.float32)
    events: list[Event] = [
        Curve("energy", share, values, list(paths), "share of the way", "nats"),
        Table("table", ["figure", ""], [[name, value] for name, value in figures.items()]),
    ]
    places = (
        torch.linspace(0, num - 1, min(num, 12)).round().long() if data.is_image else slice(num)
    )
    for name, role in (("straight", "data"), ("relaxed", "long_run")):
        picture = pictures.cloud(
            name, data, paths[name][places], role, by_path[name][places], num_dots=num, num_cells=12
        )
        events += [] if picture is None else [picture]
    return events
