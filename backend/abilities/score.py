"""The score of a trained run at positions: the held-out data's, or those of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from backend.abilities import Problems, cloud, nats, positions_problems, read_positions, real_only
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config, option
from backend.energy import energy_and_gradient
from backend.events import Points, Table
from backend.observe import pictures

CHUNK = 4096


class ScoreConfig(Config):
    path: str = option(
        "",
        "Positions in a file, .npy (num, ...) or a table, in the data's units; else held-out data.",
        max_length=1000,
        main=True,
    )
    num: int = option(
        2000, "At most so many of the positions.", ge=1, le=1_000_000, main=True, log=True
    )


class ScoreAbility(Ability):
    """s(x) = −∇E(x), in the user's units one over those of x.

    Of draws of exp(−E) itself the mean of z·s(z) is −dim, z standardised (Stein's identity): the
    figure `stein`, that mean over −dim, is 1 where the model's slope is right on average.
    """

    id = "score"
    title = "Score at positions"
    summary = "The gradient of the log-density, −∇E, at every position, and how long it is."
    references = "Stein 1972; Hyvärinen 2005"
    needs_energy: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True
    Config: ClassVar[type[Config]] = ScoreConfig

    @classmethod
    def problems(cls, asked: Asked, config: ScoreConfig) -> Problems:
        yield from real_only(asked, "path")
        yield from positions_problems(asked.data, config.path)

    @classmethod
    def answer(cls, asked: Asked, config: ScoreConfig, generator: torch.Generator) -> Answer:
        data, energy = asked.data, asked.method.energy()
        z = (read_positions(data, config.path) if config.path else data.held_out)[: config.num]
        score = torch.cat([-energy_and_gradient(energy, part)[1] for part in z.split(CHUNK)])
        norm = score.flatten(1).norm(dim=1)
        dim = z[0].numel()
        stein = -(z * score).flatten(1).sum(1).double().mean() / dim
        figures = {
            "norm": float(norm.mean()),
            "norm_median": float(norm.median()),
            "norm_largest": float(norm.max()),
            "stein": float(stein),
        }
        what = "of the file" if config.path else "held out"
        summary = (
            f"At the {len(z):,} positions {what} the score is {nats(figures['norm'])} long on "
            f"average, in 1 / data sd; the mean of −z·score over {dim} is "
            f"{nats(figures['stein'])}, and 1 where the model's slope is right."
        )
        scale = data.scale.to(score)
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "score": pictures.float32(score / scale),
            "norm": pictures.float32(norm),
        }
        rows: list[list[str | float | int | None]] = [
            [name, value] for name, value in figures.items()
        ]
        drawn = [
            replace(event, arrows=_first(arrays["score"], event.positions.shape))
            if isinstance(event, Points)
            else event
            for event in cloud("positions", data, z, "data", norm)
        ]
        events = (*drawn, Table("table", ["figure", ""], rows))
        return Answer(summary, figures, arrays, events)


def _first(score: Array, shape: tuple[int, ...]) -> Array:
    """The scores (num, dim) of the positions and coordinates that are drawn."""
    return score[: shape[0], : shape[1]]
