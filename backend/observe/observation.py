"""Observation: the one loop over the observers of a method.

It never touches training: all draws come from generators made of (seed, step, tier), modules are
put back into the mode they were in, and gradients are not counted. `data` is on the method's
device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch

from backend.data import Data
from backend.events import Event, Scalar, Text
from backend.method import Method
from backend.observe.alarms import SHORT
from backend.observe.context import BEGIN, EVALUATE, MEASURE, WATCH, Context, Subject
from backend.observe.observer import Observer
from backend.observe.sizes import Sizes
from backend.system import discovery

SHORT_TRY = (
    f"A short try: its budget is below {SHORT:.0%} of its preset's. What its samples and density "
    "lack is said here, and is no alarm."
)


class Observation:
    """Observes one method on its data, by the observers it names, in their order."""

    def __init__(
        self,
        method: Method,
        data: Data,
        seed: int,
        sizes: Sizes | None = None,
        is_short: bool = False,
    ) -> None:
        self.subject = Subject(method, data, seed, sizes or Sizes(), is_short)
        known = discovery.observers()
        classes = [known[name] for name in method.observers if name in known]
        self.observers: list[Observer] = [
            cls(self.subject) for cls in classes if method.has_energy or not cls.needs_energy
        ]
        self.missing = [name for name in method.observers if name not in known]
        """names of observers that are not here, or whose files are broken"""

    def begin(self) -> list[Event]:
        """Events that never change: data, floors, goals, the true landscape."""
        with self.moment(0, BEGIN) as context:
            events = _collected(context, (each.begin(context) for each in self.observers))
        words = [Text("run/short_try", SHORT_TRY)] if self.subject.is_short else []
        return [*events, *words, *(_missing(name) for name in self.missing)]

    def watch(self, step: int) -> list[Event]:
        """The moving picture."""
        with self.moment(step, WATCH) as context:
            return _collected(context, (each.watch(context) for each in self.observers))

    def measure(self, step: int) -> list[Event]:
        """Figures of samples and chains, and alarms."""
        with self.moment(step, MEASURE) as context:
            return _collected(context, (each.measure(context) for each in self.observers))

    def evaluate(
        self, step: int
    ) -> tuple[dict[str, float], list[Event], dict[str, npt.NDArray[Any]]]:
        """The final word: many samples against as many held-out ones, with floors at that number.

        Returns figures by path, events, and arrays by name, samples in the user's units.
        """
        events: list[Event] = []
        arrays: dict[str, npt.NDArray[Any]] = {}
        with self.moment(step, EVALUATE) as context:
            for observer in self.observers:
                final = observer.evaluate(context)
                context.figures |= final.figures
                events += final.events
                arrays |= final.arrays
        return context.figures, events, arrays

    @property
    def judging_ratio(self) -> float:
        """Cost of `evaluate` in costs of `measure`, about: by the steps of its chains, of points as
        measured (0.5 s and 6 s on one core, where figures that are quadratic count too)."""
        sizes = self.subject.sizes
        if not self.subject.is_large:
            return 2.0 * sizes.num_evaluated / sizes.num_measured
        evaluated = sizes.image_num_evaluated * sizes.image_long_run_steps
        return evaluated / (sizes.image_num_measured * sizes.image_measured_steps)

    @contextmanager
    def moment(self, step: int, tier: int) -> Iterator[Context]:
        """The method in evaluation mode, with what its observers share; then all as before.

        No graph is built except where a gradient in x is asked for.
        """
        method = self.subject.method
        energy = method.energy() if method.has_energy else None
        tops = (*method.modules(), *(() if energy is None else (energy,)))
        modes = [(module, module.training) for top in tops for module in top.modules()]
        paid = method.gradient_evaluations
        try:
            for module, _ in modes:
                module.training = False
            with torch.no_grad():
                yield Context(self.subject, energy, step, tier)
        finally:
            for module, training in modes:
                module.training = training
            method.gradient_evaluations = paid


def _collected(context: Context, seen: Iterable[Iterable[Event]]) -> list[Event]:
    """All events, one observer after the other, their Scalars noted for those that follow."""
    events = []
    for each in seen:
        for event in each:
            if isinstance(event, Scalar):
                context.figures[event.path] = event.value
            events.append(event)
    return events


def _missing(name: str) -> Event:
    known = ", ".join(discovery.observers())
    message = f"There is no observer `{name}`, or its file is broken. Known: {known}."
    return Text(f"alarm/observation/{name}", message, "warning")
