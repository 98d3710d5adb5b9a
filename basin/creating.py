"""Creating: the directory of a run that the user's own loop trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backend.spec import from_dict
from basin.arrays import array_of
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import OWN_SCRIPT, this_process

METHOD = "tracked"


def create(
    name: str,
    config: Mapping[str, Any],
    data: Any,
    steps: int | None,
    seed: int,
    tags: Sequence[str],
    notes: str,
) -> RunDirectory:
    """Create the directory of a run that is on from its first moment, as `basin.track` says."""
    rows = None if data is None else array_of("data", data, 2, 3, 4)
    raw = {
        "name": name,
        "method": METHOD,
        "preset": "",
        "data": {"name": ""},
        "config": {str(key): _plain(value) for key, value in config.items()},
        "budget": {} if steps is None else {"steps": steps},
        "seed": seed,
        "tags": list(tags),
        "notes": notes,
    }
    spec = from_dict(raw)

    def fill(aside: RunDirectory, run_id: str) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if rows is not None:
            aside.save_arrays("data.npz", {"x": rows})
            place = {"name": "file", "path": str(run_store.runs_folder() / run_id / "data.npz")}
            aside.write_spec(spec.model_copy(update={"data": place}))
            facts = {"data": "own data"}
        return {**facts, "status": "running", "worker": OWN_SCRIPT, **this_process()}

    return run_store.create_run(spec, fill)


def _plain(value: Any) -> Any:
    """Turn what JSON has no word for into text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
