"""Requests to a run: an end (`control`) and other settings (`changes/`), as files it reads."""

from __future__ import annotations

import contextlib
import json
import time

from backend.errors import BadInput
from jobs.records import documents
from jobs.records.run_files import RunFiles
from jobs.system import atomic_files
from jobs.system.atomic_files import write

INTERRUPT = "interrupt"
ENDS = ("stop", "pause", INTERRUPT)
"""Ends that can be requested of a run; the last by a worker that ends, not by a person."""


class Requests(RunFiles):
    """Requests to one run, from any process."""

    def request(self, end: str) -> None:
        """Request an end; a stop is not weakened into a pause, nor either into an interruption.

        Raises BadInput for another word, OSError.
        """
        if end not in ENDS:
            raise BadInput.at("control", f"must be one of {', '.join(ENDS)}, got {end!r}.")
        before = self.requested()
        if before is None or ENDS.index(end) < ENDS.index(before):
            write(self.path / "control", end)

    def requested(self) -> str | None:
        """Return the end that was requested and is not yet obeyed."""
        try:
            end = atomic_files.read(self.path / "control").decode(errors="replace").strip()
        except (FileNotFoundError, atomic_files.Odd):
            return None
        return end if end in ENDS else None

    def request_age(self) -> float | None:
        """Return the seconds since the request; None without one."""
        try:
            return time.time() - (self.path / "control").stat().st_mtime
        except FileNotFoundError:
            return None

    def clear_request(self) -> None:
        """Withdraw the request, or mark it as obeyed. Raises OSError."""
        self.check_attempt()
        with contextlib.suppress(IsADirectoryError):  # which asks for nothing
            (self.path / "control").unlink(missing_ok=True)

    def ask_change(self, settings: dict[str, float]) -> None:
        """Ask a running run to take other settings. Raises OSError."""
        folder = self.path / "changes"
        folder.mkdir(mode=0o700, exist_ok=True)
        write(folder / f"{time.time_ns()}.json", json.dumps(settings))

    def take_changes(self) -> list[dict[str, float]]:
        """Return the settings asked for, oldest first, and remove the requests."""
        changes = []
        for path in sorted((self.path / "changes").glob("*.json")):
            settings = documents.settings(self.read_json(f"changes/{path.name}"))
            with contextlib.suppress(IsADirectoryError):
                path.unlink(missing_ok=True)
            if settings:
                changes.append(settings)
        return changes
