"""The way from an event to another class, by the steps that change a classifier's mind."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import (
    EACH,
    Cells,
    Label,
    Problems,
    cloud,
    label_name,
    label_of,
    label_problems,
    nats,
    positions_problems,
    read_positions,
    real_only,
)
from backend.abilities.classify import class_log_probs, log_probs_of, slope_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Curve, Event, Table
from backend.metrics.density import energies
from backend.objectives import attacks
from backend.observe import pictures

MOST_CURVES = 8
"""Events whose probabilities are drawn."""


class CounterfactualConfig(Config):
    target: Label = option(
        "",
        "The class to walk to, by name or number; empty walks from each event to the class after "
        "its own.",
        max_length=100,
        main=True,
    )
    path: str = option(
        "",
        "Events of a file, .npy (num, ...) or a table, in the data's units; else held-out ones.",
        max_length=1000,
    )
    num: int = option(6, "At most so many of the events.", ge=1, le=1000, log=True)
    step_size: float = option(
        0.3, "Length of a step.", unit="data sd", gt=0, le=100, main=True, log=True
    )
    num_steps: int = option(
        24, "Steps of a walk.", ge=1, le=1000, main=True, log=True, sweep=(1, 200)
    )


class CounterfactualAbility(Ability):
    """x ← P(x + a ∇ / |∇|) of log p(target | x), a walk from an event towards a class, P onto the
    range of images.

    `length`: how far a walk is when the target becomes the most likely class, in data sd, the
    median over those that get there. On the way of a robust classifier events turn into ones of the
    class; a plain one changes its mind before anything is seen. Santurkar et al. 2019.
    """

    id = "counterfactual"
    title = "Path to another class"
    summary = "What has to change of an event until it is taken for another class."
    references = "Santurkar et al. 2019"
    Config: ClassVar[type[Config]] = CounterfactualConfig

    @classmethod
    def problems(cls, asked: Asked, config: CounterfactualConfig) -> Problems:
        yield from real_only(asked, "step_size")
        yield from slope_problems(asked)
        yield from label_problems(asked, config.target, "target")
        if config.target == EACH:
            yield "target", "must be one class, got all of them."
        yield from positions_problems(asked.data, config.path)

    @classmethod
    def answer(
        cls, asked: Asked, config: CounterfactualConfig, generator: torch.Generator
    ) -> Answer:
        data = asked.data
        z = (read_positions(data, config.path) if config.path else data.held_out)[: config.num]
        at_start = class_log_probs(asked, z)
        targets = attacks.next_labels(at_start.argmax(1), at_start.shape[1])
        if (number := label_of(asked, config.target)) is not None:
            targets = torch.full_like(targets, number)
        path = _walked(asked, z, targets, config)
        log_probs = torch.stack([class_log_probs(asked, x) for x in path])
        of_target = log_probs.gather(2, targets[None, :, None].expand(len(path), -1, 1))[..., 0]
        lengths = _lengths(path, log_probs.argmax(2) == targets)
        arrived = lengths.isfinite()
        figures = {"arrived": float(arrived.double().mean())}
        summary = (
            f"Of {len(z):,} events {figures['arrived']:.0%} are taken for the class in the end"
        )
        if arrived.any():
            figures["length"] = float(lengths[arrived].median())
            summary += f", the median after a change of length {nats(figures['length'])}"
        names = [label_name(data, int(label)) for label in targets]
        events: list[Event] = []
        values: list[Tensor | None] = [None, None]
        if asked.method.has_energy:
            along = [energies(asked.method.energy(), x) for x in (path[0], path[-1])]
            values = [*along]
            figures |= {
                "energy/start": float(along[0].mean()),
                "energy/end": float(along[1].mean()),
            }
        for where, index in (("start", 0), ("end", -1)):
            role = "data" if where == "start" else "long_run"
            events += cloud(where, data, path[index], role, values[index])
        if data.is_image:
            events += cloud("path", data, path[:, 0], "long_run")
        steps = np.arange(len(path), dtype=np.float32) * config.step_size
        curves = pictures.float32(of_target.exp().T[:MOST_CURVES])
        labels = [f"{row + 1}: {name}" for row, name in enumerate(names[:MOST_CURVES])]
        events.append(Curve("probability", steps, curves, labels, "length of the walk, data sd"))
        called = [label_name(data, int(label)) for label in at_start.argmax(1)]
        rows: list[Cells] = [
            [before, name, length if math.isfinite(length) else None]
            for before, name, length in zip(called, names, lengths.tolist(), strict=True)
        ]
        events.append(Table("table", ["taken for", "walks to", "length of the change"], rows))
        arrays = {
            "path": pictures.in_units(data.restore(path)),
            "target": targets.cpu().numpy(),
            "probability": pictures.float32(of_target.exp()),
        }
        return Answer(f"{summary}.", figures, arrays, tuple(events))


def _walked(asked: Asked, z: Tensor, targets: Tensor, config: CounterfactualConfig) -> Tensor:
    """Places (num_steps + 1, num, *event_shape) of walks from z, the first z itself."""
    value = attacks.against(log_probs_of(asked), targets, targets)
    ball = attacks.Ball("l2", math.inf)
    if asked.data.is_image:
        ball = attacks.box_of(asked.data)
    places = [z]
    for _ in range(config.num_steps):
        places.append(attacks.climb(value, places[-1], ball, config.step_size, 1, places[-1]))
    return torch.stack(places)


def _lengths(path: Tensor, is_there: Tensor) -> Tensor:
    """Length (num,) of the change at the first step where the target is called, inf for none."""
    changes = (path - path[0]).flatten(2).norm(dim=2)
    first = is_there.int().argmax(0)
    lengths = changes.gather(0, first[None])[0]
    return torch.where(is_there.any(0), lengths, torch.inf)
