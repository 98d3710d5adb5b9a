"""Moved files: a spec names files by the path they had at launch; the home may have moved since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.spec import RunSpec
from jobs.records import run_store


def with_moved_paths(spec: RunSpec) -> RunSpec:
    """Replace the paths of a spec whose file is gone by the same place in this home's folders.

    Folders of data and of energies. The fingerprint tells if it is the same file.
    """
    return spec.model_copy(
        update={"data": _with_paths_now(spec.data), "config": _with_paths_now(spec.config)}
    )


def _with_paths_now(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: path_now(item)
        if (key == "path" or key.endswith("_path")) and isinstance(item, str)
        else _with_paths_now(item)
        for key, item in value.items()
    }


def path_now(text: str) -> str:
    """Return where a file lies now: the path itself if it was not found elsewhere."""
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
