"""The way to an event that is built step by step, and its energy on the way."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from backend.abilities import Cells, Problems, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Curve, Event, Table
from backend.observe import pictures
from backend.requests.building import BuildingMethod, Built

MOST_DRAWN = 12
"""Trajectories whose energies are drawn."""


class BuildConfig(Config):
    num: int = option(
        12, "Events to build, each by a trajectory of its own.", ge=1, le=10_000, main=True
    )


class BuildAbility(Ability):
    """s₀ → s₁ → … → x by the forward policy, with the energy of what there is at every step.

    `energy` is the target's mean energy of the events, without its normaliser; `rises` the share of
    steps at which the energy of the part goes up, which a greedy way would never take. The first
    trajectory stands in a table, step by step.
    """

    id = "build"
    title = "Ways to events"
    summary = "Builds events step by step and shows the energy of what there is on the way."
    references = "Bengio et al. 2021; Pan et al. 2023"
    Config: ClassVar[type[Config]] = BuildConfig

    @classmethod
    def samples(cls, config: BuildConfig) -> tuple[str, ...]:
        return ("x",)

    @classmethod
    def problems(cls, asked: Asked, config: BuildConfig) -> Problems:
        if not isinstance(asked.method, BuildingMethod):
            yield "", f"{asked.method.title} builds no events step by step."

    @classmethod
    def answer(cls, asked: Asked, config: BuildConfig, generator: torch.Generator) -> Answer:
        method = asked.method
        assert isinstance(method, BuildingMethod)
        built = method.build(config.num, generator)
        made = torch.arange(len(built.log_forward), device=built.lengths.device)
        made = made[:, None] < built.lengths
        rises = (built.part_energy.diff(dim=0) > 0) & made
        figures = {
            "energy": float(built.energy.mean()),
            "energy_lowest": float(built.energy.min()),
            "length": float(built.lengths.double().mean()),
            "rises": float(rises.sum() / made.sum()),
            "log_prob": float(built.log_forward.sum(0).mean()),
        }
        summary = (
            f"{config.num:,} events of mean energy {nats(figures['energy'])}, each in "
            f"{nats(figures['length'])} steps; the energy of what there is rises at "
            f"{figures['rises']:.0%} of them."
        )
        arrays = {
            "x": pictures.in_units(asked.data.restore(built.x)),
            "energy": pictures.float32(built.energy),
            "part_energy": pictures.float32(built.part_energy.T),
            "log_forward": pictures.float32(built.log_forward.T),
        }
        return Answer(summary, figures, arrays, (_course(built), *_tables(built)))


def _course(built: Built) -> Event:
    """Energies of unfinished events over the steps, a line a trajectory."""
    lines = built.part_energy[:, :MOST_DRAWN].T
    names = [f"{index + 1}" for index in range(len(lines))]
    steps = np.arange(lines.shape[1], dtype=np.float32)
    return Curve("part_energy", steps, pictures.float32(lines), names, "step", "nats")


def _tables(built: Built) -> list[Event]:
    """The first trajectory, and the events with their energies, the lowest first."""
    length = int(built.lengths[0])
    part, ahead = built.part_energy[:, 0].tolist(), built.log_forward[:, 0].exp().tolist()
    first: list[Cells] = [
        [step, built.words[0][step], part[step], ahead[step - 1] if step else None]
        for step in range(length + 1)
    ]
    order = built.energy.argsort()[:MOST_DRAWN].tolist()
    log_prob = built.log_forward.sum(0)
    events: list[Cells] = [
        [built.words[row][-1], float(built.energy[row]), float(log_prob[row])] for row in order
    ]
    return [
        Table("first_way", ["step", "what there is", "energy", "probability"], first),
        Table("events", ["event", "energy", "log P of the way"], events),
    ]
