"""Runs with weights of their own, which can be asked and sampled."""

from __future__ import annotations

from typing import Any

from dashboard.elements import name_of
from jobs.records import run_store


def trained_runs(catalogue: dict[str, Any]) -> dict[str, str]:
    """List the runs that a method trained up to a checkpoint, newest first: label by id."""
    trains = {name for name, item in catalogue["methods"].items() if item["trains"]}
    return {
        run.id: f"{name_of(run)} · {run.data} · seed {run.seed} · {run.status} · {run.id}"
        for run in run_store.list_runs()
        if run.method in trains and run.checkpoint_step is not None
    }
