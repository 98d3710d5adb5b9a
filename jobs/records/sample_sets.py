"""Sample sets: samples drawn from a run at one checkpoint, kept by what they were drawn from.

    BASIN_HOME/sample_sets/<id>/
        set.json        the fields of `SampleSet`; its name and how far it is
        samples.npz     `x` in the data's units, `energy`, `label`, `nearest`; no pickle
        pictures.bin    what of it is drawn: frames of backend/events.py

The id is the hash of all that determines the samples (run, checkpoint, settings, seed, code), so a
set that is drawn again has the same id and the same bytes. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import BadInput, NotAvailable
from jobs.records import run_store
from jobs.records.checkpoint import path_of
from jobs.records.run_directory import RunDirectory
from jobs.records.status import hostname
from jobs.system import atomic_files, processes

Source = Literal["model", "held_out"]
State = Literal["waiting", "drawing", "done", "failed"]

DEFAULT_NUM = 64
MOST_SETS = 10_000
MOST_SET_BYTES = 400_000_000
"""Of one set's samples, before they are compressed."""
MOST_BYTES = 20_000_000_000
"""Of all sets; then some have to be deleted."""
MOST_SEED = 2**31 - 1
FILES = ("samples.npz", "pictures.bin")
_ID = re.compile(r"[0-9a-f]{12}")
_PREFIX = re.compile(r"[0-9a-f]{2,12}")
_FOLDER = "sample_sets"


