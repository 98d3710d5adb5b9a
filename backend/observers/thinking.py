"""Predictions by the number of their steps, within those trained with and beyond."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch

from backend.data import Rows
from backend.events import Curve, Event, Scalar
from backend.metrics import prediction
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.requests.predicting import PredictingMethod, think

NUM_OBSERVED = 256
"""Held-out rows that are predicted to look at."""
NUM_BINS = 60
BEYOND = 2
"""Steps thought, in those of training, and two more."""


class ThinkingObserver(Observer):
    """`inner/*`: the error after each step, the energies of what is chosen from, the pictures on
    the way."""

    id = "thinking"

    @cached_property
    def _rows(self) -> Rows:
        data = self.subject.data
        return data.held_out_rows(slice(0, prediction.num_watched(data, NUM_OBSERVED)))

    def measure(self, context: Context) -> Iterable[Event]:
        method, data, rows = self.subject.method, self.subject.data, self._rows
        if not isinstance(method, PredictingMethod):
            return
        predictor, generator = method.predictor(), context.own_generator(self.id)
        given = {name: rows.given[name] for name in method.needs}
        num_steps = BEYOND * predictor.num_steps + 2
        thought = think(predictor, given, generator, num_steps)
        figures = [prediction.figures_of(data, x, rows.x) for x in thought.positions]
        name = prediction.leading(figures[0])
        yield Curve(
            f"inner/{name}",
            pictures.float32(torch.arange(len(figures), dtype=torch.float32)),
            pictures.float32(torch.tensor([[each[name] for each in figures]])),
            ["held out"],
            "inner steps",
            prediction.UNITS[name],
        )
        if thought.energies is None:
            return
        energies, trained = thought.energies, predictor.num_steps
        yield Scalar("inner/energy_drop", float((energies[0] - energies[trained]).mean()))
        true = predictor.energy(prediction.as_positions(data, rows.x), given)
        if true is not None:
            sets = {"true": true, "predicted": energies[trained], "noise": energies[0]}
            yield pictures.histogram("inner/energies", sets, NUM_BINS)
