"""Summary: what a run was set to and what it has come to, short enough for a list of thousands."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from backend.metric_names import COMPANIONS, FIGURES, chart_of
from backend.spec import RunSpec

Setting = str | int | float | bool | None
MOST_SETTINGS = 120
MOST_FIGURES = 60
MOST_TREND = 32
"""Values of a sparkline."""
_LONGEST = 80
_BESIDE = ("floor", "goal")
"""Companions that a figure is read against."""


def settings_of(spec: RunSpec, settings: Mapping[str, Any] | None = None) -> dict[str, Setting]:
    """Flatten the settings of a run: `sampler.step_size` and so on, those of the data under
    `data.`; lists as text.

    settings: all fields of `config` and `data`, as `RunDirectory.settings`, once they are
    resolved; else those that the spec gives.
    """
    given = {"config": spec.config, "data": spec.data} if settings is None else settings
    flat: dict[str, Setting] = {}
    _flatten("", given["config"], flat)
    _flatten("data.", {k: v for k, v in given["data"].items() if k not in ("name", "kind")}, flat)
    if spec.processes > 1:
        flat["processes"] = spec.processes
    if spec.precision != "float32":
        flat["precision"] = spec.precision
    return dict(list(flat.items())[:MOST_SETTINGS])


def _flatten(prefix: str, values: Mapping[str, Any], flat: dict[str, Setting]) -> None:
    for name, value in values.items():
        key = sys.intern(f"{prefix}{name}")
        if isinstance(value, dict):
            if "kind" in value:
                flat[sys.intern(key)] = str(value["kind"])[:_LONGEST]
            inner = {k: v for k, v in value.items() if k != "kind"}
            _flatten(f"{key}.", inner, flat)
        elif isinstance(value, (bool, int, float)) or value is None:
            flat[key] = value
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            # of a path the end is what tells it apart
            flat[key] = text[-_LONGEST:] if name.endswith("path") else text[:_LONGEST]


def figures_of(metrics: Mapping[str, float], charts: Iterable[str]) -> dict[str, float]:
    """Choose from the last values by path those worth a column: of `charts` and of every chart
    that has a better end, with their floors and goals; finite ones."""
    wanted = [*charts, *(path for path, figure in FIGURES.items() if figure.better)]
    places = {chart: place for place, chart in reversed(list(enumerate(wanted)))}
    listed = []
    for path, value in metrics.items():
        tail = path.rpartition("/")[2]
        is_line = tail in COMPANIONS and COMPANIONS[tail].reference and tail not in _BESIDE
        if chart_of(path) in places and not is_line and math.isfinite(value):
            listed.append((places[chart_of(path)], path, float(value)))
    return {sys.intern(path): value for _, path, value in sorted(listed)[:MOST_FIGURES]}


def lines_of(figures: Mapping[str, float]) -> dict[str, float]:
    """Choose floors and goals among figures: a run is told them once, whoever goes on with it."""
    return {path: value for path, value in figures.items() if path.rpartition("/")[2] in _BESIDE}


class Trend:
    """Trend of a figure: at most `MOST_TREND` values, oldest first, about evenly apart."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = list(values)[:MOST_TREND]
        self._every, self._passed = 1, 0

    def add(self, value: float) -> None:
        """Add the newest value; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._passed += 1
        if self._passed < self._every:
            return
        self._passed = 0
        self._values.append(float(value))
        if len(self._values) > MOST_TREND:
            del self._values[1::2]
            self._every *= 2

    def listed(self) -> list[float]:
        """List the values, to four digits."""
        return [float(f"{value:.4g}") for value in self._values]
