"""List of machines as the System page is told it: workers, what they do, the course of a day."""

from __future__ import annotations

import contextlib
from typing import Any

from backend.errors import BadInput, BasinError
from dashboard.elements import name_of
from jobs.queueing import machines
from jobs.records import run_store

SPANS = (1800, machines.KEPT_SECONDS)
"""Seconds that can be looked back."""
_TOLD = ("name", "queue", "device", "asked", "alive", "dead", "silent")


def listed(text: str) -> list[dict[str, Any]]:
    """List the machines with their workers and what these do; `text`: seconds to look back.

    Raises BadInput, NotAvailable.
    """
    if text not in map(str, SPANS):
        raise BadInput.at("seconds", f"must be one of {', '.join(map(str, SPANS))}, got {text!r}.")
    entries = machines.listed(float(text))
    for machine in entries:
        machine["workers"] = [_told(worker) for worker in machine["workers"]]
    return entries


def _told(worker: dict[str, Any]) -> dict[str, Any]:
    """Return what the page says of a worker; of a run that it trains the name and the progress."""
    run_id = str(worker.get("run") or "")
    run: dict[str, Any] | None = None
    if run_store.is_id(run_id):
        run = {"id": run_id, "title": run_id}
        with contextlib.suppress(BasinError, OSError):  # deleted meanwhile
            status = run_store.open_run(run_id).status()
            run |= {"title": name_of(status), "fraction": status.fraction, "by": status.by}
    elif run_id:  # of a question or a check
        run = {"id": "", "title": ""}
    return {**{name: worker.get(name) for name in _TOLD}, "run": run}