class Request(NamedTuple):
    """All that determines the samples of a set."""

    run: str
    step: int
    """of the checkpoint; 0 of a run that does not train"""
    weights: str
    """SHA-256 of the checkpoint; "" of a run that does not train. Files that are read beside it,
    such as other runs' checkpoints, follow with theirs"""
    source: Source
    """`held_out`: real events the run was not trained on, in place of the model's"""
    config: dict[str, Any]
    """fields of the ability as they were given; others have their default"""
    seed: int
    code: dict[str, str]
    """Basin's version and commit"""
    ability: str = ""
    """whose answer holds the samples, as the Studio and `basin ask` draw them; "" for those of
    `sample` drawn from the noise that all runs share"""
    array: str = ""
    """of that answer"""

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits: the same request has the same."""
        given = {name: value for name, value in self._asdict().items() if value != ""}
        text = json.dumps({"weights": self.weights, **given}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class SampleSet(BaseModel):
    """Samples of a run, asked for, being drawn or drawn."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    run: str
    step: int
    weights: str = ""
    source: Source = "model"
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    code: dict[str, str] = Field(default_factory=dict)
    ability: str = ""
    array: str = ""
    name: str = ""
    """given by a person"""
    state: State = "waiting"
    reason: str = ""
    """why it failed"""
    num: int = 0
    num_drawn: int = 0
    created: float = 0.0
    updated: float = 0.0
    host: str = ""
    pid: int | None = None
    process: str = ""
    """which process draws: `jobs.system.processes.identity`"""
    method: str = ""
    run_name: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    """settings of the data the run learned: sets that share them can be compared"""
    settings: dict[str, Any] = Field(default_factory=dict)
    """every field of the ability, defaults included"""
    event_shape: tuple[int, ...] = ()
    kind: str = ""
    """`images`, `points`, or `values` of what has no picture"""
    image_range: tuple[float, float] | None = None
    columns: tuple[str, ...] = ()
    num_labels: int = 0
    """classes that the run can be asked for; 0 where it knows none"""
    label_names: tuple[str, ...] = ()
    summary: str = ""
    caveat: str = ""
    """why these are no samples of the model; "" where nothing speaks against it"""
    figures: dict[str, float | None] = Field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """of some figures by name: where 95 % of those of other draws would lie, by bootstrap"""
    warnings: tuple[str, ...] = ()
    arrays: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """shapes by name"""
    device: str = ""
    seconds: float | None = None
    """of drawing alone: without loading the run"""
    joules: float | None = None
    """of drawing alone; None where nothing measures them"""
    joules_from: str = ""
    """`counter`, `sampled` or `estimate`; "" where there are none"""
    sha256: str = ""
    """of samples.npz"""
    num_bytes: int = 0

    @property
    def seconds_per_sample(self) -> float | None:
        """Return the seconds of drawing, a sample."""
        return None if self.seconds is None or not self.num else self.seconds / self.num

    @property
    def joules_per_sample(self) -> float | None:
        """Return the joules of drawing, a sample; None where nothing measured them."""
        return None if self.joules is None or not self.num else self.joules / self.num

    @property
    def title(self) -> str:
        """Return the name given, or else one made of the run, the step and the seed."""
        if self.name:
            return self.name
        of = self.run_name or f"{self.method} {self.run[-4:]}"
        if self.source == "held_out":
            return f"{of}, real"
        by = f", {self.ability}" if self.ability else ""
        return f"{of}, step {self.step:,}{by}"

    @property
    def path(self) -> Path:
        """Return the folder of the set."""
        return folder() / self.id

    def samples(self) -> dict[str, npt.NDArray[Any]]:
        """Read the arrays: `x` (num, *event_shape) in the data's units, `energy` (num,), `label`
        (num,), `nearest` (shown,) and `nearest_distance`. Raises NotAvailable before it is done."""
        try:
            with np.load(self.path / "samples.npz", allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise NotAvailable(f"The samples of `{self.id}` cannot be read: {error}") from error

    def pictures(self) -> bytes:
        """Read the frames to draw, one after the other: the samples, held-out data and, of each
        sample, the nearest training event. Raises NotAvailable before it is done."""
        try:
            return atomic_files.read(self.path / "pictures.bin")
        except OSError as error:
            raise NotAvailable(f"The pictures of `{self.id}` cannot be read: {error}") from error


def folder() -> Path:
    """Return the folder of all sets; made when missing. Raises NotAvailable."""
    return run_store.private_folder(_FOLDER)


def request(
    run_id: str,
    config: dict[str, Any],
    *,
    code: dict[str, str],
    seed: int = 0,
    step: int | None = None,
    source: Source = "model",
    ability: str = "",
    array: str = "",
    beside: Sequence[Path] = (),
) -> Request:
    """Ask for samples of a run at a checkpoint, the newest unless `step` names one that is kept.

    beside: files that the samples depend on too.

    Raises BadInput, NotAvailable.
    """
    if not 0 <= seed <= MOST_SEED:
        raise BadInput.at("seed", f"must be from 0 to {MOST_SEED}, got {seed}.")
    directory = run_store.open_run(run_id)
    steps = directory.checkpoints()
    if step is None:
        step = steps[-1] if steps else 0
    elif step not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise BadInput.at("step", f"`{directory.id}` keeps no checkpoint of {step}. Kept: {known}.")
    own = [checkpoint_of(directory, step)] if steps else []
    weights = " ".join(_digest(path) for path in (*own, *beside))
    return Request(directory.id, step, weights, source, config, seed, code, ability, array)


def checkpoint_of(directory: RunDirectory, step: int) -> Path:
    """Return the file of a checkpoint."""
    return path_of(directory.path / "checkpoints", step)


def _digest(path: Path) -> str:
    try:
        entry = path.stat()
        return _sha256(str(path), entry.st_size, entry.st_mtime_ns)
    except OSError as error:
        raise NotAvailable(f"{path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=1000)
def _sha256(path: str, *stat: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def begin(wanted: Request, num: int, name: str = "") -> SampleSet:
    """Make the folder of a set that is to be drawn, or return the one there is.

    One that failed waits again. Raises BadInput for a name too long, NotAvailable where there is
    room for no more.
    """
    _check_name(name)
    path = folder() / wanted.id
    with contextlib.suppress(NotAvailable):
        known = _derived(_read(path))
        if known.state != "failed":
            return rename(known.id, name) if name and name != known.name else known
        return change(known.id, state="waiting", reason="", num_drawn=0)
    _check_room()
    directory = run_store.open_run(wanted.run)
    status = directory.written_status()
    now = time.time()
    fresh = SampleSet(
        **{**wanted._asdict(), "id": wanted.id},
        name=name,
        num=num,
        created=now,
        updated=now,
        method=status.method,
        run_name=status.name,
        data=directory.settings()["data"],
    )
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        _write(fresh)
    except OSError as error:
        raise NotAvailable(f"No sample set can be made in {path}: {error.strerror}.") from error
    return fresh


def change(set_id: str, **fields: Any) -> SampleSet:
    """Change some fields of a set and set `updated`. Raises NotAvailable, OSError."""
    path = folder() / set_id
    if not path.is_dir():
        raise NotAvailable(f"The sample set `{set_id}` was deleted.")
    with atomic_files.locked(path):
        changed = SampleSet.model_validate(
            {**_read(path).model_dump(), "updated": time.time(), **fields}
        )
        _write(changed)
    return changed


def drawing(set_id: str) -> SampleSet:
    """Note that this process draws a set. Raises NotAvailable, OSError."""
    pid = os.getpid()
    mine = {"host": hostname(), "pid": pid, "process": processes.identity(pid)}
    return change(set_id, state="drawing", reason="", num_drawn=0, **mine)


def finish(
    set_id: str, arrays: dict[str, npt.NDArray[Any]], pictures: bytes, **fields: Any
) -> SampleSet:
    """Write the samples of a set, and that it is done. Raises NotAvailable, OSError."""
    path = folder() / set_id
    atomic_files.write(path / "pictures.bin", pictures)
    with atomic_files.written_aside(path / "samples.npz", sync=True) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with open(path / "samples.npz", "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    num_bytes = sum((path / name).stat().st_size for name in FILES)
    shapes = {name: array.shape for name, array in arrays.items()}
    return change(set_id, state="done", arrays=shapes, sha256=digest, num_bytes=num_bytes, **fields)


def open_set(set_id: str) -> SampleSet:
    """Read the set of an id, of an unambiguous start of one, or the `latest`.

    Raises BadInput, NotAvailable.
    """
    if set_id == "latest":
        sets = list_sets()
        if not sets:
            raise NotAvailable("There are no sample sets yet.")
        return sets[0]
    if not _PREFIX.fullmatch(set_id):
        raise BadInput.at("set", f"{set_id!r} is no id of a sample set; see `basin samples list`.")
    names = [set_id] if _ID.fullmatch(set_id) else sorted(_names(set_id))
    if not names:
        raise NotAvailable(f"There is no sample set `{set_id}`; see `basin samples list`.")
    if len(names) > 1:
        raise BadInput.at("set", f"`{set_id}` fits {len(names)} sets, {names[0]} among them.")
    return _derived(_read(folder() / names[0]))


def list_sets(run_id: str | None = None) -> list[SampleSet]:
    """Read all sets, or those of a run, newest first. Raises NotAvailable."""
    sets = []
    for name in _names():
        with contextlib.suppress(NotAvailable):  # deleted since, or damaged
            sets.append(_derived(_read(folder() / name)))
    chosen = [each for each in sets if run_id in (None, each.run)]
    return sorted(chosen, key=lambda each: (each.created, each.id), reverse=True)


def rename(set_id: str, name: str) -> SampleSet:
    """Give a set a name; "" takes it away. Raises BadInput, NotAvailable, OSError."""
    _check_name(name)
    return change(set_id, name=name)


def delete(set_id: str) -> None:
    """Remove a set, out of sight in one stroke. Raises NotAvailable, OSError."""
    path = folder() / set_id
    aside = path.with_name(f".deleted-{set_id}-{secrets.token_hex(2)}")
    try:
        path.rename(aside)
    except FileNotFoundError as error:
        raise NotAvailable(f"There is no sample set `{set_id}`.") from error
    shutil.rmtree(aside, ignore_errors=True)


def _check_name(name: str) -> None:
    if len(name) > 120:
        raise BadInput.at("name", f"must have at most 120 characters, got {len(name)}.")


def _check_room() -> None:
    sizes = []
    for name in _names():
        with contextlib.suppress(OSError, NotAvailable):  # deleted since, or damaged
            path = folder() / name
            sizes.append(_num_bytes(path, (path / "set.json").stat().st_mtime_ns))
    if len(sizes) >= MOST_SETS or sum(sizes) >= MOST_BYTES:
        raise NotAvailable(
            f"There are {len(sizes):,} sample sets of {sum(sizes) / 1e9:.1f} GB, the most that are "
            "kept. Delete some: `basin samples delete SET`."
        )


@lru_cache(maxsize=MOST_SETS)
def _num_bytes(path: Path, changed: int) -> int:
    return _read(path).num_bytes


def _names(start: str = "") -> list[str]:
    entries = os.scandir(folder())
    return [
        each.name for each in entries if _ID.fullmatch(each.name) and each.name.startswith(start)
    ]


def _read(path: Path) -> SampleSet:
    try:
        return SampleSet.model_validate(
            {**atomic_files.read_json(path / "set.json"), "id": path.name}
        )
    except FileNotFoundError as error:
        raise NotAvailable(f"There is no sample set `{path.name}`.") from error
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise NotAvailable(f"The sample set `{path.name}` is damaged: {error}") from error


def _write(content: SampleSet) -> None:
    text = json.dumps(content.model_dump(mode="json"), allow_nan=False)
    atomic_files.write(content.path / "set.json", text)


def _derived(known: SampleSet) -> SampleSet:
    """Take a set whose process died while it drew for one that failed."""
    if known.state != "drawing" or known.host != hostname():
        return known
    if processes.is_there(known.pid, known.process) is not False:
        return known
    reason = "The process that drew it is gone. Draw it again."
    return known.model_copy(update={"state": "failed", "reason": reason})
