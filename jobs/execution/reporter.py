"""Reporter: passes events to the emitter and keeps the values that the status repeats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.events import Cost, Event, Scalar, Standing, Text
from jobs.execution.emitter import Emitter
from jobs.records.status import Status
from jobs.records.summary import Trend, figures_of, lines_of


class Reporter:
    """Reporter of one run: keeps the last value of every scalar; alarms go to the emitter's."""

    def __init__(
        self, emitter: Emitter, headline: Sequence[str], earlier: Status | None = None
    ) -> None:
        """`earlier`: the run's status before this attempt, whose trend, floors and goals go on."""
        self.emitter, self._charts = emitter, headline
        self._metrics: dict[str, float] = lines_of(earlier.figures) if earlier else {}
        self._candidates = dict.fromkeys(
            path
            for chart in headline
            for path in (chart, f"{chart}/long_run", f"{chart}/train_time")
        )
        self._trends: dict[str, Trend] = {}
        if earlier is not None and earlier.headline:
            self._trends[earlier.headline["path"]] = Trend(earlier.trend)

    def emit(self, events: Iterable[Event], cost: Cost) -> None:
        """Emit events at a cost, their scalars as one row. Raises CannotWrite."""
        scalars: dict[str, float] = {}
        for event in events:
            if isinstance(event, Scalar):
                scalars[event.path] = event.value
                continue
            if isinstance(event, (Text, Standing)):
                self._follow(event, cost)
            if not isinstance(event, Standing):
                self.emitter.event(event, cost)
        if scalars:
            row = np.array([list(scalars.values())], np.float32)
            self.emit_rows(list(scalars), row, cost, cost)

    def _follow(self, event: Text | Standing, cost: Cost) -> None:
        """Keep the status's alarms as the latest word under each path has them."""
        if event.level == "info":
            self.emitter.alarms.drop(event.path)
        else:
            self.emitter.alarms.add(event.path, event.message, cost.step)

    def emit_rows(
        self, paths: list[str], values: npt.NDArray[np.float32], first: Cost, last: Cost
    ) -> None:
        """Emit rows of scalars, `values` (rows, paths). Raises CannotWrite."""
        self.emitter.scalars(paths, values, first, last)
        for path, value in zip(paths, values[-1].tolist(), strict=True):
            self._metrics[path] = value
            if path in self._candidates:
                self._trends.setdefault(path, Trend()).add(value)

    def headline(self) -> dict[str, Any] | None:
        """Return the first of the method's headline metrics that has a value."""
        for path in self._candidates:
            if math.isfinite(value := self._metrics.get(path, math.nan)):
                return {"path": path, "value": value}
        return None

    def summary(self) -> dict[str, Any]:
        """Return the fields of the status that say what the run has come to."""
        headline = self.headline()
        trend = self._trends.get(headline["path"]) if headline else None
        return {
            "headline": headline,
            "figures": figures_of(self._metrics, self._charts),
            "trend": trend.listed() if trend else [],
        }
