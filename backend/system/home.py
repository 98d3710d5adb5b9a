"""Folders in which Basin keeps what is on disk."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from backend.errors import BadInput


def home() -> Path:
    """BASIN_HOME, else `basin` in the user's state folder. Not created here.

    Raises BadInput where this user has no folder of their own and BASIN_HOME is not set.
    """
    try:
        if chosen := os.environ.get("BASIN_HOME"):
            return Path(chosen).expanduser().absolute()
        state = os.environ.get("XDG_STATE_HOME")
        return (Path(state) if state else Path.home() / ".local" / "state") / "basin"
    except RuntimeError as error:  # no HOME and no entry among the system's users
        raise BadInput.at("BASIN_HOME", f"must name a folder here: {error}") from error


def cache() -> Path:
    """`cache` in the home: what can be fetched or made again. Not created here."""
    return home() / "cache"


def make_private(folder: Path) -> Path:
    """Make a folder and those missing above it, each open to its owner alone; returns it.

    `Path.mkdir(mode, parents=True)` gives its mode to the last folder only, and less than asked
    under some umasks. What is there already stays as it is. Raises OSError.
    """
    if not folder.is_dir():
        if folder.parent != folder:
            make_private(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return folder
