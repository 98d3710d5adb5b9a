"""Tasks: the functions that the queues call, with JSON arguments and answers."""

from __future__ import annotations

import base64
import functools
import itertools
import logging
import math
import signal
import time
import traceback
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from backend import catalogue
from backend.config import Config
from backend.data import Data
from backend.errors import BadInput, NotAvailable, Problem
from backend.method import Method
from backend.observe import pictures
from backend.spec import Budget, RunSpec, from_dict
from jobs.models import walk_preview
from jobs.models.data_outline import kind, look, outline
from jobs.models.method_setup import Prepared, prepare
from jobs.queueing import redis_store
from jobs.records import attempts, run_store
from jobs.records.requests import INTERRUPT
from jobs.system.processes import on_signals

TOO_LARGE = (
    "It needs more memory than a question or a check may use (BASIN_QUICK_GB, 4 unless set). Ask "
    "for less, or use a smaller file."
)
TIMING_SECONDS = 0.3
"""Seconds a check may train to learn what a step costs."""
_PREVIEW_POINTS, _PREVIEW_IMAGES = 500, 64
_LIKE_RUNS = 10
_SEARCHED_RUNS = 500
"""Number of the newest runs searched for those: a form waits for it."""


def train(run_id: str) -> None:
    """Train a run from its directory, in the process the worker forked for it.

    SIGTERM, which the worker passes on when it is told to end, interrupts it with a checkpoint. A
    run that another process trains, or that does not wait to be trained, is left alone.
    """
    directory = run_store.open_run(run_id)
    try:
        with attempts.begin(directory, queued=True):
            _train(directory)
    except attempts.Held as error:
        logging.getLogger(__name__).warning("%s Left alone.", error)


def _train(directory: run_store.RunDirectory) -> None:
    from jobs.execution import loop
    from jobs.models import trained_run

    publisher = redis_store.Publisher(directory.id)
    try:
        with on_signals(lambda: directory.request(INTERRUPT), signal.SIGTERM):
            loop.run(directory, load_energy=trained_run.load_energy, publisher=publisher)
    except Exception as error:  # the loop records what goes wrong in a run; this is beyond it
        directory.write_trace(traceback.format_exc())
        directory.write_status(
            status="failed", ended=time.time(), reason=f"{type(error).__name__}: {error}"
        )
        raise


