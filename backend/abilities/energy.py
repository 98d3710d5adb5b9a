"""Energies of positions: the held-out data's, or those of a file."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import Problems, cloud, nats, positions_problems, read_positions
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Table
from backend.metrics.density import energies
from backend.observe import pictures

NUM_BINS = 60


class EnergyConfig(Config):
    path: str = option(
        "",
        "Positions in a file, .npy (num, ...) or a table, in the data's units; else held-out data.",
        max_length=1000,
        main=True,
    )
    num: int = option(
        2000,
        "At most so many of the positions, and as many of data and of noise beside them.",
        ge=2,
        le=10_000_000,
        main=True,
        log=True,
    )


class EnergyAbility(Ability):
    """E(x) in nats, up to the run's own constant: only differences say something."""

    id = "energy"
    title = "Energy of positions"
    summary = "The energy of every position, beside that of training data and of uniform noise."
    needs_energy: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True
    Config: ClassVar[type[Config]] = EnergyConfig

    @classmethod
    def problems(cls, asked: Asked, config: EnergyConfig) -> Problems:
        yield from positions_problems(asked.data, config.path)

    @classmethod
    def answer(cls, asked: Asked, config: EnergyConfig, generator: torch.Generator) -> Answer:
        data, energy = asked.data, asked.method.energy()
        z = read_positions(data, config.path) if config.path else data.held_out
        sets = {
            "asked": z[: config.num],
            "data": data.train[: config.num],
            "noise": data.noise(config.num, generator),
        }
        by_set = {name: energies(energy, positions) for name, positions in sets.items()}
        values, above = by_set["asked"], by_set["asked"].mean() - by_set["data"].mean()
        figures = {name: float(value) for name, value in _summary(values).items()}
        figures |= {"data": float(by_set["data"].mean()), "noise": float(by_set["noise"].mean())}
        figures["above_data"] = float(above)
        what = "of the file" if config.path else "held out"
        summary = (
            f"The {len(values):,} positions {what} have mean energy {nats(figures['mean'])} (sd "
            f"{nats(figures['sd'])}), {nats(abs(float(above)))} nats "
            f"{'above' if above >= 0 else 'below'} the training data; uniform noise has "
            f"{nats(figures['noise'])}."
        )
        rows = [[name, *map(float, _summary(item).values())] for name, item in by_set.items()]
        return Answer(
            summary,
            figures,
            {
                "x": pictures.in_units(data.restore(sets["asked"])),
                "energy": pictures.float32(values),
            },
            (
                pictures.histogram("histogram", by_set, NUM_BINS),
                *cloud("positions", data, sets["asked"], "data", values),
                Table("table", ["positions", *_summary(values)], rows),  # type: ignore[arg-type]
            ),
        )


def _summary(values: Tensor) -> dict[str, Tensor]:
    values = values.double()
    return {
        "mean": values.mean(),
        "sd": values.std() if len(values) > 1 else values.new_zeros(()),
        "lowest": values.min(),
        "median": values.median(),
        "highest": values.max(),
    }
