"""Fingerprints of a run's data and code, kept beside it at each attempt.

`made_of.json` in the run's directory, and the meta of each checkpoint, hold

    {"files": [{"field", "path", "sha256", "stamp"}, ...]    what the spec names by a path
     "runs":  [{"run", "sha256", "stamp"}, ...]              checkpoints of runs it is built on
     "code":  {"basin", "commit", "method", "sha256"}
     "plugins": [{"part", "path", "sha256", "distribution", "version"}, ...]
     "standardised": {"mean", "scale", "noise_low", "noise_high"}}

A file whose size, time and inode (`stamp`) are as they were is not read again. Imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import BadInput, Problem
from backend.spec import RunSpec
from backend.system import plugins
from backend.system.about import version
from jobs.records import checkpoint, run_store
from jobs.records.moved_files import path_now
from jobs.records.run_directory import RunDirectory
from jobs.system import atomic_files

if TYPE_CHECKING:
    from jobs.models.method_setup import Prepared

MadeOf = dict[str, Any]
NAME = "made_of.json"
ROOT = Path(__file__).resolve().parents[2]
_NUM_SHOWN = 12
_METHOD = "method"


def of(prepared: Prepared) -> MadeOf:
    """Take the fingerprints of a run that is set up. Raises BadInput for a file that cannot be
    read."""
    data = prepared.data
    standardised = {"mean": data.mean, "scale": data.scale}
    if data.mean.dim():  # images, and laws of one's own, have the same box whatever they are
        standardised |= {"noise_low": data.noise_low, "noise_high": data.noise_high}
    return {
        "files": [_file(field, path) for field, path in paths(prepared.spec)],
        "runs": list(_runs(prepared.runs)),
        "code": _code(type(prepared.method)),
        "plugins": _plugins(prepared),
        "standardised": {name: value.cpu().tolist() for name, value in standardised.items()},
    }


def read(directory: RunDirectory) -> MadeOf:
    """Read the fingerprints of the last attempt; {} for a run older than they are."""
    try:
        content = json.loads((directory.path / NAME).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write(directory: RunDirectory, fingerprints: MadeOf) -> None:
    """Replace the fingerprints. Raises OSError."""
    atomic_files.write(directory.path / NAME, json.dumps(fingerprints), sync=True)


def changes(fingerprints: MadeOf) -> list[Problem]:
    """List every file, and every run it is built on, that has changed since.

    One that is gone is left for its reader to report.
    """
    problems = []
    for part in [*fingerprints.get("files", []), *fingerprints.get("runs", [])]:
        path = _path_of(part)
        fingerprint = _fingerprint(path, part)
        if fingerprint is not None and fingerprint["sha256"] != part["sha256"]:
            before, after = part["sha256"][:_NUM_SHOWN], fingerprint["sha256"][:_NUM_SHOWN]
            what = f"the run {part['run']} it is built on" if "run" in part else path.name
            problems.append(
                Problem(
                    part.get("field") or "run",
                    f"{what} has changed since this run was trained (SHA-256 {before}… then, "
                    f"{after}… now).",
                )
            )
    return problems


def check(fingerprints: MadeOf) -> None:
    """Raise BadInput when a run cannot go on as it began."""
    advice = (
        "Put the old one back, launch a copy of the run, or go on with the new one by "
        "`basin resume RUN --anyway`."
    )
    if problems := changes(fingerprints):
        raise BadInput(*(Problem(each.field, f"{each.message} {advice}") for each in problems))


def changes_in_words(fingerprints: MadeOf) -> list[str]:
    """Describe, to a person who asks a run, its files that have changed since."""
    return [
        f"{each.message} Its scale is kept; what is compared to data is compared to the new ones."
        for each in changes(fingerprints)
    ]


def plugins_in_words(fingerprints: MadeOf) -> list[tuple[str, str]]:
    """Say of each part that came from outside the package which it is and whence, and what became
    of that since: "" for nothing."""
    lines = []
    for origin, part in _origins(fingerprints):
        since = {
            "": "",
            "changed": "It has changed since.",
            "gone": "It is gone: what was recorded can be looked at, not run.",
        }[plugins.change_of(origin)]
        lines.append((f"{part[:1].upper()}{part[1:]} of {origin.in_words()}.", since))
    return lines


def _origins(fingerprints: MadeOf) -> Iterator[tuple[plugins.Origin, str]]:
    """Read where parts came from, with their names."""
    listed = fingerprints.get("plugins", [])
    for entry in listed if isinstance(listed, list) else []:
        with contextlib.suppress(TypeError, KeyError):  # of a later version
            fields = dict(entry)
            part = str(fields.pop("part"))
            yield plugins.Origin(**fields), part


def accept(directory: RunDirectory) -> None:
    """Take the files as they are now for those of the run, on request."""
    fingerprints = read(directory)
    if problems := changes(fingerprints):
        for part in [*fingerprints.get("files", []), *fingerprints.get("runs", [])]:
            part.update(_fingerprint(_path_of(part), part) or {})
        write(directory, {**fingerprints, "accepted": [each.message for each in problems]})


def warnings(last: MadeOf, present: MadeOf) -> list[str]:
    """Describe the changes that an attempt goes on with."""
    sentences = [f"Goes on all the same: {message}" for message in last.get("accepted", [])]
    before, after = last.get("code", {}), present["code"]
    if before and (before["sha256"], before["method"]) != (after["sha256"], after["method"]):
        sentences.append(
            f"The code of the method, {after['method']}, has changed since the last attempt."
        )
    then = {part: origin for origin, part in _origins(last)}
    for origin, part in _origins(present):
        if part in then and then[part] != origin and not part.startswith(_METHOD):
            sentences.append(
                f"The {part} has changed since the last attempt: it was of "
                f"{then[part].in_words()}, and is of {origin.in_words()}."
            )
    version = [
        f"{code.get('basin')} {code.get('commit', '')[:_NUM_SHOWN]}".strip()
        for code in (before, after)
    ]
    if before and version[0] != version[1]:
        sentences.append(
            f"Basin is {version[1]} now; the last attempt was trained by {version[0]}."
        )
    return sentences


def paths(spec: RunSpec) -> Iterator[tuple[str, Path]]:
    """Find every file or folder that data and settings name, by its field."""
    waiting: list[tuple[str, Any]] = [("data", spec.data), ("config", spec.config)]
    while waiting:
        field, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += [(f"{field}.{key}", item) for key, item in value.items()]
        elif isinstance(value, str) and value and field.endswith((".path", "_path")):
            yield field, Path(value).expanduser()


def _file(field: str, path: Path) -> dict[str, Any]:
    fingerprint = _fingerprint(path)
    if fingerprint is None:
        raise BadInput.at(field, f"there is no file or folder at {path}.")
    return {"field": field, "path": str(path), **fingerprint}


def _runs(run_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Take the fingerprints of those runs that have a checkpoint, each once."""
    for name in dict.fromkeys(run_ids):
        run_id = run_store.open_run(name).id
        if fingerprint := _fingerprint(_newest(run_id)):
            yield {"run": run_id, **fingerprint}


