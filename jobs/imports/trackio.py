"""Trackio: runs of a project's SQLite file as recorded runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.errors import BadInput
from jobs.imports.recorded import MOST_POINTS, RecordedRun

_MAGIC = b"SQLite format 3\0"


def is_database(path: Path) -> bool:
    """Return True for a SQLite file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read(path: Path, say: Callable[[str], None]) -> list[RecordedRun]:
    """Read every run of a project. The file is opened for reading alone.

    Raises BadInput at `path` for a file that is none of Trackio's.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            return _read(base, path, say)
    except (sqlite3.Error, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput.at("path", f"{path} cannot be read as Trackio's: {error}.") from error


def _read(base: sqlite3.Connection, path: Path, say: Callable[[str], None]) -> list[RecordedRun]:
    columns = {row[1] for row in base.execute("PRAGMA table_info(metrics)")}
    if not {"run_name", "step", "timestamp", "metrics"} <= columns:
        raise BadInput.at("path", f"{path} has no table of Trackio's metrics.")
    key = "run_id" if "run_id" in columns else "run_name"
    runs: dict[str, RecordedRun] = {}
    num = 0
    query = f"SELECT {key}, run_name, step, timestamp, metrics FROM metrics ORDER BY id"
    for run_id, name, step, stamp, text in base.execute(query):
        if str(run_id) not in runs:
            say(f"reading {name}")
            origin = f"Imported from the Trackio run {name} in {path.absolute()}."
            runs[str(run_id)] = RecordedRun(f"{path.stem}/{name}", origin)
        run = runs[str(run_id)]
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("a row of metrics is no mapping")
        for metric, value in values.items():
            number = _number(value)
            if number is None:
                run.others += 1
                continue
            num += 1
            if num > MOST_POINTS:
                raise BadInput.at("path", f"{path} holds more than {MOST_POINTS:,} scalars.")
            run.add(str(metric), int(step), _seconds(stamp), number)
    if base.execute("SELECT 1 FROM sqlite_master WHERE name = 'configs'").fetchone():
        own = {row[1] for row in base.execute("PRAGMA table_info(configs)")}
        key = "run_id" if "run_id" in own else "run_name"
        for run_id, text in base.execute(f"SELECT {key}, config FROM configs"):
            config = json.loads(text)
            if str(run_id) in runs and isinstance(config, dict):
                given = {name: item for name, item in config.items() if not name.startswith("_")}
                runs[str(run_id)].settings = given
    return [run for run in runs.values() if run.curves]


def _number(value: Any) -> float | None:
    """Read a number as Trackio writes it: those that are not finite are words."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else None


def _seconds(stamp: Any) -> float:
    moment = datetime.fromisoformat(str(stamp))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
