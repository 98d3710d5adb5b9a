"""Frames that the server says of runs: words about them, and curves out of what was kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.events import pack
from dashboard.stream.history import History, bucketed_rows
from jobs.records.scalar_table import Series, select_rows

MOST_POINTS = 4000
"""Points of a path that a page is sent at once; more are bucketed."""
MOST_RANGE_POINTS = 200_000
"""Points of one answer to a request for a range."""


def say(**header: Any) -> bytes:
    """A frame without arrays: what is said about a run rather than by it."""
    return pack(header, {})


def history_after(run: str, history: History, seq: int | None) -> list[bytes]:
    """What whoever stands at a sequence number lacks, or everything; `history` goes first."""
    texts = [data for number, data in history.texts if number > (-1 if seq is None else seq)]
    bucketed = False
    frames = []
    if seq is None:
        for path in history.paths:
            found, is_bucketed = history.overview(path, MOST_POINTS)
            if found is not None:
                bucketed |= is_bucketed
                frames.append(_curve(run, history, path, found, None, is_bucketed=is_bucketed))
    else:
        since = history.since(seq)
        rows = {path: bucketed_rows(s.value, MOST_POINTS) for path, s in since.items()}
        bucketed = any(chosen is not None for chosen in rows.values())
        frames = [_curve(run, history, path, found, rows[path]) for path, found in since.items()]
    head = say(
        op="history",
        run=run,
        whole=seq is None,
        bucketed=bucketed,
        count=len(frames),
        log=history.last_seq,
    )
    # before the curves: a text may say that the run went on from an earlier step
    return [head, *texts, *frames]


def history_between(
    run: str, history: History, paths: list[str], first: float, last: float
) -> list[bytes]:
    """Full resolution of some paths between two steps; bucketed only beyond the limit."""
    limit = MOST_RANGE_POINTS // max(len(paths), 1)
    frames = []
    for path in paths:
        found = history.stretch(path, first, last)
        if len(found.step):
            rows = bucketed_rows(found.value, limit)
            frames.append(_curve(run, history, path, found, rows, is_range=True))
    return frames


def _curve(
    run: str,
    history: History,
    path: str,
    found: Series,
    rows: npt.NDArray[np.int64] | None,
    *,
    is_bucketed: bool = False,
    is_range: bool = False,
) -> bytes:
    if rows is not None:
        found = select_rows(found, rows)
    meta = {"paths": [path], "bucketed": is_bucketed or rows is not None}
    header = {
        "run": run,
        "seq": history.last_seq,
        "kind": "scalar",
        "path": path,
        "meta": meta | ({"range": True} if is_range else {"history": True}),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "step": found.step.astype(np.float64),
        "gradients": found.gradients.astype(np.float64),
        "seconds": found.seconds,
        "joules": found.joules,
        "value": found.value,
    }
    return pack(header, arrays)