def _answered(function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Wrap a task to answer in JSON: its value, or what a person can mend, or what is missing."""

    @functools.wraps(function)
    def job(*arguments: Any) -> dict[str, Any]:
        try:
            return {"value": function(*arguments)}
        except BadInput as error:
            return {"problems": _plain(error.problems)}
        except NotAvailable as error:
            return {"not_available": str(error)}
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            return {"not_available": TOO_LARGE}

    return job


def _plain(problems: list[Problem]) -> list[dict[str, str]]:
    return [{"field": problem.field, "message": problem.message} for problem in problems]


def examine(spec: RunSpec) -> Prepared:
    """Set a method up on the CPU with its data, to find all that is wrong before a run starts.

    Downloads nothing: data that are not here have a stand-in. Raises BadInput with all of it,
    NotAvailable for a run that is not there.
    """
    from jobs.models import answering, trained_run

    prepared = prepare(spec, torch.device("cpu"), trained_run.load_energy, fetch=False)
    answering.check_questions(prepared)
    return prepared


def check(raw: dict[str, Any]) -> dict[str, Any]:
    """Check a RunSpec as plain data, its paths absolute; returns the fields of `enqueue.Check`."""
    try:
        prepared = examine(from_dict(raw))
    except BadInput as error:
        return {"ok": False, "problems": _plain(error.problems)}
    except NotAvailable as error:
        return {"ok": False, "problems": [{"field": "", "message": str(error)}]}
    missing = prepared.missing
    walk = [] if missing else walk_preview.walk(prepared)  # before the method is used up
    return {
        "ok": True,
        "derived": derived(prepared.config),
        "cost": expected_cost(prepared),
        "data": {"missing": missing} if missing else {**describe(prepared.data), "walk": walk},
    }


def derived(config: Config, prefix: str = "config") -> dict[str, str]:
    """Describe what the settings amount to, by dotted field, those of nested parts included."""
    sentences = {f"{prefix}.{name}": text for name, text in config.derived().items()}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            sentences = {**derived(value, f"{prefix}.{name}"), **sentences}
    return sentences


def expected_cost(prepared: Prepared) -> dict[str, Any]:
    """Estimate the cost of the budget: gradients from a few real steps, seconds from earlier runs.

    Runs of the same work or, without any, those steps. Uses the method up.
    """
    first, each, measured = _time_steps(prepared.method)
    like = _seconds_of_like_runs(prepared.spec)
    rates = like or measured
    budget = prepared.spec.budget
    steps = _expected_steps(budget, first, each, median(rates))
    seconds = spread = None
    if steps is not None:
        seconds = steps * median(rates)
        spread = [min(rates) * steps, max(rates) * steps]
    return {
        "steps": steps,
        "gradients": None if steps is None else round(first + (steps - 1) * each),
        "seconds": seconds,
        "seconds_spread": spread,
        **_beyond_training(prepared.spec, seconds),
        "from_runs": len(like),
        "note": ""
        if like
        else f"from {len(measured)} step{'s' * (len(measured) > 1)} timed on the CPU here",
    }


def _time_steps(method: Method) -> tuple[int, float, list[float]]:
    """Time steps: ∇E evaluations of the first and of each later one, and seconds of single steps.

    The first, a warm-up, counts only when there was no time for another.
    """
    seconds: list[float] = []
    evaluations: list[int] = []
    deadline = time.perf_counter() + TIMING_SECONDS
    while len(seconds) < 21 and (not seconds or time.perf_counter() + seconds[-1] < deadline):
        start = time.perf_counter()
        method.step(0.0)
        seconds.append(time.perf_counter() - start)
        evaluations.append(method.gradient_evaluations)
    first, later = evaluations[0], len(evaluations) - 1
    each = (evaluations[-1] - first) / later if later else float(first)
    timed = sorted(seconds[1:] or seconds)
    middle = timed[len(timed) // 4 : max(1, len(timed) - len(timed) // 4)]
    return first, each, middle or timed


def _expected_steps(budget: Budget, first: int, each: float, seconds_a_step: float) -> int | None:
    """Estimate the steps until the first limit is reached; None when only joules limit the run."""
    limits = [budget.steps]
    if budget.gradients is not None and each:
        limits.append(1 + max(0, math.ceil((budget.gradients - first) / each)))
    if budget.seconds is not None:
        limits.append(max(1, round(budget.seconds / seconds_a_step)))
    definite = [limit for limit in limits if limit is not None]
    return min(definite) if definite else None


def _seconds_of_like_runs(spec: RunSpec) -> list[float]:
    """Find the seconds a step of the newest runs of the same work, newest first."""
    same = spec.step_hash()
    rates = (
        status.seconds / status.step
        for status in run_store.newest_runs(_SEARCHED_RUNS)
        if status.step_hash == same and status.step >= 50 and status.seconds > 0
    )
    return list(itertools.islice(rates, _LIKE_RUNS))


def _beyond_training(spec: RunSpec, seconds: float | None) -> dict[str, float | None]:
    """Estimate the seconds of looking during so many of training, and of setting up and judging,
    from finished runs of the same work or, without any, of the same method and data."""
    ended = [
        run
        for run in run_store.newest_runs(_SEARCHED_RUNS)
        if run.status == "finished"
        and run.attempt == 1
        and run.seconds > 0
        and run.method == spec.method
        and run.data == spec.data.get("name")
    ]
    same = spec.step_hash()
    runs = ([run for run in ended if run.step_hash == same] or ended)[:_LIKE_RUNS]
    # The first looks come soonest: a short run's share of looking is no long one's.
    if seconds is None or not (runs := [run for run in runs if run.seconds > seconds / 3]):
        return {"looking": None, "judging": None}
    looking = median(run.observe_seconds / run.seconds for run in runs)
    judging = median(
        max(0.0, (run.ended or 0.0) - (run.started or 0.0) - run.seconds - run.observe_seconds)
        for run in runs
    )
    return {"looking": looking * seconds, "judging": judging}


def describe(data: Data) -> dict[str, Any]:
    """Describe a data set for a form: its size, shape and a small preview, in user's units."""
    return {
        "title": data.title,
        **kind(data),
        "num_held_out": len(data.held_out),
        "columns": list(data.columns),
        "notes": list(data.notes),
        "preview": preview(data),
    }


def preview(data: Data) -> dict[str, Any]:
    """Encode some of the training data, base64: float32 points (num, dim), or uint8 images; text as
    its lines."""
    if data.alphabet:
        lines = pictures.lines_of_text("", data, data.train[: pictures.NUM_LINES]).rows
        values = [line for [line] in lines]
        return {"kind": "text", "shape": [len(values), *data.event_shape], "values": values}
    if data.image_range is not None:
        low, high = data.image_range
        images = data.restore(data.train[:_PREVIEW_IMAGES]).numpy()
        scaled = np.clip((images - low) / (high - low), 0, 1) * 255
        pixels = scaled.round().astype(np.uint8)
        return {
            "kind": "images",
            "dtype": "u1",
            "shape": list(pixels.shape),
            "values": base64.b64encode(pixels.tobytes()).decode(),
        }
    x = data.restore(data.train[:_PREVIEW_POINTS]).flatten(1)
    # a picture needs the shape alone where 32 bits would blur the place
    blurred = pictures.in_units(x).dtype != np.float32
    points = (x - x.mean(0) if blurred else x).numpy().astype("<f4")
    return {
        "kind": "points",
        "dtype": "f4",
        "shape": list(points.shape),
        "values": base64.b64encode(points.tobytes()).decode(),
    }


def previews(names: list[str]) -> dict[str, Any]:
    """Encode a small picture of each data set as it is by default, with its `outline`, by name.

    None of one that needs more than its name, or a download.
    """
    by_name = {}
    for name in names:
        try:
            dataset = catalogue.resolve_data({"name": name})
            if not dataset.missing():
                data = dataset.load()
                by_name[name] = {**preview(data), "outline": outline(data)}
        except BadInput:
            continue
    return by_name


def offers(run_id: str) -> dict[str, Any]:
    """Look which abilities a trained run can be asked: `refused` and `idle` of each, as
    `asking.Offer` has them."""
    from backend.requests import asking
    from jobs.models import trained_run

    return {
        name: offer._asdict() for name, offer in asking.offers(trained_run.asked(run_id)).items()
    }


def ask(run_id: str, ability: str, config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Ask a run and keep the answer in its `answers` folder."""
    from jobs.models import answering

    return answering.answer_to_run(run_id, ability, config, seed=seed)


def draw_set(wanted: dict[str, Any]) -> str:
    """Draw a sample set from the fields of its `sample_sets.Request`; returns its id."""
    from jobs.models import sample_drawing
    from jobs.records.sample_sets import Request

    return sample_drawing.draw(Request(**wanted)).id


def draw_grid(grid_id: str) -> int:
    """Draw cells of a grid for a while; returns how many."""
    from jobs.grids import drawing

    return drawing.take_turn(grid_id)


def former(run_id: str, settings: Any) -> dict[str, Any]:
    """Answer a question that pages of Basin 0.1 asked and left in the queue."""
    raise NotAvailable(
        f"`{run_id}` was asked as an earlier version of Basin asks. Load the page again, or use "
        "`basin sample` or `basin energy`."
    )


check_job = _answered(check)
previews_job = _answered(previews)
look_job = _answered(look)
offers_job = _answered(offers)
ask_job = _answered(ask)
draw_set_job = _answered(draw_set)
draw_grid_job = _answered(draw_grid)
sample_job = energy_job = _answered(former)
