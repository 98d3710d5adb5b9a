"""Run store: creates, finds and lists run directories; the one place that opens a run's files.

    BASIN_HOME/runs/<id>/
        spec.yaml  settings.json  status.json  labels.json  control
        log.bin  frames.bin              frames of backend/events.py, appended while it runs
        scalars.bin  text.jsonl          the log, merged whenever it has grown by a megabyte
        scalars.parquet                  its scalars, compacted when the run has ended
        *.bad                            damaged bytes of these, put aside
        checkpoints/  samples/  metrics.json  trace.txt

Everything is written beside its place and renamed, or appended whole with a torn tail cut when
the file is next opened for appending. Imports no torch and needs no Redis.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec
from backend.system.home import home, make_private
from jobs.record_files.keyframes import Key
from jobs.record_files.scalar_table import Series
from jobs.records import attempts, status
from jobs.records.checkpoint import Checkpoint
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from jobs.system import atomic_files
from jobs.system.atomic_files import write

Begin = Callable[[RunDirectory, str], dict[str, Any]]
"""Writer of what lies in a new directory from the beginning: it is told the directory under another
name than that of the run, and the run's id, and returns fields of the status."""
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_SWEEP_SECONDS = 3600.0
"""How old the beginning of a run must be to be nobody's any more."""
_PREFIX = re.compile(r"[0-9a-f-]{1,20}")


def data_folder() -> Path:
    """Return BASIN_DATA, else `data` in BASIN_HOME: what specs from the browser may name."""
    folder = os.environ.get("BASIN_DATA")
    return Path(folder).expanduser().absolute() if folder else home() / "data"


def energies_folder() -> Path:
    """Return `energies` in BASIN_HOME: Python files that specs from the browser may have run.

    Whoever may write there may run code as this user; no page can.
    """
    return home() / "energies"


def runs_folder() -> Path:
    """Return the folder of all run directories; created when missing. Raises NotAvailable."""
    return private_folder("runs")


