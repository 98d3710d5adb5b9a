"""Where Basin keeps what is on disk. Imports nothing of Basin's own."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """BASIN_HOME, else `basin` in the user's state folder. Not created here."""
    chosen = os.environ.get("BASIN_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "basin"


def cache() -> Path:
    """`cache` in the home: what can be fetched or made again. Not created here."""
    return home() / "cache"
