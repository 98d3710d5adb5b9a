"""Predicting held-out events from what is known beside them, next to what costs nothing to fit."""

from __future__ import annotations

from typing import ClassVar

import torch

from backend.abilities import Cells, Problems, cloud, nats, refused
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data, Rows
from backend.events import Event, Table
from backend.method import SampleRequest
from backend.metrics import prediction
from backend.observe import pictures
from backend.requests import conditional_sampling


class PredictConfig(Config):
    num: int = option(
        500, "Held-out events that are predicted.", ge=2, le=20_000, main=True, log=True
    )
    num_steps: int | None = option(
        None,
        "Steps that each prediction takes; more than in training is thinking longer. Empty leaves "
        "it to the run.",
        ge=0,
        le=10_000,
        main=True,
        log=True,
        sweep=(1, 100),
    )
    num_draws: int = option(
        3,
        "Predictions of each event, from starts of their own: one is judged, and the mean of all.",
        ge=1,
        le=100,
        main=True,
    )


class PredictAbility(Ability):
    """x where what is known beside it is given: `Method.draw` with a context.

    squared_error is the mean over coordinates in standardised units, psnr its reading in dB for
    images. One draw of a distribution has up to twice the error of its mean, which stands beside
    it as `squared_error_mean`.
    """

    id = "predict"
    title = "Prediction"
    order = 2
    summary = "Predicts held-out events from their context, beside the mean and least squares."
    references = "LeCun et al. 2006; Gladstone et al. 2025"
    Config: ClassVar[type[Config]] = PredictConfig

    @classmethod
    def problems(cls, asked: Asked, config: PredictConfig) -> Problems:
        method = asked.method
        if not method.draws:
            yield "", method.no_energy()
            return
        if not method.needs:
            reason = (
                f"{method.title} learned what events are like, not what follows from a context."
            )
            yield "", f"{reason} It can be asked for samples."
            return
        if asked.data.num_values is not None:
            yield "", "Predictions of whole numbers are shares of each. Ask for `think`."
            return
        yield from refused(asked, _request(asked, config))

    @classmethod
    def answer(cls, asked: Asked, config: PredictConfig, generator: torch.Generator) -> Answer:
        data, rows = asked.data, _rows(asked, config)
        request = _request(asked, config)
        draws = torch.stack(
            [
                conditional_sampling.draw(asked.method, request, generator).position
                for _ in range(config.num_draws)
            ]
        )
        table = {"": prediction.figures_of(data, draws[0], rows.x)}
        of_mean = prediction.figures_of(data, draws.mean(0), rows.x)
        table |= prediction.baselines(data, rows)
        figures = {
            "/".join(filter(None, [figure, name])): value
            for name, row in table.items()
            for figure, value in row.items()
        }
        figures |= {f"{name}_mean": value for name, value in of_mean.items()}
        arrays = {
            "x": pictures.in_units(data.restore(rows.x)),
            "predicted": pictures.in_units(data.restore(draws).transpose(0, 1)),
        }
        for name, value in rows.given.items():
            x = data.restore(value) if data.is_event(value) else value
            arrays[f"given_{name}"] = pictures.float32(x)
        events = [*_pictures(data, rows, draws[0]), _table(table, of_mean)]
        return Answer(_in_words(table, of_mean, len(rows.x)), figures, arrays, tuple(events))


def _rows(asked: Asked, config: PredictConfig) -> Rows:
    return asked.data.held_out_rows(slice(0, config.num))


def _request(asked: Asked, config: PredictConfig) -> SampleRequest:
    rows = _rows(asked, config)
    given = {name: rows.given[name] for name in asked.method.needs if name in rows.given}
    return SampleRequest(len(rows.x), num_steps=config.num_steps, given=given)


def _pictures(data: Data, rows: Rows, predicted: torch.Tensor) -> list[Event]:
    context = rows.given.get("context")
    given = []
    if context is not None and data.is_event(context):
        given = cloud("given", data, context, "noise")
    return [
        *given,
        *cloud("predicted", data, predicted, "long_run"),
        *cloud("true", data, rows.x, "data"),
    ]


def _table(rows: dict[str, dict[str, float]], of_mean: dict[str, float]) -> Table:
    titled = {"the run": rows[""], "the mean of its draws": of_mean}
    titled |= {prediction.TITLES[name]: row for name, row in rows.items() if name}
    columns = list(of_mean)
    cells: list[Cells] = [
        [title, *(row.get(column) for column in columns)] for title, row in titled.items()
    ]
    return Table("table", ["predicted by", *columns], cells)


def _in_words(rows: dict[str, dict[str, float]], of_mean: dict[str, float], num: int) -> str:
    figure, unit = ("psnr", " dB") if "psnr" in of_mean else ("squared_error", "")
    own = rows[""]
    sentence = "PSNR" if figure == "psnr" else "Squared error"
    sentence += f" {nats(own[figure])}{unit} over {num:,} held-out events"
    beside = ", ".join(
        f"{prediction.TITLES[name]} {nats(row[figure])}" for name, row in rows.items() if name
    )
    sentence += f"; {beside}."
    better = [
        name
        for name, row in rows.items()
        if name and not row["squared_error"] > own["squared_error"]
    ]
    if better:
        listed = ", ".join(prediction.TITLES[name] for name in better)
        sentence += f" No gain over what costs no training: {listed}."
    return sentence
