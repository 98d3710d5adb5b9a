"""Outcomes of predictions where the law of what follows is known, and the order of energies."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch

from backend.data import Rows
from backend.events import Event, Scalar
from backend.method import SampleRequest
from backend.metrics import outcomes
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.requests import conditional_sampling, futures
from backend.requests.predicting import PredictingMethod

NUM_PATHS = 32
"""Predictions of one context that are drawn."""


class OutcomesObserver(Observer):
    """`outcome/*`: what the law says of predictions; `rank/*`: whether the energy tells what may
    follow from what cannot, within each context; `future/*`: one context with its predictions."""

    id = "outcomes"

    @cached_property
    def _rows(self) -> Rows:
        return self.subject.data.held_out_rows(slice(0, self.subject.num_measured))

    def measure(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        method, data = subject.method, subject.data
        if data.future is None or not isinstance(method, PredictingMethod):
            return
        rows = data.held_out_rows(slice(None)) if context.is_final else self._rows
        given = {name: rows.given[name] for name in method.needs}
        generator = context.own_generator(self.id)
        request = SampleRequest(len(rows.x), given=given)
        predicted = conditional_sampling.draw(method, request, generator).position
        figures = outcomes.of_predictions(data, rows, predicted)
        predictor = method.predictor()
        with torch.no_grad():
            figures |= outcomes.of_energies(data, rows, predictor.energy, generator)
        for path, value in figures.items():
            yield Scalar(path, value)
        steps = futures.BUDGETS if context.is_final else (None,)
        landed = futures.landings(data, rows, predictor, generator, steps)
        yield from futures.landings_table(data, landed)
        yield from futures.pictures_of(data, predictor, futures.telling_row(data), NUM_PATHS)
