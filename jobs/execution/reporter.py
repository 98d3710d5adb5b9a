"""Telling: events on their way to the emitter, and what the status repeats of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.events import Cost, Event, Scalar, Text
from jobs.execution.emitter import Emitter


class Telling:
    """Keeps the last value of every scalar; alarms go to the emitter's."""

    def __init__(self, emitter: Emitter, headline: Sequence[str]) -> None:
        self.emitter, self._charts = emitter, headline
        self._figures: dict[str, float] = {}

    def say(self, events: Iterable[Event], cost: Cost) -> None:
        """Emit events at a cost, their scalars as one row. Raises CannotWrite."""
        scalars: dict[str, float] = {}
        for event in events:
            if isinstance(event, Scalar):
                scalars[event.path] = event.value
                continue
            self.emitter.event(event, cost)
            if isinstance(event, Text) and event.level != "info":
                self.emitter.alarms.add(event.path, event.message, cost.step)
        if scalars:
            row = np.array([list(scalars.values())], np.float32)
            self.rows(list(scalars), row, cost, cost)

    def rows(
        self, paths: list[str], values: npt.NDArray[np.float32], first: Cost, last: Cost
    ) -> None:
        """Emit rows of scalars, `values` (rows, paths). Raises CannotWrite."""
        self.emitter.scalars(paths, values, first, last)
        self.note(paths, values[-1].tolist())

    def note(self, paths: Iterable[str], values: Iterable[float]) -> None:
        """Figures for the headline that are not drawn as curves."""
        self._figures.update(zip(paths, values, strict=True))

    def headline(self) -> dict[str, Any] | None:
        """The first of the method's headline figures that has a value."""
        for chart in self._charts:
            for path in (chart, f"{chart}/long_run", f"{chart}/train_time"):
                if math.isfinite(value := self._figures.get(path, math.nan)):
                    return {"path": path, "value": value}
        return None
