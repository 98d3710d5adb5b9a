"""Files that moved along with the home: a spec names them by the path they had at launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.spec import RunSpec
from jobs.records import run_store


def with_moved_paths(spec: RunSpec) -> RunSpec:
    """The spec with paths found again whose file is gone, and is in the same place below this
    home's folder of data or of energies. Whether it is the same file, its fingerprint tells."""
    return spec.model_copy(update={"data": _found(spec.data), "config": _found(spec.config)})


def _found(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: path_now(item)
        if (key == "path" or key.endswith("_path")) and isinstance(item, str)
        else _found(item)
        for key, item in value.items()
    }


def path_now(text: str) -> str:
    """The path itself where anything is there, or nothing was found elsewhere."""
    path = Path(text)
    try:
        if not path.is_absolute() or path.exists():
            return text
        for folder in (run_store.data_folder(), run_store.energies_folder()):
            for place in range(len(path.parts) - 1, 0, -1):
                candidate = folder.joinpath(*path.parts[place:])
                inside = candidate.resolve().is_relative_to(folder.resolve())
                if path.parts[place - 1] == folder.name and inside and candidate.exists():
                    return str(candidate)
    except (OSError, ValueError):  # what is no path is told where it is read
        pass
    return text