def _path_of(part: dict[str, Any]) -> Path:
    return _newest(part["run"]) if "run" in part else Path(path_now(part["path"]))


def _newest(run_id: str) -> Path:
    """Return the newest checkpoint of a run, or where it would lie."""
    folder = run_store.runs_folder() / run_id / "checkpoints"
    return checkpoint.path_of(folder, max(checkpoint.steps(folder), default=0))


def _fingerprint(path: Path, earlier: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Compute `sha256` and `stamp` of a file, or of the images of a folder; None without one."""
    try:
        parts = _parts(path)
        stamp = hashlib.sha256(
            json.dumps([[name, *_stat(part)] for name, part in parts]).encode()
        ).hexdigest()
        if earlier is not None and stamp == earlier.get("stamp"):
            return {"sha256": earlier["sha256"], "stamp": stamp}
        if len(parts) == 1:
            return {"sha256": _sha256(str(path), *_stat(path)), "stamp": stamp}
        whole = hashlib.sha256()
        for name, part in parts:
            whole.update(f"{name} {_sha256(str(part), *_stat(part))}\n".encode())
        return {"sha256": whole.hexdigest(), "stamp": stamp}
    except OSError:
        return None


def _parts(path: Path) -> list[tuple[str, Path]]:
    from backend.datasets.image_folder import SUFFIXES  # not before a worker forks

    if not path.is_dir():
        return [("", path)]
    paths = [*path.glob("*"), *path.glob("*/*")]
    return [
        (part.relative_to(path).as_posix(), part)
        for part in sorted(paths)
        if part.suffix.lower() in SUFFIXES and part.is_file()
    ]


def _stat(path: Path) -> tuple[int, int, int]:
    entry = os.stat(path)
    return entry.st_size, entry.st_mtime_ns, entry.st_ino


@lru_cache(maxsize=100_000)
def _sha256(path: str, *stat: int) -> str:
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _code(method: type) -> dict[str, str]:
    """Identify the code: Basin's version, its commit, the file of the method with its SHA-256."""
    try:
        source = Path(inspect.getfile(method)).resolve()
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
    except (OSError, TypeError):
        source, digest = Path(method.__module__), ""
    name = source.relative_to(ROOT).as_posix() if source.is_relative_to(ROOT) else str(source)
    return {**code_now(), "method": name, "sha256": digest}


def _plugins(prepared: Prepared) -> list[dict[str, Any]]:
    """List the parts of a run that are plug-ins, with where they come from."""
    parts = {
        part: origin
        for part, cls in _parts_of(prepared)
        for base in reversed(cls.__mro__)  # what a part is built on counts; its own file at last
        if (origin := plugins.origin_of(base.__module__))
    }
    return [{"part": part, **asdict(origin)} for part, origin in parts.items()]


def _parts_of(prepared: Prepared) -> Iterator[tuple[str, type]]:
    """Name every part of a run with its class, or with the class of its settings."""
    from backend import catalogue  # not before a worker forks

    spec = prepared.spec
    yield f"{_METHOD} `{spec.method}`", type(prepared.method)
    yield f"data set `{spec.data['name']}`", catalogue.datasets()[spec.data["name"]]
    waiting: list[tuple[str, Any]] = [("", prepared.config)]
    while waiting:
        field, value = waiting.pop(0)
        if kind := getattr(value, "kind", ""):
            yield f"{field} `{kind}`", type(value)
        waiting += [(n, getattr(value, n)) for n in getattr(type(value), "model_fields", ())]
    known = catalogue.observers()
    yield from ((f"observer `{n}`", known[n]) for n in prepared.method.observers if n in known)
    asked = catalogue.abilities()
    names = {each.ability for each in spec.questions}
    yield from ((f"ability `{n}`", asked[n]) for n in sorted(names) if n in asked)


def code_now() -> dict[str, str]:
    """Name the code that runs: Basin's version and commit."""
    return {"basin": version(), "commit": _commit()}


@lru_cache(maxsize=1)
def _commit() -> str:
    """Read the commit of the checkout Basin runs from; "" where there is none."""
    try:
        folder = ROOT / ".git"
        if folder.is_file():
            folder = Path(folder.read_text().partition("gitdir:")[2].strip())
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        common = folder / "commondir"
        shared = folder / common.read_text().strip() if common.is_file() else folder
        name = head.removeprefix("ref: ")
        for place in (folder / name, shared / name):
            if place.is_file():
                return place.read_text().strip()
        packed = (shared / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except OSError:
        return ""
