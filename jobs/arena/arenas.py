"""Arenas: sample sets of models of the same data that people vote on, kept by what takes part.

    BASIN_HOME/arenas/<id>/
        arena.json      the fields of `Arena`
        votes.jsonl     what was asked and answered, only ever added to: `jobs.arena.votes`

An arena's id is the hash of its sample sets, so the same choice is the same arena, votes included.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from backend.errors import BadInput, NotAvailable
from backend.events import unpack
from jobs.queueing import sample_jobs
from jobs.records import run_store, sample_sets
from jobs.records.run_directory import RunDirectory
from jobs.records.sample_sets import Request, SampleSet
from jobs.system import atomic_files

LEAST, MOST = 2, 12
"""Contestants of an arena, real data included."""
NUM_IMAGES, NUM_POINTS = 128, 512
"""Samples of each contestant: a ballot shows some of the images, chosen anew each time."""
REAL_SEED, REFERENCE_SEED = 1, 2
_SIZES = frozenset({"num", "num_held_out"})
_ID = re.compile(r"[0-9a-f]{12}")
_FOLDER = "arenas"


class Arena(BaseModel):
    """Contestants on one data set, and the real data that stand beside them for reference."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    sets: tuple[str, ...]
    """ids of the sample sets that take part, in the order of their choice"""
    reference: str
    """id of the set of real data that is shown as such"""
    data: str
    """name of the data set"""
    created: float

    @property
    def path(self) -> Path:
        """Return the folder of the arena."""
        return folder() / self.id


def folder() -> Path:
    """Return the folder of all arenas; made when missing. Raises NotAvailable."""
    return run_store.private_folder(_FOLDER)


def create(run_ids: Sequence[str], *, real: bool = True, seed: int = 0) -> Arena:
    """Ask for the sample sets of runs and let them compete, with real data among them, unnamed.

    The sets are drawn by the quick worker from the same noise. The same runs as they are now are
    the same arena. Raises BadInput for runs that cannot compete, NotAvailable.
    """
    wanted, reference = requests(run_ids, real=real, seed=seed)
    sample_jobs.draw([*wanted, reference])
    sets = tuple(each.id for each in wanted)
    arena = Arena(
        id=hashlib.sha256(" ".join(sorted(sets)).encode()).hexdigest()[:12],
        sets=sets,
        reference=reference.id,
        data=_data_name(run_store.open_run(run_ids[0])),
        created=time.time(),
    )
    try:
        arena.path.mkdir(mode=0o700, exist_ok=True)
        if not (arena.path / "arena.json").exists():
            atomic_files.write(arena.path / "arena.json", arena.model_dump_json())
    except OSError as error:
        raise NotAvailable(f"No arena can be made in {arena.path}: {error.strerror}.") from error
    return open_arena(arena.id)


def requests(
    run_ids: Sequence[str], *, real: bool = True, seed: int = 0
) -> tuple[list[Request], Request]:
    """Build the requests of an arena's sets: of those that compete, and of the reference.

    Raises BadInput with what to do where the runs are too few, too many or not of the same data.
    """
    ids = list(dict.fromkeys(run_ids))
    num = len(ids) + real
    if not ids or num < LEAST:
        raise BadInput.at("runs", "choose two trained runs, or one beside real data.")
    if num > MOST:
        raise BadInput.at("runs", f"at most {MOST} compete, real data included; got {num}.")
    directories = [run_store.open_run(run_id) for run_id in ids]
    laws = {json.dumps(_law(each), sort_keys=True, default=str) for each in directories}
    if len(laws) > 1:
        names = sorted({_data_name(each) for each in directories})
        which = " and ".join(names) if len(names) > 1 else f"{names[0]} with different settings"
        raise BadInput.at(
            "runs", f"these runs learned different data: {which}. Choose runs of one data set."
        )
    untrained = [each.id for each in directories if not each.checkpoints()]
    if untrained:
        raise BadInput.at(
            "runs", f"`{untrained[0]}` has no checkpoint to draw from. Choose one that has trained."
        )
    num_samples = NUM_IMAGES if _is_of_images(directories[0]) else NUM_POINTS
    config = {"num": num_samples}
    wanted = [sample_jobs.request(each.id, config, seed=seed) for each in directories]
    first = directories[0].id
    if real:
        wanted.append(sample_jobs.request(first, config, seed=REAL_SEED, source="held_out"))
    reference = sample_jobs.request(first, config, seed=REFERENCE_SEED, source="held_out")
    return wanted, reference


def _law(directory: RunDirectory) -> dict[str, Any]:
    """Select the settings of the data that say what was learned: all but how many there are."""
    data = directory.settings()["data"]
    return {name: value for name, value in data.items() if name not in _SIZES}


def _data_name(directory: RunDirectory) -> str:
    """Name the data: one's own file by its own name."""
    data = directory.settings()["data"]
    return Path(str(data.get("path") or "")).stem or str(data.get("name", ""))


def _is_of_images(directory: RunDirectory) -> bool:
    step = directory.written_status().step
    pictured = directory.keyframes_at(step, ["samples/data", "samples/long_run"])
    return any(unpack(data).header["kind"] == "images" for data in pictured)


def open_arena(arena_id: str) -> Arena:
    """Read an arena by its id. Raises BadInput, NotAvailable."""
    if not _ID.fullmatch(arena_id):
        raise BadInput.at("arena", f"{arena_id!r} is no id of an arena.")
    try:
        return Arena.model_validate(atomic_files.read_json(folder() / arena_id / "arena.json"))
    except (OSError, ValueError, ValidationError) as error:
        raise NotAvailable(f"There is no arena `{arena_id}` here.") from error


def list_arenas() -> list[Arena]:
    """Read all arenas, newest first. Raises NotAvailable."""
    arenas = []
    for entry in os.scandir(folder()):
        if _ID.fullmatch(entry.name):
            with contextlib.suppress(NotAvailable):
                arenas.append(open_arena(entry.name))
    return sorted(arenas, key=lambda each: (each.created, each.id), reverse=True)


def sets_of(arena: Arena) -> tuple[list[SampleSet], SampleSet]:
    """Read the sets that compete, in order, and the reference. Raises NotAvailable."""
    sets = [sample_sets.open_set(each) for each in arena.sets]
    return sets, sample_sets.open_set(arena.reference)


def draw_again(arena: Arena) -> None:
    """Ask anew for the sets that failed, or that a worker lost. Raises BadInput, NotAvailable."""
    sets, reference = sets_of(arena)
    wanted = [
        Request(**{name: getattr(each, name) for name in Request._fields})
        for each in (*sets, reference)
        if each.state != "done"
    ]
    sample_jobs.draw(wanted)
