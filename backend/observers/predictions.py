"""Predictions of held-out events from what is given beside them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from backend.data import Rows
from backend.events import Event, Scalar
from backend.method import SampleRequest
from backend.metrics import prediction
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.requests import conditional_sampling
from backend.requests.predicting import PredictingMethod, think


class PredictionsObserver(Observer):
    """`prediction/*`: how far predictions are off, beside what costs no training, and pictures of
    what is given, predicted and true."""

    id = "predictions"

    @cached_property
    def _rows(self) -> Rows:
        data = self.subject.data
        num = prediction.num_watched(data, self.subject.num_measured)
        return data.held_out_rows(slice(0, num))

    def begin(self, context: Context) -> Iterable[Event]:
        subject, rows = self.subject, self._rows
        known = rows.given.get("context")
        if known is not None and subject.data.is_event(known):
            yield from subject.cloud("prediction/given", known, "noise")
        if not subject.data.alphabet:
            yield from subject.cloud("prediction/true", rows.x, "data")
        for name, figures in prediction.baselines(subject.data, rows).items():
            for figure, value in figures.items():
                yield Scalar(f"prediction/{figure}/{name}", value)

    def measure(self, context: Context) -> Iterable[Event]:
        subject, data = self.subject, self.subject.data
        rows = data.held_out_rows(slice(None)) if context.is_final else self._rows
        given = {name: rows.given[name] for name in subject.method.needs}
        generator = context.own_generator(self.id)
        if isinstance(subject.method, PredictingMethod):
            predicted = think(subject.method.predictor(), given, generator).last
        else:
            request = SampleRequest(len(rows.x), given=given)
            predicted = conditional_sampling.draw(subject.method, request, generator).position
        if data.alphabet:
            lines, shares = rows.x, prediction.shares_of(predicted, rows.x)
            num = pictures.NUM_LINES
            yield pictures.lines_of_text("prediction/text", data, lines[:num], None, shares[:num])
        elif predicted.shape == rows.x.shape:
            yield from subject.cloud("prediction/predicted", predicted, "long_run")
        for figure, value in prediction.figures_of(data, predicted, rows.x).items():
            yield Scalar(f"prediction/{figure}", value)
