"""Run directory: all files of one run as one object. `run_store` creates and finds them."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.config import TurnRules
from backend.errors import BadInput
from backend.spec import RunSpec, parse
from jobs.records import checkpoint, documents, status
from jobs.records.checkpoint import Checkpoint
from jobs.records.recording import Recording
from jobs.records.requests import Requests
from jobs.records.status import Status
from jobs.system import atomic_files
from jobs.system.atomic_files import locked, write


class RunDirectory(Recording, Requests):
    """All files of one run: spec, status, labels, recording, requests, checkpoints, results."""

    def spec(self) -> RunSpec:
        """Read the run's spec. Raises BadInput when the file is damaged or gone."""
        try:
            text = atomic_files.read(self.path / "spec.yaml").decode()
        except FileNotFoundError as error:
            raise BadInput.at("run", f"`{self.id}` has no spec.yaml.") from error
        except (OSError, ValueError) as error:
            message = f"the spec.yaml of `{self.id}` cannot be read: {error}."
            raise BadInput.at("run", message) from error
        return parse(text)

    def write_spec(self, spec: RunSpec) -> None:
        """Replace the spec by its resolved form. Raises OSError."""
        self.check_attempt()
        write(self.path / "spec.yaml", spec.to_yaml(), sync=True)

    def write_settings(self, settings: dict[str, Any], turnable: TurnRules) -> None:
        """Write every field of `config` and `data` that the run trains with, and which of them can
        be turned by what rules. Raises OSError."""
        self.check_attempt()
        write(self.path / "settings.json", json.dumps({**settings, "turnable": turnable}))

    def turnable(self, step: float = inf) -> TurnRules:
        """Read the fields that can be turned and their rules, with the values in force, at a step
        or now; {} before the run is set up."""
        raw = self.read_json("settings.json").get("turnable")
        rules = (
            {}
            if not isinstance(raw, dict)
            else {k: v for k, v in raw.items() if isinstance(v, dict)}
        )
        for turn in self.turns_before(step):
            for name, (_, new) in turn.fields.items():
                if name in rules:
                    rules[name]["value"] = new
        return rules

    def settings(self) -> dict[str, Any]:
        """Read every field of `config` and `data` that the run trains with; those that its spec
        gives where it has not begun, or is older than this."""
        spec = self.spec()
        recorded = self.read_json("settings.json")
        given = {"config": spec.config, "data": spec.data}
        return {
            name: recorded[name] if isinstance(recorded.get(name), dict) else fields
            for name, fields in given.items()
        }

    # ------------------------------------------------------------------ status and labels

    def status(self) -> Status:
        """Read the state of the run; `lost` is derived from the silence or death of its process."""
        return status.derived(self.written_status())

    def written_status(self) -> Status:
        """Read the status file, with the labels a person gave since."""
        written = self._read_status()
        try:
            labels = atomic_files.read_json(self.path / "labels.json")
        except FileNotFoundError:
            return written
        except (OSError, ValueError):
            labels = None
        if not isinstance(labels, dict):
            return replace(written, damage=f"{written.damage} labels.json cannot be read.".strip())
        return status.with_labels(written, labels)

    def _read_status(self, *, to_write: bool = False) -> Status:
        """Read the status file; a damaged one counts as lost.

        to_write: raise OSError where the file may only be out of reach now.
        """
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
        damage = "Its status.json is missing or damaged."
        try:
            unknown = status.from_spec(self.id, self.spec())
        except BadInput:
            if not self.path.is_dir():  # deleted
                raise
            damage = "Its status.json and spec.yaml are missing or damaged."
            unknown = Status(self.id)
        return replace(unknown, status="lost", reason=damage, damage=damage)

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
        """Return `name`, `tags` and `note` as they are now."""
        written = self.written_status()
        return {"name": written.name, "tags": written.tags, "note": written.note}

    def set_labels(
        self, *, name: str | None = None, tags: list[str] | None = None, note: str | None = None
    ) -> None:
        """Edit name, tags or note over the spec's. Raises BadInput for ones too long."""
        edits = {"name": name, "tags": tags, "note": note}
        if name is not None and len(name) > 120:
            raise BadInput.at("name", f"must have at most 120 characters, got {len(name)}.")
        if note is not None and len(note) > 10_000:
            raise BadInput.at("note", f"must have at most 10,000 characters, got {len(note)}.")
        if tags is not None and (len(tags) > 20 or any(len(tag) > 60 for tag in tags)):
            raise BadInput.at("tags", "at most 20 tags of at most 60 characters.")
        with locked(self.path):
            labels = self.read_json("labels.json")
            labels |= {key: value for key, value in edits.items() if value is not None}
            write(self.path / "labels.json", json.dumps(labels))

    def dismiss(self, path: str, why: str, by: str = "") -> None:
        """Dismiss an alarm with a word, kept in the record with who and when.

        It stays dismissed whatever later looks find under its path. Raises BadInput for one that
        there is not, or without a word.
        """
        if path not in {alarm["path"] for alarm in self.written_status().alarms}:
            known = ", ".join(alarm["path"] for alarm in self.written_status().alarms) or "none"
            raise BadInput.at("alarm", f"`{self.id}` has no alarm `{path}`. It has: {known}.")
        if not 1 <= len(why := why.strip()) <= 500:
            raise BadInput.at("why", f"must have 1 to 500 characters, got {len(why)}.")
        self._write_dismissal(path, {"by": by, "when": time.time(), "why": why})

    def raise_again(self, path: str) -> None:
        """Take back that an alarm was dismissed. Raises OSError."""
        self._write_dismissal(path, None)

    def _write_dismissal(self, path: str, dismissal: dict[str, Any] | None) -> None:
        with locked(self.path):
            labels = self.read_json("labels.json")
            dismissals = {**documents.dismissals(labels.get("dismissed")), path: dismissal}
            labels["dismissed"] = {name: item for name, item in dismissals.items() if item}
            write(self.path / "labels.json", json.dumps(labels))

    # ------------------------------------------------------------------ results

    def checkpoints(self) -> list[int]:
        """List the steps that have a checkpoint, oldest first."""
        return checkpoint.steps(self.path / "checkpoints")

    def save_checkpoint(self, step: int, tensors: dict[str, Any], meta: dict[str, Any]) -> Path:
        """Write a checkpoint; the last two are kept, and some earlier ones. Raises OSError."""
        self.check_attempt()
        return checkpoint.save(self.path / "checkpoints", step, tensors, meta)

    def load_checkpoint(self, step: int | None = None) -> Checkpoint:
        """Load the checkpoint of a step, or the newest whole one. Raises NotAvailable."""
        return checkpoint.load(self.path / "checkpoints", step)

    def keep_checkpoint(self, step: int) -> None:
        """Keep the checkpoint of a step, whatever is thinned out. Raises BadInput for another step,
        OSError."""
        if step not in self.checkpoints():
            listed = ", ".join(f"{each:,}" for each in self.checkpoints()) or "none"
            raise BadInput.at("step", f"must be one that is there: {listed}; got {step:,}.")
        checkpoint.pin(self.path / "checkpoints", step)

    def keeps_checkpoint(self, step: int) -> bool:
        """Return True for a step whose checkpoint a person asked to keep."""
        return checkpoint.is_pinned(self.path / "checkpoints", step)

    def checkpoint_meta(self, step: int) -> dict[str, Any]:
        """Read the settings beside the checkpoint of a step. Raises NotAvailable."""
        return checkpoint.read_meta(self.path / "checkpoints", step)

    def copy_checkpoint(self, step: int, target: RunDirectory) -> None:
        """Copy the checkpoint of a step into another run. Raises OSError."""
        folder = target.path / "checkpoints"
        folder.mkdir(mode=0o700, exist_ok=True)
        with (
            checkpoint.path_of(self.path / "checkpoints", step).open("rb") as source,
            atomic_files.written_aside(checkpoint.path_of(folder, step), sync=True) as copy,
        ):
            shutil.copyfileobj(source, copy)

    def save_samples(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Path:
        """Write `samples/<name>.npz`. Raises BadInput for a bad name, OSError."""
        return self.save_arrays(f"samples/{name}.npz", arrays)

    def newest_checkpoint_time(self) -> float:
        """Return when the newest checkpoint was written, unix seconds; 0 where there is none."""
        folder = self.path / "checkpoints"
        return max(
            (checkpoint.path_of(folder, step).stat().st_mtime for step in self.checkpoints()[-1:]),
            default=0.0,
        )

    def save_answer(self, name: str, answer: dict[str, Any]) -> None:
        """Write `answers/<name>.json`. Raises BadInput for a bad name, OSError."""
        path = self.path_of(f"answers/{name}.json")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write(path, json.dumps(answer))

    def answers(self) -> list[dict[str, Any]]:
        """Read the answers of the run, newest first, as `answering.answer_to_run` returned them."""
        names = sorted(path.name for path in (self.path / "answers").glob("*.json"))
        contents = (self.read_json(f"answers/{name}") for name in reversed(names))
        return [answer for raw in contents if (answer := documents.answer(raw)) is not None]

    def write_metrics(self, metrics: dict[str, float]) -> None:
        """Write the final metrics; those that are not finite become null. Raises OSError."""
        self.check_attempt()
        plain = {key: value if np.isfinite(value) else None for key, value in metrics.items()}
        write(self.path / "metrics.json", json.dumps(plain, indent=1))

    def metrics(self) -> dict[str, float | None]:
        """Read the final metrics; {} before the end."""
        return documents.figures(self.read_json("metrics.json"))

    def damages(self) -> list[str]:
        """List the files that cannot be read, a sentence each; see `basin doctor`."""
        sentences = []
        for read in (self.written_status, self.spec, self.record, self.texts):
            try:
                result = read()
            except Exception as error:  # an odd file fails in many ways; all are to be told
                sentences.append(str(error) or type(error).__name__)
            else:
                sentences += [result.damage] if isinstance(result, Status) and result.damage else []
        for name in ("metrics.json", "made_of.json"):
            try:
                atomic_files.read_json(self.path / name)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                sentences.append(f"{name} cannot be read: {error}.")
        return list(dict.fromkeys(sentences))

    def write_trace(self, text: str) -> None:
        """Write the traceback of a failure. Raises OSError."""
        self.check_attempt()
        write(self.path / "trace.txt", text)

    def trace(self) -> str:
        """Read the traceback of a failure; an empty string without one."""
        try:
            return atomic_files.read(self.path / "trace.txt").decode(errors="replace")
        except OSError:
            return ""

    def delete(self) -> None:
        """Remove the run: out of sight in one stroke, then its files."""
        self.close()
        aside = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(2)}")
        self.path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
