"""Answers of a trained run, kept in its folder. Imports torch."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backend.ability import Answer, Array, Asked
from backend.config import Config
from backend.errors import BadInput
from backend.events import Cost, Event, Scalar, Table, encode
from backend.randomness import generator_of
from backend.requests import asking
from backend.requests.asking import Answered
from backend.samplers import default_sampler
from jobs.models import fingerprints, trained_run
from jobs.models.method_setup import Prepared
from jobs.models.standing_answers import standing
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system import atomic_files
from jobs.system.joule_meter import Stopwatch, meter


def answer(
    run_id: str, ability: str, config: dict[str, Any] | None = None, *, seed: int = 0
) -> Answer:
    """Ask a trained run; the same arguments give the same answer.

    config: the ability's own fields. Raises BadInput, NotAvailable.
    """
    return of(trained_run.asked(run_id), ability, config or {}, seed)


def of(asked: Asked, ability: str, config: dict[str, Any], seed: int) -> Answer:
    """Ask a run that is loaded, as `answer` does. Raises BadInput, NotAvailable."""
    if not 0 <= seed < 2**31:
        raise BadInput.at("seed", f"must be from 0 to 2147483647, got {seed}.")
    generator = generator_of("ask", seed, ability, device=asked.data.train.device)
    return asking.ask(asked, ability, config, generator)


def answer_to_run(
    run_id: str,
    ability: str,
    config: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Ask a trained run and keep the answer in its folder `answers`; returns the JSON kept there.

    A question that was answered before is not answered again, as long as the run, its data and
    Basin are as they were; with `out` it is.

    id, run, step, ability, title, config (every field), derived (a sentence by field), seed, time,
    summary, warnings (sentences), figures (null where not finite), file (the .npz of `arrays`, by
    its name in the run's folder, or `out`; null without arrays), arrays (shape by name), samples
    (those of them that can be kept as sample sets), tables (path, columns, rows, text, shares),
    frames (base64, each an event as `backend.events` packs it), code (what answered), took
    (seconds), joules and joules_source (null where not measured).
    Beside the arrays the .npz holds
    `settings`, the JSON of run, step, ability, config and seed.
    """
    directory = run_store.open_run(run_id)
    cls, checked = asking.resolve_ability(ability, config or {})
    if out is None and (known := _answered_before(directory, ability, checked, seed)):
        return known
    run = trained_run.load_trained(directory.id)
    watch = Stopwatch(meter(run.device))
    watch.start()
    result = of(trained_run.asked_of(run), ability, config or {}, seed)
    watch.stop()
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    name = f"{stamp}-{os.urandom(2).hex()}-{ability}"
    settings = {
        "run": directory.id,
        "step": run.step,
        "ability": ability,
        "config": checked.model_dump(mode="json"),
        "seed": seed,
    }
    value = {
        **settings,
        "id": name,
        "title": cls.title,
        "derived": checked.derived(),
        "time": now,
        "summary": result.summary,
        "warnings": list(run.warnings),
        "figures": asking.plain(result.figures),
        "file": _save_arrays(directory, name, result.arrays, settings, out),
        "arrays": {key: list(array.shape) for key, array in result.arrays.items()},
        "samples": list(cls.samples(checked)),
        "tables": [
            {
                "path": event.path,
                "columns": event.columns,
                "rows": event.rows,
                "text": event.text,
                "shares": event.shares,
            }
            for event in result.events
            if isinstance(event, Table)
        ],
        "frames": _frames(directory.id, result.events, now, Cost(run.step)),
        "code": fingerprints.code_now(),
        "took": watch.seconds,
        "joules": watch.joules,
        "joules_source": watch.source,
    }
    directory.save_answer(name, value)
    return value


def _answered_before(
    directory: RunDirectory, ability: str, checked: Config, seed: int
) -> dict[str, Any] | None:
    """Find the newest answer to the same question; None where it may be another one by now, or
    files and other runs are asked about too."""
    question = {"ability": ability, "config": checked.model_dump(mode="json"), "seed": seed}
    alike = (known for known in standing(directory) if question.items() <= known.items())
    return next(alike, None)


def own_sampler(run_id: str) -> dict[str, Any]:
    """Return `kind` and fields of the sampler a run's chains use. Raises BadInput, NotAvailable."""
    method = trained_run.load_trained(run_id).method
    return (method.sampler() or default_sampler(method.task.data)).config.model_dump(mode="json")


def _save_arrays(
    directory: RunDirectory,
    name: str,
    arrays: dict[str, Array],
    settings: dict[str, Any],
    out: Path | None,
) -> str | None:
    """Save them and return where they went; None where there are none. Raises BadInput."""
    if not arrays:
        return None
    arrays = {**arrays, "settings": np.array(json.dumps(settings))}
    if out is None:
        return (
            directory.save_arrays(f"answers/{name}.npz", arrays)
            .relative_to(directory.path)
            .as_posix()
        )
    try:
        with atomic_files.written_aside(out, mode=0o644) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput.at("out", f"cannot be written: {error.strerror or error}.") from error
    return str(out)


def _frames(run_id: str, events: tuple[Event, ...], now: float, cost: Cost) -> list[str]:
    """Pack every event but single numbers, which are among the figures."""
    packed = (event for event in events if not isinstance(event, Scalar))
    return [
        base64.b64encode(encode(event, run=run_id, seq=seq, time=now, cost=cost)).decode()
        for seq, event in enumerate(packed)
    ]


# ---------------------------------------------------------------------- questions of a RunSpec


def check_questions(prepared: Prepared) -> None:
    """Raise BadInput with all that is known to be wrong with a RunSpec's questions."""
    questions = prepared.spec.questions
    if questions and (problems := asking.question_problems(questions, _asked(prepared))):
        raise BadInput(*problems)


def answer_questions(prepared: Prepared) -> Iterator[Answered]:
    """Answer a RunSpec's questions, one after the other, from the method as it stands."""
    return asking.answer_questions(_asked(prepared), prepared.spec.questions)


def _asked(prepared: Prepared) -> Asked:
    run = trained_run.Trained("", prepared.spec, prepared.method, prepared.data, 0, prepared.device)
    return trained_run.asked_of(run)
