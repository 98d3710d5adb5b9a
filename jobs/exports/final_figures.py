"""Final figures of a run, each with the floor and the goal that it is read against."""

from __future__ import annotations

from typing import NamedTuple

from backend.metric_names import COMPANIONS, FIGURES, chart_of
from jobs.records.run_directory import RunDirectory

_GOOD = ("quality/", "error/", "prediction/", "classification/", "density/")


class FinalFigure(NamedTuple):
    """Figure of a run that has ended, or the latest of one that goes on."""

    path: str
    title: str
    value: float
    floor: float | None
    """what real data reach against fresh real data; None where nobody measured it"""
    goal: float | None


def final_figures(directory: RunDirectory) -> list[FinalFigure]:
    """List the figures of a run, those with a floor first; of a run that goes on, the latest of
    those that say how good it is."""
    latest = directory.latest(_GOOD)
    final = {path: value for path, value in directory.metrics().items() if value is not None}
    known = {**latest, **final}
    figures = [
        FinalFigure(
            path,
            title_of(path),
            value,
            known.get(f"{chart_of(path)}/floor"),
            known.get(f"{chart_of(path)}/goal"),
        )
        for path, value in (final or latest).items()
        if not _is_line(path)
    ]
    return sorted(figures, key=lambda each: each.floor is None)


def title_of(path: str) -> str:
    """Write what a path holds, with its unit."""
    chart, tail = chart_of(path), path.rpartition("/")[2]
    if chart not in FIGURES:
        return path
    words = FIGURES[chart].title
    if chart != path:
        words += f", {COMPANIONS[tail].title}"
    return f"{words}, {FIGURES[chart].unit}" if FIGURES[chart].unit else words


def _is_line(path: str) -> bool:
    """Return True for what is a line to compare with and is said beside a figure."""
    return chart_of(path) != path and path.rpartition("/")[2] in ("floor", "goal")
