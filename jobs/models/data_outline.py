"""Outline of data for a form: their kind, the methods that cannot take them, a file's columns."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend import catalogue
from backend.data import Data
from backend.errors import BadInput
from backend.truth import Control


def kind(data: Data) -> dict[str, Any]:
    """Describe what the choice of a method depends on, as `proposals.kind_of` reads it: shape,
    images or whole numbers, what is given of each row, whether the law of what follows is known
    and acted in."""
    return {
        "event_shape": list(data.event_shape),
        "num_train": len(data.train),
        "is_image": data.is_image,
        "is_discrete": data.num_values is not None,
        "gives": list(data.given),
        "has_future": data.future is not None,
        "acts": isinstance(data.future, Control),
    }


def outline(data: Data) -> dict[str, Any]:
    """Describe the kind of data, classes and columns, and `misfits`, which says of each method that
    cannot take them why."""
    return {
        **kind(data),
        "classes": list(data.label_names) if data.labels is not None else [],
        "learned": list(data.columns),
        "misfits": _misfits(data),
    }


def _misfits(data: Data) -> dict[str, str]:
    reasons = {}
    for name, method in catalogue.methods().items():
        lacking = catalogue.given_problems(method, data)
        if reason := lacking[0][1] if lacking else method.fits(data):
            reasons[name] = reason
    return reasons


def look(raw: dict[str, Any]) -> dict[str, Any]:
    """Look at a file before a method is chosen: `outline` and `columns`, a summary of each column
    of a table; `problems` alone beside the columns where it cannot be read as it is asked for."""
    # A worker imports no plug-in before it forks.
    from backend.datasets import column_summary

    columns = [asdict(each) for each in column_summary.summaries(Path(str(raw.get("path", ""))))]
    try:
        data = catalogue.resolve_data(raw).load()
    except BadInput as error:
        problems = [{"field": each.field, "message": each.message} for each in error.problems]
        return {"columns": columns, "problems": problems}
    return {"columns": columns, "problems": [], "title": data.title, **outline(data)}
