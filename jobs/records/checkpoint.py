"""Checkpoints on disk: safetensors, the settings beside the tensors as JSON, never pickle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from backend.errors import NotAvailable
from jobs.system import atomic_files

KEEP = 2
"""The last checkpoints kept; the final one is among them."""
MOMENTS, MOMENT_BYTES = 8, 64_000_000
"""Most earlier ones, evenly apart, and most bytes of them in all: a fork may begin there."""
_NAME = re.compile(r"step-(\d{9,})\.safetensors")


class Checkpoint(NamedTuple):
    """State and settings from which a run goes on."""

    step: int
    tensors: dict[str, Any]
    """torch tensors on the CPU, by name"""
    meta: dict[str, Any]


def steps(folder: Path) -> list[int]:
    """List the steps that have a checkpoint, oldest first."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def path_of(folder: Path, step: int) -> Path:
    """Return the file of the checkpoint of a step."""
    return folder / f"step-{step:09d}.safetensors"


def save(folder: Path, step: int, tensors: dict[str, Any], meta: dict[str, Any]) -> Path:
    """Write a checkpoint, on the disk before it gets its name; then thin the earlier ones out.

    tensors: by name. meta: settings, plain JSON. Raises OSError.
    """
    from safetensors.torch import save as to_bytes

    folder.mkdir(mode=0o700, exist_ok=True)
    path = path_of(folder, step)
    atomic_files.write(path, to_bytes(tensors, metadata={"basin": json.dumps(meta)}), sync=True)
    _thin(folder, [earlier for earlier in steps(folder) if earlier < step][: -(KEEP - 1)], step)
    return path


def _thin(folder: Path, moments: list[int], newest: int) -> None:
    """Drop moments that lie closest to those beside them, until few and small enough are left;
    those that a person asked to keep stay."""
    moments = [step for step in moments if not is_pinned(folder, step)]
    sizes = {step: path_of(folder, step).stat().st_size for step in moments}
    while len(sizes) > MOMENTS or sum(sizes.values()) > MOMENT_BYTES:
        around = [0, *sizes, newest]
        gaps = {step: around[place + 2] - around[place] for place, step in enumerate(sizes)}
        closest = min(gaps, key=gaps.__getitem__)
        path_of(folder, closest).unlink(missing_ok=True)
        del sizes[closest]


def pin(folder: Path, step: int) -> None:
    """Keep the checkpoint of a step for good. Raises OSError."""
    _pin_of(folder, step).touch(mode=0o600)


def is_pinned(folder: Path, step: int) -> bool:
    """Return True for a checkpoint that is kept for good."""
    return _pin_of(folder, step).exists()


def _pin_of(folder: Path, step: int) -> Path:
    return path_of(folder, step).with_suffix(".keep")


def read_meta(folder: Path, step: int) -> dict[str, Any]:
    """Read the settings beside a checkpoint, without torch. Raises NotAvailable."""
    from safetensors import SafetensorError, safe_open

    path = path_of(folder, step)
    try:
        with safe_open(path, "np") as file:
            meta = json.loads((file.metadata() or {})["basin"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise NotAvailable(f"{path.name} cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise NotAvailable(f"{path.name} holds no settings.")
    return meta


def load(folder: Path, step: int | None = None) -> Checkpoint:
    """Load the checkpoint of a step, or the newest that can be read. Raises NotAvailable."""
    from safetensors import SafetensorError, safe_open

    wanted = reversed(steps(folder)) if step is None else [step]
    failure = "There is no checkpoint."
    for candidate in wanted:
        path = path_of(folder, candidate)
        try:
            with safe_open(path, "pt") as file:
                meta = json.loads((file.metadata() or {})["basin"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(candidate, tensors, meta)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            failure = f"{path.name} cannot be read: {error}"
    raise NotAvailable(failure)