def private_folder(name: str) -> Path:
    """Return a folder of the home, made for its owner alone when missing. Raises NotAvailable."""
    folder = home() / name
    try:
        make_private(folder)
    except OSError as error:
        raise NotAvailable(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return folder


def create_run(spec: RunSpec, begin: Begin | None = None, by: str = "") -> RunDirectory:
    """Create a queued run, its directory whole from the moment it can be seen.

    begin: writes what else lies in it from the beginning. by: who launches it. Raises NotAvailable
    when nothing can be written there.
    """
    folder = runs_folder()
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    aside = folder / f".new-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        aside.mkdir(mode=0o700)
        while True:
            run_id = f"{stamp}-{secrets.token_hex(2)}"
            if not (folder / run_id).exists():
                break
        first = replace(status.from_spec(run_id, spec), created=now, updated=now, by=by)
        write(aside / "spec.yaml", spec.to_yaml(), sync=True)
        if begin is not None:
            first = replace(first, **begin(RunDirectory(aside), run_id))
        write(aside / "status.json", json.dumps(first.as_dict()))
        aside.rename(folder / run_id)
        atomic_files.sync_folder(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise NotAvailable(f"No run can be made in {folder}: {error.strerror}.") from error
    return RunDirectory(folder / run_id)


def open_run(run_id: str) -> RunDirectory:
    """Open the run of an id, of an unambiguous prefix of one, or the `latest`.

    Raises BadInput when it is no id or fits several runs, NotAvailable when there is none.
    """
    folder = runs_folder()
    if run_id == "latest":
        runs = list_runs()
        if not runs:
            raise NotAvailable("There are no runs yet.")
        return RunDirectory(folder / runs[0].id)
    if not _PREFIX.fullmatch(run_id):
        raise BadInput.at("run", f"{run_id!r} is not the id of a run; see `basin ls`.")
    if _ID.fullmatch(run_id):
        names = [run_id] if os.path.isdir(folder / run_id) else []  # whatever it may hold
    else:
        names = sorted(name for name in run_names() if name.startswith(run_id))
    if not names:
        raise NotAvailable(f"There is no run `{run_id}`; see `basin ls`.")
    if len(names) > 1:
        raise BadInput.at(
            "run", f"`{run_id}` fits {len(names)} runs, {names[0]} and {names[1]} among them."
        )
    return RunDirectory(folder / names[0])


def is_id(name: str) -> bool:
    """Return True for a text that has the form of a run's id."""
    return _ID.fullmatch(name) is not None


def run_names() -> list[str]:
    """List the ids of all runs, in any state. Raises NotAvailable, OSError."""
    folder = runs_folder()
    return [entry.name for entry in os.scandir(folder) if _ID.fullmatch(entry.name)]


_listed: dict[str, tuple[object, Status]] = {}


def list_runs() -> list[Status]:
    """Read the status of every run, newest first. Only files that have changed are read again.

    Raises NotAvailable, OSError.
    """
    folder = runs_folder()
    statuses = []
    names = run_names()
    start = f"{folder}{os.sep}"  # of thousands of runs; a Path of each would take as long again
    for name in names:
        path = start + name
        key = (_changed(path + "/status.json"), _changed(path + "/labels.json"))
        entry = _listed.get(path)
        if entry is None or entry[0] != key:
            try:
                entry = (key, RunDirectory(folder / name).written_status())
            except (BadInput, OSError):
                continue  # being deleted, or its spec is damaged: `basin doctor` names it
            if entry[1].damage:
                _listed.pop(path, None)  # it may have been out of reach for a moment
            else:
                _listed[path] = entry
        written = entry[1]
        statuses.append(status.derived(written) if written.status == "running" else written)
    for path in _listed.keys() - {start + name for name in names}:
        _listed.pop(path, None)  # deleted, or of another home
    return sorted(statuses, key=lambda item: (item.created, item.id), reverse=True)


def newest_runs(num: int) -> Iterator[Status]:
    """Iterate over the written status of the `num` newest runs, newest first, read one by one."""
    folder = runs_folder()
    for name in sorted(run_names(), reverse=True)[:num]:
        with contextlib.suppress(BadInput, OSError):
            yield RunDirectory(folder / name).written_status()


def _changed(path: str) -> tuple[int, int]:
    try:
        entry = os.stat(path)
    except OSError:
        return 0, 0
    return entry.st_ino, entry.st_mtime_ns  # the clock is coarse, so the file itself counts too


def sweep() -> None:
    """Remove the remains of runs that were never whole, or were deleted, when a process died."""
    for entry in os.scandir(runs_folder()):
        if entry.name.startswith(".deleted-"):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name.startswith(".new-"):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _SWEEP_SECONDS:
                    shutil.rmtree(entry.path, ignore_errors=True)
        elif is_id(entry.name) and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                atomic_files.sweep_asides(Path(entry.path), _SWEEP_SECONDS)


def reindex(run_ids: Iterable[str] | None = None) -> list[RunDirectory]:
    """Make the tables of runs again from their logs: of those named, or of all that nobody trains.

    Returns them. Raises BadInput for one named that is trained now, NotAvailable for one that is
    not there.
    """
    if run_ids is None:
        return [directory for item in list_runs() if (directory := _reindexed(item.id))]
    reindexed = []
    for run_id in run_ids:
        directory = open_run(run_id)
        if not _reindexed(directory.id):
            raise BadInput.at(
                "run", f"`{directory.id}` is running; its tables are made when it has ended."
            )
        reindexed.append(directory)
    return reindexed


def _reindexed(run_id: str) -> RunDirectory | None:
    directory = open_run(run_id)
    try:
        with attempts.held(directory):
            if directory.status().status == "running":  # on another machine, perhaps
                return None
            directory.compact()
    except attempts.Held:
        return None
    return directory


__all__ = [
    "Checkpoint",
    "Key",
    "RunDirectory",
    "Series",
    "Status",
    "create_run",
    "data_folder",
    "energies_folder",
    "home",
    "list_runs",
    "open_run",
    "reindex",
    "runs_folder",
]
