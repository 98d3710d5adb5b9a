"""Files of a run: names, access to them, and the attempt that may write."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput
from jobs.system import atomic_files

if TYPE_CHECKING:
    from jobs.records.attempts import Attempt

_INTERNAL = ("control", "keep", "lock")
"""Files that hold nothing about the run."""
_FILE_NAME = re.compile(r"(?:(?:checkpoints|samples|answers)/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class RunFiles:
    """Directory of one run, as files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.attempt: Attempt | None = None
        """While this process trains the run: it then writes only what its attempt may."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    def check_attempt(self) -> None:
        """Raise Superseded when this process trains the run and a later attempt has begun."""
        if self.attempt is not None:
            self.attempt.check()

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object; {} for a file that is missing or holds anything else."""
        try:
            content = atomic_files.read_json(self.path / name)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def save_arrays(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Path:
        """Write one .npz under its name in the directory. Raises BadInput, OSError."""
        self.check_attempt()
        path = self.path_of(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with atomic_files.written_aside(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return path

    def files(self) -> list[tuple[str, int]]:
        """List the files that can be downloaded: names relative to the directory, and bytes."""
        entries = []
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            with contextlib.suppress(OSError):  # gone since, or not to be looked at
                if path.is_file() and _FILE_NAME.fullmatch(name) and name not in _INTERNAL:
                    entries.append((name, path.stat().st_size))
        return entries

    def path_of(self, name: str) -> Path:
        """Return the path of one of the files. Raises BadInput for a name that leads elsewhere."""
        path = self.path / name
        if not _FILE_NAME.fullmatch(name) or path.is_symlink():
            raise BadInput.at("name", f"{name!r} is not a file of a run.")
        return path
