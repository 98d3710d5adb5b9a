"""Frames of the server about runs: messages, and curves out of their history."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.events import pack
from dashboard.stream.history import History, bucketed_rows
from jobs.record_files.scalar_table import Series, select_rows

MOST_POINTS = 4000
"""Points of a path that a page is sent at once; more are bucketed."""
MOST_RANGE_POINTS = 200_000
"""Points of one answer to a request for a range."""


def say(**header: Any) -> bytes:
    """Pack a frame without arrays: a message about a run rather than by it."""
    return pack(header, {})


def history_after(run: str, history: History, seq: int | None) -> list[bytes]:
    """Build the frames beyond a sequence number, or of everything; `history` goes first."""
    texts = [data for number, data in history.texts if number > (-1 if seq is None else seq)]
    bucketed = False
    frames = []
    if seq is None:
        for path in history.paths:
            series, is_bucketed = history.overview(path, MOST_POINTS)
            if series is not None:
                bucketed |= is_bucketed
                frames.append(_curve(run, history, path, series, None, is_bucketed=is_bucketed))
    else:
        since = history.since(seq)
        rows = {path: bucketed_rows(s.value, MOST_POINTS) for path, s in since.items()}
        bucketed = any(selection is not None for selection in rows.values())
        frames = [_curve(run, history, path, series, rows[path]) for path, series in since.items()]
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
    """Build curves at full resolution between two steps; bucketed only beyond the limit."""
    limit = MOST_RANGE_POINTS // max(len(paths), 1)
    frames = []
    for path in paths:
        series = history.stretch(path, first, last)
        if len(series.step):
            rows = bucketed_rows(series.value, limit)
            frames.append(_curve(run, history, path, series, rows, is_range=True))
    return frames


def _curve(
    run: str,
    history: History,
    path: str,
    series: Series,
    rows: npt.NDArray[np.int64] | None,
    *,
    is_bucketed: bool = False,
    is_range: bool = False,
) -> bytes:
    if rows is not None:
        series = select_rows(series, rows)
    meta = {"paths": [path], "bucketed": is_bucketed or rows is not None}
    header = {
        "run": run,
        "seq": history.last_seq,
        "kind": "scalar",
        "path": path,
        "meta": meta | ({"range": True} if is_range else {"history": True}),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "step": series.step.astype(np.float64),
        "gradients": series.gradients.astype(np.float64),
        "seconds": series.seconds,
        "joules": series.joules,
        "value": series.value,
    }
    return pack(header, arrays)
