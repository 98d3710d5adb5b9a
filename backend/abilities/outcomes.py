"""Outcomes of predictions, by the law of what follows, and whether the energy knows it."""

from __future__ import annotations

from typing import ClassVar

import torch

from backend.abilities import Cells, Problems, Words, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Event, Table, Trajectory
from backend.metrics import outcomes
from backend.observe import pictures
from backend.requests import futures
from backend.requests.predicting import PredictingMethod, think


class OutcomesConfig(Config):
    num: int = option(
        1000, "Held-out contexts that are predicted from.", ge=2, le=20_000, log=True, main=True
    )
    num_steps: int | None = option(
        None,
        "Steps of each prediction. Empty leaves it to the run.",
        ge=1,
        le=10_000,
        log=True,
        main=True,
        sweep=(1, 100),
    )
    row: int | None = option(
        None,
        "Held-out event whose context is drawn; empty draws the first after which several things "
        "may follow.",
        ge=0,
        le=1_000_000,
        main=True,
    )
    num_paths: int = option(32, "Predictions drawn from it.", ge=1, le=500)
    runs: Words = option(
        [], "Id of another run on the same data, to land beside this one.", max_length=1
    )


class OutcomesAbility(Ability):
    """Shares of predictions that a law allows, and of contexts whose energies are in order.

    An energy has a constant free in every context, so that energies are compared within a context
    alone: the truth with what cannot follow there.
    """

    id = "outcomes"
    title = "What predictions come to"
    summary = "Judges predictions and energies by the law of the data, where one is known."
    references = "LeCun et al. 2006; Gladstone et al. 2025"
    to_choose = ("runs",)
    Config: ClassVar[type[Config]] = OutcomesConfig

    @classmethod
    def problems(cls, asked: Asked, config: OutcomesConfig) -> Problems:
        if objections := list(futures.problems(asked.method, asked.data)):
            yield from objections
        elif config.runs:
            yield from futures.misfits(asked, config.runs[0])

    @classmethod
    def answer(cls, asked: Asked, config: OutcomesConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, PredictingMethod)
        predictor, rows = method.predictor(), data.held_out_rows(slice(0, config.num))
        given = {name: rows.given[name] for name in method.needs}
        thought = think(predictor, given, generator, config.num_steps)
        by_path = outcomes.of_predictions(data, rows, thought.last)
        by_path |= outcomes.of_energies(data, rows, predictor.energy, generator)
        row = futures.telling_row(data) if config.row is None else config.row
        events: list[Event] = futures.pictures_of(
            data, predictor, row, config.num_paths, config.num_steps
        )
        steps = sorted({*futures.BUDGETS, len(thought.positions) - 1})
        others = {}
        if config.runs and asked.load is not None:
            other = asked.load(config.runs[0]).method
            assert isinstance(other, PredictingMethod)
            others = {f"{other.title}, the other run": other.predictor()}
        landed = futures.landings(data, rows, predictor, generator, steps, others)
        events += futures.landings_table(data, landed)
        cells: list[Cells] = [
            [outcomes.FIGURES[path].title, value] for path, value in by_path.items()
        ]
        events.append(Table("table", ["of held-out contexts", "share or distance"], cells))
        arrays = {
            "x": pictures.in_units(data.restore(rows.x)),
            "predicted": pictures.in_units(data.restore(thought.last)),
            "given_context": pictures.float32(rows.given["context"]),
        }
        drawn = [event for event in events if isinstance(event, Trajectory)]
        if drawn:
            arrays["paths"] = drawn[0].positions
        num_steps = len(thought.positions) - 1
        listed = ", ".join(
            f"{outcomes.FIGURES[path].title.lower()} {nats(value)}"
            for path, value in by_path.items()
        )
        sentence = f"After {num_steps} steps, {len(rows.x):,} held-out contexts: {listed}."
        figures = {path.partition("/")[2]: value for path, value in by_path.items()}
        if landed:
            figures["neither/linear"] = landed["least squares"][-1]
            for name in others:
                figures["neither/other_run"] = landed[name][-1]
        return Answer(sentence, figures, arrays, tuple(events))
