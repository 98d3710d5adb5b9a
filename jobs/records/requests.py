"""Requests to a run: an end (`control`) and other settings (`turns/`), as files it reads; and the
record of the settings that it took (`turned.json`)."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import NamedTuple

from backend.config import turn_in_words
from backend.errors import BadInput
from jobs.records import documents
from jobs.records.run_files import RunFiles
from jobs.system import atomic_files
from jobs.system.atomic_files import write

INTERRUPT = "interrupt"


class TurnRequest(NamedTuple):
    """Request for other settings."""

    name: str
    settings: dict[str, float]
    by: str
    """who asked; "" where nobody is known by name"""

    @property
    def when(self) -> float:
        """Time of asking, unix seconds: its name says so."""
        return int(self.name) / 1e9 if self.name.isdecimal() else math.inf


class Turn(NamedTuple):
    """Turn that a run has taken, between step `step` and the next."""

    step: int
    fields: dict[str, tuple[float, float]]
    """values before and after, by dotted field of the Config"""
    by: str
    when: float
    """unix seconds"""
    request: str
    """name of the request, lest it be taken twice"""

    @property
    def words(self) -> str:
        """Sentence of what was turned, and by whom."""
        return turn_in_words(self.fields, self.by)


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

    def ask_to_keep(self) -> None:
        """Ask a run to keep the moment it is at. Raises OSError."""
        (self.path / "keep").touch(mode=0o600)

    def asks_to_keep(self) -> bool:
        """Return True while the moment is to be kept and is not yet."""
        return (self.path / "keep").exists()

    def drop_keep_request(self) -> None:
        """Mark the moment as kept. Raises OSError."""
        with contextlib.suppress(IsADirectoryError):
            (self.path / "keep").unlink(missing_ok=True)

    def ask_turn(self, settings: dict[str, float], by: str = "") -> None:
        """Ask a run to take other settings at its next step; one that rests takes them when it
        goes on. Raises OSError."""
        folder = self.path / "turns"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{time.time_ns()}.json"
        write(folder / name, json.dumps({"settings": settings, "by": by}), sync=True)

    def asks_to_turn(self) -> bool:
        """Return True while settings were asked for that the run has not taken."""
        return any((self.path / "turns").glob("*.json"))

    def turn_requests(self) -> list[TurnRequest]:
        """Read the settings asked for and not yet taken, oldest first; what cannot be read asks
        for nothing."""
        requests = []
        for path in sorted((self.path / "turns").glob("*.json")):
            settings, by = documents.turn_request(self.read_json(f"turns/{path.name}"))
            requests.append(TurnRequest(path.stem, settings, by))
        return requests

    def drop_turn_request(self, name: str) -> None:
        """Remove a request that was taken or refused. Raises OSError."""
        with contextlib.suppress(IsADirectoryError):
            (self.path / "turns" / f"{name}.json").unlink(missing_ok=True)

    # ------------------------------------------------------------------ what was turned

    def turns(self) -> list[Turn]:
        """Read the turns that the run has taken, in their order."""
        raw = self.read_json("turned.json").get("turns")
        items = raw if isinstance(raw, list) else []
        return [Turn(**turn) for item in items if (turn := documents.turn(item)) is not None]

    def turns_before(self, step: float) -> list[Turn]:
        """Read the turns that the state at a step has behind it."""
        return [turn for turn in self.turns() if turn.step < step]

    def write_turns(self, turns: list[Turn]) -> None:
        """Replace the record of turns, on the disk. Raises OSError."""
        self.check_attempt()
        content = {"turns": [turn._asdict() for turn in turns]}
        write(self.path / "turned.json", json.dumps(content), sync=True)
