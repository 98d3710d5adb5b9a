"""RunDirectory: the files of one run. `jobs/records/run_store.py` finds and makes them."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput
from backend.events import Frame
from backend.spec import RunSpec, parse
from jobs.records import checkpoint, documents, scalar_blocks, scalar_table, status
from jobs.records.checkpoint import Checkpoint
from jobs.records.keyframes import Key, Keyframes
from jobs.records.run_log import START, Log, Place
from jobs.records.scalar_blocks import Said, Series
from jobs.records.scalar_record import ScalarRecord
from jobs.records.status import Status
from jobs.system import atomic_files
from jobs.system.atomic_files import locked, write

if TYPE_CHECKING:
    from jobs.records.attempts import Attempt

WORDS = ("stop", "pause")
"""What can be asked of a run."""
_UNSHOWN = ("control", "lock")
"""Files that say nothing about the run."""
_FILE_NAME = re.compile(r"(?:(?:checkpoints|samples|answers)/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.keyframes = Keyframes(path / "frames.bin")
        self.attempt: Attempt | None = None
        """While this process trains the run: it then writes only what its attempt may."""
        self.log = Log(path)

    def _check_attempt(self) -> None:
        if self.attempt is not None:
            self.attempt.check()

    def __repr__(self) -> str:
        return f"RunDirectory({self.id})"

    def spec(self) -> RunSpec:
        """What the run was asked to do. Raises BadInput when the file is damaged or gone."""
        try:
            text = atomic_files.read(self.path / "spec.yaml").decode()
        except FileNotFoundError as error:
            raise BadInput.at("run", f"`{self.id}` has no spec.yaml.") from error
        except (OSError, ValueError) as error:
            said = f"the spec.yaml of `{self.id}` cannot be read: {error}."
            raise BadInput.at("run", said) from error
        return parse(text)

    def write_spec(self, spec: RunSpec) -> None:
        """Replace the spec by its resolved form. Raises OSError."""
        self._check_attempt()
        write(self.path / "spec.yaml", spec.to_yaml(), sync=True)

    # What is known of it

    def status(self) -> Status:
        """Where it stands; `lost` is derived from the silence or death of its process."""
        return status.derived(self.written_status())

    def written_status(self) -> Status:
        """What the file says, with the labels a person gave since."""
        found = self._read_status()
        try:
            labels = atomic_files.read_json(self.path / "labels.json")
        except FileNotFoundError:
            return found
        except (OSError, ValueError):
            labels = None
        if not isinstance(labels, dict):
            return replace(found, damage=f"{found.damage} labels.json cannot be read.".strip())
        return status.with_labels(found, labels)

    def _read_status(self, *, to_write: bool = False) -> Status:
        """to_write: raise OSError where what stands there may only be out of reach now."""
        try:
            raw = atomic_files.read_json(self.path / "status.json")
        except (FileNotFoundError, ValueError):
            raw = None
        except OSError:
            if to_write:
                raise
            raw = None
        if isinstance(raw, dict):
            return status.from_dict(self.id, raw)
        said = "Its status.json is missing or damaged."
        try:
            unknown = status.from_spec(self.id, self.spec())
        except BadInput:
            if not self.path.is_dir():  # deleted
                raise
            said = "Its status.json and spec.yaml are missing or damaged."
            unknown = Status(self.id)
        return replace(unknown, status="lost", reason=said, damage=said)

    def write_status(self, **changes: Any) -> Status:
        """Change some fields and set `updated`. Raises OSError."""
        with locked(self.path):
            now = self._read_status(to_write=True)
            if self.attempt is not None:
                changes = self.attempt.changes_of(now, changes)
            changed = replace(now, **{"updated": time.time(), "damage": "", **changes})
            write(self.path / "status.json", json.dumps(changed.as_dict()))
        return changed

    def labels(self) -> dict[str, Any]:
        """`name`, `tags` and `note` as they are now."""
        now = self.written_status()
        return {"name": now.name, "tags": now.tags, "note": now.note}

    def set_labels(
        self, *, name: str | None = None, tags: list[str] | None = None, note: str | None = None
    ) -> None:
        """Edit name, tags or note over the spec's. Raises BadInput for ones too long."""
        given = {"name": name, "tags": tags, "note": note}
        if name is not None and len(name) > 120:
            raise BadInput.at("name", f"must have at most 120 characters, got {len(name)}.")
        if note is not None and len(note) > 10_000:
            raise BadInput.at("note", f"must have at most 10,000 characters, got {len(note)}.")
        if tags is not None and (len(tags) > 20 or any(len(tag) > 60 for tag in tags)):
            raise BadInput.at("tags", "at most 20 tags of at most 60 characters.")
        with locked(self.path):
            kept = self._read_json("labels.json")
            kept |= {key: value for key, value in given.items() if value is not None}
            write(self.path / "labels.json", json.dumps(kept))

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            found = atomic_files.read_json(self.path / name)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # What is asked of it

    def request(self, word: str) -> None:
        """Ask for `stop` or `pause`; a stop is not weakened into a pause."""
        if word not in WORDS:
            raise BadInput.at("control", f"must be one of {', '.join(WORDS)}, got {word!r}.")
        if self.requested() != "stop":
            write(self.path / "control", word)

    def requested(self) -> str | None:
        """What was asked and not yet obeyed."""
        try:
            word = atomic_files.read(self.path / "control").decode(errors="replace").strip()
        except (FileNotFoundError, atomic_files.Odd):
            return None
        return word if word in WORDS else None

    def request_age(self) -> float | None:
        """Seconds since it was asked; None when nothing is."""
        try:
            return time.time() - (self.path / "control").stat().st_mtime
        except FileNotFoundError:
            return None

    def clear_request(self) -> None:
        self._check_attempt()
        with contextlib.suppress(IsADirectoryError):  # which asks for nothing
            (self.path / "control").unlink(missing_ok=True)

    def ask_change(self, settings: dict[str, float]) -> None:
        """Ask a running run to take other settings. Raises OSError."""
        folder = self.path / "changes"
        folder.mkdir(mode=0o700, exist_ok=True)
        write(folder / f"{time.time_ns()}.json", json.dumps(settings))

    def take_changes(self) -> list[dict[str, float]]:
        """What was asked to be changed, oldest first; each is given once."""
        found = []
        for path in sorted((self.path / "changes").glob("*.json")):
            asked = documents.settings(self._read_json(f"changes/{path.name}"))
            with contextlib.suppress(IsADirectoryError):
                path.unlink(missing_ok=True)
            if asked:
                found.append(asked)
        return found

    # What it said

    def append(self, frames: bytes, keyframe: bool) -> None:
        """Add one or more whole frames to the log, or to the keyframes. Raises OSError."""
        self._check_attempt()
        if keyframe:
            self.keyframes.append(frames)
        else:
            self.log.append(frames)

    def sync(self) -> None:
        """Bring the log to the disk, against a loss of power. Raises OSError."""
        self.log.sync()

    def close(self) -> None:
        """Let go of the files opened for appending."""
        self.keyframes.close()
        self.log.close()

    def take_damage(self) -> list[str]:
        """What was found damaged since the last time by whoever writes here, a sentence each."""
        found = [*self.log.damage, *self.keyframes.damage]
        self.log.damage.clear()
        self.keyframes.damage.clear()
        return found

    def last_seq(self) -> int:
        """The highest sequence number of any frame of this run, -1 for none. Raises Damaged."""
        with self.log.opened() as stretches:
            said = [
                scalar_blocks.read(stretch.data, stretch.frames).last_seq for stretch in stretches
            ]
        texts = [header["seq"] for header in self._read_texts()]
        compacted = scalar_table.read_last_seq(self.log.table_path)
        merged = self.log.merged().last_seq
        return max([*said, *texts, compacted, merged, self.keyframes.last_seq()])

    def read_log_frames(self) -> list[bytes]:
        """Frames of the log that were not merged yet: scalar blocks and texts, whole ones."""
        with self.log.opened() as stretches:
            found = [frame for stretch in stretches for frame in stretch.cut()]
        return [frame for frame in found if not scalar_blocks.read(frame).damaged]

    def tail_log(self, place: Place = START) -> tuple[list[bytes], Place]:
        """Whole frames after a place, some megabytes of them, and the place to ask from next.

        Starts over when the log was merged since: what that left out is in the record.
        """
        with self.log.opened(place) as stretches:
            for stretch in stretches:
                return stretch.cut(), stretch.place
        return [], place

    def scalars(self) -> dict[str, Series]:
        """Every scalar by path; what a resumed run said again replaces what it said before.

        Raises Damaged.
        """
        old, new = self._said()
        marks = scalar_table.marks_of(new.texts)
        pieces = {path: list(old.pieces(path)) for path in old.paths}
        for path, found in new.series().items():
            pieces.setdefault(path, []).extend(found)
        whole = {path: scalar_table.joined(found, marks) for path, found in pieces.items() if found}
        return {path: found for path, found in whole.items() if len(found.step)}

    def _said(self) -> tuple[ScalarRecord, Said]:
        """The record and what the log holds beyond it."""
        with self.log.opened() as stretches:  # first: what is merged meanwhile stays in it
            found = [scalar_blocks.read(stretch.data, stretch.frames) for stretch in stretches]
        record = ScalarRecord(self.path, self._read_texts())
        return record, scalar_blocks.together(found, record.last_seq)

    def _read_texts(self) -> list[dict[str, Any]]:
        return scalar_table.read_texts(self.log.texts_path, [])

    def latest(self, prefixes: tuple[str, ...] = ("",)) -> dict[str, float]:
        """The last value of every path that starts with one of the prefixes. Raises Damaged."""
        old, new = self._said()
        if scalar_table.marks_of(new.texts):
            found = {path: float(columns.value[-1]) for path, columns in self.scalars().items()}
            return {path: value for path, value in found.items() if path.startswith(prefixes)}
        said = {
            path: float(scalar_table.joined(pieces).value[-1])
            for path, pieces in new.series().items()
        }
        result = {}
        for path in dict.fromkeys([*old.paths, *said]):
            value = said[path] if path in said else old.latest(path)
            if value is not None and path.startswith(prefixes):
                result[path] = value
        return result

    def skim_log(self, place: Place = START) -> tuple[int, Place]:
        """The highest sequence number in the log after a place, -1 for none, and its end."""
        last = -1
        with self.log.opened(place) as stretches:
            for stretch in stretches:
                last = max(last, scalar_blocks.read(stretch.data, stretch.frames).last_seq)
                place = stretch.place
        return last, place

    def record(self, damage: list[str] | None = None) -> ScalarRecord | None:
        """The scalars that are no longer in the log; None before there are any.

        What cannot be read is said in `damage` and passed over, or else raises Damaged.
        """
        found = ScalarRecord(self.path, self._read_texts(), damage)
        return None if found.is_empty else found

    def texts(self) -> list[Frame]:
        """Every sentence, oldest first; `header["meta"]` holds `message` and `level`."""
        with self.log.opened() as stretches:
            said = [scalar_blocks.read(stretch.data, stretch.frames).texts for stretch in stretches]
        old = self._read_texts()
        last = max((header["seq"] for header in old), default=-1)
        new = [header for texts in said for header in texts if header["seq"] > last]
        return [Frame(header, {}) for header in [*old, *new]]

    def keyframe_index(self) -> list[Key]:
        """(seq, path, kind, step, offset, size) of the keyframes kept, oldest first."""
        return self.keyframes.index()

    def read_keyframe(self, seq: int) -> bytes:
        """One keyframe. Raises NotAvailable when it was thinned out since."""
        return self.keyframes.read(seq)

    def keyframes_at(self, step: int, paths: Sequence[str] | None = None) -> list[bytes]:
        """Of each path, or each of those given, the last keyframe at or before `step`, else its
        first."""
        chosen: dict[str, Key] = {}
        for key in self.keyframes.index():
            if paths is not None and key.path not in paths:
                continue
            if key.path not in chosen or key.step <= step:
                chosen[key.path] = key
        return self.keyframes.read_many(key.seq for key in chosen.values())

    def compact(self) -> None:
        """Turn the log into scalars.parquet and text.jsonl. Cut short, nothing is lost or doubled.

        A table that is damaged is kept as scalars.parquet.bad; what of it can be read goes on.
        Only for a run that nothing writes to. Raises OSError.
        """
        self._check_attempt()
        self.close()
        self.log.merge()
        self.log.tabulate()

    def void_after(self, step: int) -> None:
        """Drop the keyframes after `step`, from where the run goes on. Raises OSError."""
        self._check_attempt()
        self.keyframes.cut_after(step)

    # What it made

    def checkpoints(self) -> list[int]:
        """Steps there are checkpoints of, oldest first."""
        return checkpoint.steps(self.path / "checkpoints")

    def save_checkpoint(self, step: int, tensors: dict[str, Any], meta: dict[str, Any]) -> Path:
        """Write a checkpoint and keep the last two. Raises OSError."""
        self._check_attempt()
        return checkpoint.save(self.path / "checkpoints", step, tensors, meta)

    def load_checkpoint(self, step: int | None = None) -> Checkpoint:
        """The checkpoint of a step, or the newest whole one. Raises NotAvailable."""
        return checkpoint.load(self.path / "checkpoints", step)

    def save_samples(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Path:
        """Write `samples/<name>.npz`. Raises BadInput for a bad name, OSError."""
        return self.save_arrays(f"samples/{name}.npz", arrays)

    def save_arrays(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Path:
        """Write one .npz under its name in the directory. Raises BadInput, OSError."""
        self._check_attempt()
        path = self.path_of(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with atomic_files.written_aside(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return path

    def save_answer(self, name: str, answer: dict[str, Any]) -> None:
        """Write `answers/<name>.json`. Raises BadInput for a bad name, OSError."""
        path = self.path_of(f"answers/{name}.json")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write(path, json.dumps(answer))

    def answers(self) -> list[dict[str, Any]]:
        """What the run was asked and answered, newest first, as
        `jobs.models.answering.answer_to_run` gave it."""
        names = sorted(path.name for path in (self.path / "answers").glob("*.json"))
        found = (self._read_json(f"answers/{name}") for name in reversed(names))
        return [answer for raw in found if (answer := documents.answer(raw)) is not None]

    def write_metrics(self, metrics: dict[str, float]) -> None:
        """Write the final figures; those that are not finite become null. Raises OSError."""
        self._check_attempt()
        plain = {key: value if np.isfinite(value) else None for key, value in metrics.items()}
        write(self.path / "metrics.json", json.dumps(plain, indent=1))

    def metrics(self) -> dict[str, float | None]:
        """The final figures; {} before the end."""
        return documents.figures(self._read_json("metrics.json"))

    def damages(self) -> list[str]:
        """What of its files cannot be read, a sentence each; see `basin doctor`."""
        found = []
        for read in (self.written_status, self.spec, self.record, self.texts):
            try:
                result = read()
            except Exception as error:  # an odd file fails in many ways; all are to be told
                found.append(str(error) or type(error).__name__)
            else:
                found += [result.damage] if isinstance(result, Status) and result.damage else []
        for name in ("metrics.json", "made_of.json"):
            try:
                atomic_files.read_json(self.path / name)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                found.append(f"{name} cannot be read: {error}.")
        return list(dict.fromkeys(found))

    def write_trace(self, text: str) -> None:
        self._check_attempt()
        write(self.path / "trace.txt", text)

    def trace(self) -> str:
        """The traceback of a failure, or ""."""
        try:
            return atomic_files.read(self.path / "trace.txt").decode(errors="replace")
        except OSError:
            return ""

    def files(self) -> list[tuple[str, int]]:
        """What can be downloaded: names relative to the directory, and bytes."""
        found = []
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            with contextlib.suppress(OSError):  # gone since, or not to be looked at
                if path.is_file() and _FILE_NAME.fullmatch(name) and name not in _UNSHOWN:
                    found.append((name, path.stat().st_size))
        return found

    def path_of(self, name: str) -> Path:
        """The path of one of the run's files. Raises BadInput for a name that leads elsewhere."""
        path = self.path / name
        if not _FILE_NAME.fullmatch(name) or path.is_symlink():
            raise BadInput.at("name", f"{name!r} is not a file of a run.")
        return path

    def delete(self) -> None:
        """Take the run out of sight in one stroke, then remove its files."""
        self.close()
        aside = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(2)}")
        self.path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
