"""Verifying: the energy of the true answer among others to the same question."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import Cells, Problems, nats, positions_problems, read_positions
from backend.abilities.think import rows_of
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.events import Event, Table
from backend.metrics import prediction
from backend.observe import pictures
from backend.requests import thoughts
from backend.requests.predicting import (
    Given,
    PredictingMethod,
    Predictor,
    think,
)

TITLES = {"predicted": "the run's own prediction", **prediction.WRONG}
"""Title of each wrong answer."""


class VerifyConfig(Config):
    num: int = option(500, "Held-out events that are asked about.", ge=2, le=20_000, main=True)
    noise: float = option(
        prediction.NOISE,
        "Noise of the truth made noisy: standard deviation, or, of whole numbers, the share of "
        "values drawn anew.",
        gt=0,
        le=100,
        main=True,
        sweep=(0.1, 10.0),
        log=True,
    )
    context_noise: float | None = option(
        None,
        "Standard deviation of fresh noise on the held-out events, which then are the contexts. "
        "Empty takes the contexts of the data.",
        ge=0,
        le=100,
        unit="half the range",
    )
    row: int = option(
        0,
        "Place of the held-out event that the answers of the file are to.",
        ge=0,
        le=10_000_000,
        pointed="row",
    )
    path: str = option(
        "", "Answers of your own to one event, an array (num, ...) in .npy; empty gives none."
    )

    def derived(self) -> dict[str, str]:
        return {} if self.path else {"row": "No effect without a file of answers."}


class VerifyAbility(Ability):
    """Shares of events whose true answer has less energy than a wrong one beside the same context.

    With one wrong answer to a context that share is the AUROC within contexts. Energies of several
    contexts are never pooled: what is given shifts them freely. `ordered` is the share with
    E(truth) < E(made noisy) < E(noise).
    """

    id = "verify"
    title = "Verification"
    summary = "Ranks the true answer among wrong ones by their energies beside the same context."
    references = "LeCun et al. 2006; Gladstone et al. 2025"
    Config: ClassVar[type[Config]] = VerifyConfig

    @classmethod
    def problems(cls, asked: Asked, config: VerifyConfig) -> Problems:
        method, data = asked.method, asked.data
        if not isinstance(method, PredictingMethod) or not method.judges:
            yield "", f"{method.title} has no energy of an answer beside its context."
            return
        if config.context_noise is not None and not data.is_event(data.held_out_given["context"]):
            yield "context_noise", "must be empty: the contexts of these data are no noisy events."
        if config.path and config.row >= len(data.held_out):
            yield "row", f"must be below {len(data.held_out):,}, the held-out events."
        yield from positions_problems(data, config.path)

    @classmethod
    def answer(cls, asked: Asked, config: VerifyConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, PredictingMethod)
        predictor = method.predictor()
        rows = rows_of(data, config.num, config.context_noise, generator)
        energies = {"true": _energy(predictor, data, rows.x, rows.given)}
        predicted = think(predictor, rows.given, generator)
        assert predicted.energies is not None
        energies["predicted"] = predicted.energies[-1]
        for name, x in prediction.wrong_answers(data, rows.x, config.noise, generator).items():
            energies[name] = _energy(predictor, data, x, rows.given)
        figures: dict[str, float] = {}
        cells: list[Cells] = []
        true = energies["true"]
        for name, title in TITLES.items():
            share = float((true < energies[name]).double().mean())
            figures[f"below_{name}"] = share
            cells.append([title, share])
        ordered = (true < energies["noisy"]) & (energies["noisy"] < energies["random"])
        figures["ordered"] = float(ordered.double().mean())
        arrays = {f"energy_{name}": pictures.float32(value) for name, value in energies.items()}
        events: list[Event] = [
            thoughts.above_truth("above_truth", energies),
            Table("table", ["wrong answer", "truth below it (AUROC within contexts)"], cells),
        ]
        summary = (
            f"The truth has less energy than another event's in {figures['below_other']:.1%} of "
            f"{len(true):,} contexts, than itself made noisy in {figures['below_noisy']:.1%} and "
            f"than the run's own prediction in {figures['below_predicted']:.1%}."
        )
        if config.path:
            own = _own_energies(asked, predictor, config)
            place = int((own[1:] < own[0]).sum()) + 1
            figures["place"] = float(place)
            arrays["energy_own"] = pictures.float32(own)
            events.append(_ranked(own))
            summary += (
                f" Among {len(own) - 1:,} answers of the file to event {config.row} the truth is "
                f"number {place} by energy; the lowest has {nats(float(own.min()))}."
            )
        return Answer(summary, figures, arrays, tuple(events))


def _energy(predictor: Predictor, data: Data, x: Tensor, given: Given) -> Tensor:
    energy = predictor.energy(prediction.as_positions(data, x), given)
    assert energy is not None, "asked of those that judge alone"
    return energy


def _own_energies(asked: Asked, predictor: Predictor, config: VerifyConfig) -> Tensor:
    """(1 + num,) energies of the truth of one event and of a person's answers to it."""
    data = asked.data
    row = data.held_out_rows(slice(config.row, config.row + 1))
    x = torch.cat([row.x, read_positions(data, config.path, "path")])
    given = {name: value.expand(len(x), *value.shape[1:]) for name, value in row.given.items()}
    return _energy(predictor, data, x, given)


def _ranked(energies: Tensor) -> Table:
    """The truth and the answers of the file, least energy first."""
    cells: list[Cells] = [
        ["the truth" if index == 0 else f"{index} of the file", float(energies[index])]
        for index in energies.argsort().tolist()
    ]
    return Table("own", ["answer", "energy"], cells)
