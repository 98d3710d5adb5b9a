"""Finishing: the last observation, the final metrics and the answers, once training is done."""

from __future__ import annotations

import contextlib

from backend.events import Cost, Scalar
from jobs.execution.observation_schedule import ObservationSchedule
from jobs.execution.reporter import Reporter
from jobs.execution.training import Training
from jobs.models import answering
from jobs.records.progress import FIGURES, QUESTIONS
from jobs.records.run_directory import RunDirectory
from jobs.system.interruption import LeftOff


def finish(training: Training) -> list[str]:
    """End the training, take the final metrics and answer the questions of the spec.

    Returns what of it an end that was asked for meanwhile left off, as names for people; a run that
    goes on has all of it anew. Raises Diverged, CannotWrite.
    """
    training.end()
    training.method.spent = training.cost
    heartbeat, progress = training.heartbeat, training.progress
    before = training.observation.seconds
    left = ["the final figures", *(f"`{q.name}`" for q in training.spec.questions)]
    with contextlib.suppress(LeftOff), heartbeat.interruption:
        with progress.during(FIGURES):
            metrics = {} if heartbeat.request else _final_metrics(training)
            training.judge_seconds = training.observation.seconds - before
        if not heartbeat.request:
            left.pop(0)
            with progress.during(QUESTIONS):
                _answer(training, metrics, left)
    return left


def _final_metrics(training: Training) -> dict[str, float]:
    """Observe for the last time and evaluate the method. Raises CannotWrite."""
    return judge(training.observation, training.reporter, training.directory, training.cost)


def judge(
    schedule: ObservationSchedule, reporter: Reporter, directory: RunDirectory, cost: Cost
) -> dict[str, float]:
    """Observe for the last time, and write the final figures and samples down; returns the figures.

    Raises CannotWrite.
    """
    metrics: dict[str, float] = {}
    if (observer := schedule.observer) is not None:
        reporter.emit(schedule.once("watch", lambda: observer.watch(cost.step)), cost)
        metrics, events, samples = schedule.timed(lambda: observer.evaluate(cost.step))
        reporter.emit(events, cost)
        # the last point of every curve is its final figure
        reporter.emit((Scalar(path, value) for path, value in metrics.items()), cost)
        directory.write_metrics(metrics)
        directory.save_samples("final", samples)
    return metrics


def _answer(training: Training, metrics: dict[str, float], left: list[str]) -> None:
    """Answer the questions of the spec, each taken off `left` once it is. Raises CannotWrite."""
    answers = answering.answer_questions(training.prepared)
    while not training.heartbeat.request:
        answer = training.observation.timed(lambda: next(answers, None))
        if answer is None:
            return
        training.reporter.emit(answer.events, training.cost)
        metrics |= answer.figures
        training.directory.write_metrics(metrics)
        if answer.arrays:
            training.directory.save_samples(f"answers-{answer.question.name}", answer.arrays)
        left.remove(f"`{answer.question.name}`")
        training.progress.num_answers += 1
