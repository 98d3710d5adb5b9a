"""Cost lines: runs, training, looking and judging of each, waiting, and the end of it all."""

from __future__ import annotations

import html
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from backend.errors import BasinError
from dashboard.elements import count, plural
from jobs.formatting import duration
from jobs.queueing import redis_store
from jobs.records import run_store


@dataclass(frozen=True)
class Wait:
    """Work before a launch: runs that train or wait, and the seconds they are known to need."""

    running: int = 0
    queued: int = 0
    seconds: float = 0.0
    workers: int = 1

    @property
    def is_known(self) -> bool:
        """Return True where nothing waits of which nobody knows how long it takes."""
        return self.queued == 0


def num_workers() -> int:
    """Count the workers that train; 0 where none is there or nobody can say."""
    try:
        return sum(map(redis_store.takes_runs, redis_store.workers()))
    except (BasinError, OSError):
        return 0


def wait_now() -> Wait:
    """Read what works and waits now; nothing where it cannot be read."""
    try:
        runs = run_store.newest_runs(200)
    except (BasinError, OSError):
        return Wait()
    running = [run for run in runs if run.status == "running"]
    return Wait(
        len(running),
        sum(run.status == "queued" for run in runs),
        sum(run.seconds_left or 0.0 for run in running),
        max(num_workers(), 1),
    )


def lines(cost: dict[str, Any], product: str, number: int, wait: Wait) -> list[tuple[str, str]]:
    """Write a cost as pairs of a name and what it amounts to.

    cost: as `enqueue.Check.cost`. product: `sweep.in_words`. number: runs that are launched.
    """
    each = ", each" if number > 1 else ""
    rows = [("runs", f"{product}, one row")] if product else []
    if cost.get("steps"):
        amount = f"{count(cost['steps'])} steps"
        if cost.get("gradients"):
            amount += f" · {count(cost['gradients'])} gradients"
        rows.append((f"budget{each}", amount))
    seconds = cost.get("seconds")
    if not seconds:
        return rows
    low, high = map(duration, cost.get("seconds_spread") or (seconds, seconds))
    spread = f"{low} to {high}" if low != high and cost.get("from_runs") else duration(seconds)
    rows.append((f"time of training{each}", f"about {spread}"))
    looking, judging = cost.get("looking"), cost.get("judging")
    if looking is not None:
        rows.append((f"looking{each}", f"about {duration(looking)}"))
    if judging is not None:
        rows.append((f"judging{each}", f"about {duration(judging)}"))
    if wait.running + wait.queued >= wait.workers:
        before = plural(wait.running + wait.queued, "run")
        left = f", about {duration(wait.seconds)}" if wait.is_known and wait.seconds else ""
        rows.append(("waits for", before + left))
    if looking is not None and judging is not None and wait.is_known:
        rounds = math.ceil(number / wait.workers)
        total = wait.seconds / wait.workers + rounds * (seconds + looking + judging)
        clock = datetime.fromtimestamp(time.time() + total, _zone()).strftime("%H:%M")
        rows.append(("all done", f"in about {duration(total)}, at {clock}"))
    return rows


def _zone() -> tzinfo:
    """Return the viewer's time zone."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def basis(cost: dict[str, Any]) -> str:
    """Say in a sentence what an estimate was made from; "" where there is none."""
    if runs := cost.get("from_runs"):
        return f"From {plural(runs, 'earlier run')} like it."
    if not cost.get("seconds"):
        return ""
    beyond = "" if cost.get("judging") is not None else " Looking and judging come on top."
    return f"Estimated {cost.get('note', '')}.{beyond}"


def show(rows: list[tuple[str, str]], words: str) -> None:
    """Draw the lines."""
    cells = "".join(
        f"<div><span>{html.escape(name)}</span><b>{html.escape(amount)}</b></div>"
        for name, amount in rows
    )
    under = f"<p>{html.escape(words)}</p>" if words else ""
    st.html(f'<div class="basin-cost">{cells}{under}</div>')
