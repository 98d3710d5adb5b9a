"""Predictions by the number of their steps, within those trained with and beyond."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from backend.data import Rows
from backend.events import Event, Scalar
from backend.metrics import prediction
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.requests import thoughts
from backend.requests.predicting import PredictingMethod, think

NUM_OBSERVED = 256
"""Held-out rows that are predicted to look at."""
BEYOND = 2
"""Steps thought, in those of training, and two more."""


class ThinkingObserver(Observer):
    """`inner/*`: the error and the energy after each step, those of wrong answers, and the ways of
    some predictions; `rank/*`: contexts in which the truth has less energy than wrong answers."""

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
        rows = rows._replace(given={name: rows.given[name] for name in method.needs})
        trained = predictor.num_steps
        thought = think(predictor, rows.given, generator, BEYOND * trained + 2)
        figures = [prediction.figures_of(data, x, rows.x) for x in thought.positions]
        name = prediction.leading(figures[0])
        errors = [each[name] for each in figures]
        true = thoughts.true_energy(data, predictor, rows)
        yield from thoughts.ways("inner/ways", data, rows, thought, trained, true)
        yield thoughts.errors_by_step(f"inner/{name}", errors, name, trained)
        if thought.energies is None or true is None:
            return
        yield Scalar(
            "inner/energy_drop", float((thought.energies[0] - thought.energies[trained]).mean())
        )
        yield thoughts.energies_by_step("inner/energy", thought.energies, true, trained)
        energies = {"true": true, "predicted": thought.energies[trained]}
        wrong = prediction.wrong_answers(data, rows.x, prediction.NOISE, generator)
        for kind in ("noisy", "random"):
            position = prediction.as_positions(data, wrong[kind])
            judged = predictor.energy(position, rows.given)
            assert judged is not None, "it judges"
            energies[kind] = judged
        yield thoughts.above_truth("inner/above_truth", energies)
        below = true < energies["noisy"]
        yield Scalar("rank/noisy", float(below.double().mean()))
        ordered = below & (energies["noisy"] < energies["random"])
        yield Scalar("rank/ordered", float(ordered.double().mean()))
