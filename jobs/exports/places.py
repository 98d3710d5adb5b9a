"""Places that exports are written to: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from backend.errors import BadInput
from jobs.system import atomic_files


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Open a folder beside `path` that is renamed to it at the end; nothing stays where the block
    raises.

    Raises BadInput at `to` where something lies there, or the folder above is missing.
    """
    path = path.expanduser().absolute()
    _check_parent(path)
    if path.exists() and not path.is_dir():
        raise BadInput.at("to", f"must be a new folder; {path} is a file. Name another place.")
    if path.is_dir() and any(path.iterdir()):
        raise BadInput.at("to", f"must be a new or an empty folder; {path} holds files already.")
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    try:
        aside.mkdir()
        yield aside
        aside.replace(path)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise _unwritable(path, error) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path` that replaces it at the end. Raises BadInput at `to`."""
    path = path.expanduser().absolute()
    _check_parent(path)
    if path.is_dir():
        raise BadInput.at("to", f"must be a file; {path} is a folder. Add a name to it.")
    try:
        with atomic_files.written_aside(path, mode=0o644) as file:
            yield file
    except OSError as error:
        raise _unwritable(path, error) from error


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise BadInput.at("to", f"there is no folder {path.parent}. Make it first.")


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput.at("to", f"{path} cannot be written: {error.strerror or error}.")
