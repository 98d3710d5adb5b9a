"""Recorded runs: what another program's record holds, and the run that is made of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput
from backend.metric_names import HEADLINES
from backend.spec import from_dict
from jobs.record_files import scalar_table
from jobs.record_files.scalar_blocks import Series
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import OWN_SCRIPT
from jobs.records.summary import Trend, figures_of
from jobs.system import atomic_files

MOST_POINTS = 20_000_000
"""Most numbers of one run that are taken."""
_LONGEST_PATH = 200
_SETTINGS = 500


@dataclass
class RecordedRun:
    """Run as another program recorded it."""

    name: str
    origin: str
    """sentence on where it comes from"""
    settings: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)
    """(step, unix seconds, value) by path"""
    others: int = 0
    """images, histograms and the like that were left out"""

    def add(self, path: str, step: int, when: float, value: float) -> None:
        """Add one number; steps below 0 count as 0."""
        curve = self.curves.setdefault(path[:_LONGEST_PATH] or "value", [])
        curve.append((min(max(step, 0), 2**62), when, value))


def create(run: RecordedRun) -> RunDirectory:
    """Make a finished run of it, whole from the moment it can be seen.

    Raises BadInput for one without numbers or with too many, NotAvailable where nothing can be
    written.
    """
    num = sum(map(len, run.curves.values()))
    if not 0 < num <= MOST_POINTS:
        raise BadInput.at(
            "path", f"must hold 1 to {MOST_POINTS:,} scalars of `{run.name}`, got {num:,}."
        )
    times = [when for curve in run.curves.values() for _, when, _ in curve if math.isfinite(when)]
    began, ended = (min(times), max(times)) if times else (0.0, 0.0)
    curves = {path: _series(curve, began) for path, curve in run.curves.items()}
    last = max(int(curve.step.max()) for curve in curves.values())
    left_out = f" {run.others:,} pictures and histograms were left out." if run.others else ""
    spec = from_dict(
        {
            "name": " ".join(run.name.split())[:120],
            "method": "tracked",
            "preset": "",
            "data": {"name": ""},
            "config": _plain(dict(list(run.settings.items())[:_SETTINGS])),
            "tags": ["imported"],
            "notes": f"{run.origin}{left_out}"[:10_000],
        }
    )

    def fill(aside: RunDirectory, run_id: str) -> dict[str, Any]:
        with atomic_files.written_aside(aside.path / "scalars.parquet", sync=True) as file:
            scalar_table.write_parquet(file, curves, lambda path: [curves[path]], 0)
        final = {path: float(curve.value[-1]) for path, curve in curves.items()}
        headline = _headline(final)
        trend = Trend()
        for value in curves[headline["path"]].value.tolist() if headline else ():
            trend.add(value)
        now = time.time()
        return {
            "status": "finished",
            "worker": OWN_SCRIPT,
            "started": _time(began, now),
            "ended": _time(ended, now),
            "step": last,
            "seconds": max(ended - began, 0.0),
            "fraction": 1.0,
            "reason": run.origin,
            "headline": headline,
            "figures": figures_of(final, HEADLINES["run"]),
            "trend": trend.listed(),
        }

    return run_store.create_run(spec, fill)


def _time(value: float, now: float) -> float:
    return value if 0 <= value <= 1e11 else now


def _headline(final: Mapping[str, float]) -> dict[str, Any] | None:
    """Choose the figure that a list shows: one that Basin knows, else the first with a value."""
    known = [path for path in HEADLINES["run"] if path in final]
    for path in [*known, *final]:
        if math.isfinite(final[path]):
            return {"path": path, "value": final[path]}
    return None


def _series(rows: list[tuple[int, float, float]], began: float) -> Series:
    """Lay a curve out by step; of several values at one step the last one counts."""
    last = {step: (when, value) for step, when, value in rows}
    steps = sorted(last)
    num = len(steps)
    with np.errstate(over="ignore"):
        values = np.array([last[step][1] for step in steps], np.float64).astype(np.float32)
    seconds = np.array([last[step][0] - began for step in steps], np.float64)
    return Series(
        np.array(steps, np.int64),
        np.zeros(num, np.int64),
        np.maximum(np.nan_to_num(seconds, posinf=0.0, neginf=0.0), 0.0),
        np.full(num, np.nan),
        values,
        np.zeros(num, np.int64),
    )


def _plain(value: Any, depth: int = 0) -> Any:
    """Turn settings into what a spec can hold."""
    if isinstance(value, Mapping) and depth < 8:
        return {str(key)[:200]: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and depth < 8:
        return [_plain(item, depth + 1) for item in value[:_SETTINGS]]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:1000]


def named_folder(path: Path) -> str:
    """Name a run by the last two parts of the folder that it lies in."""
    return "/".join(path.absolute().parts[-2:])
