"""Outcome: the end of an attempt at a run, in the words its status shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import BadInput, BasinError, Diverged
from jobs.records.requests import INTERRUPT
from jobs.records.status import BY_ITSELF, missing_in_words

BEFORE = "Failed before the first step: "


class EndRequested(Exception):
    """Request that the run end: stop, pause, or its worker is gone."""

    def __init__(self, request: str) -> None:
        super().__init__(request)
        self.request = request


@dataclass(frozen=True)
class Outcome:
    """State, one or two sentences, and for failures the figures behind them."""

    status: str
    reason: str = ""
    problem: dict[str, Any] | None = None
    interrupted: bool = False
    """nobody wanted the end: Basin was stopped, and the run goes on once it is back"""

    @property
    def level(self) -> str:
        """Level of the text that reports it."""
        return "alarm" if self.status in ("failed", "diverged") else "info"


def ended_before(request: str) -> Outcome:
    """Describe a run that was asked to end before its first step."""
    if request == INTERRUPT:
        reason = f"Basin was stopped before its first step. {BY_ITSELF}"
        return Outcome("stopped", reason, interrupted=True)
    return Outcome("paused" if request == "pause" else "stopped", "Ended before the first step.")


def ended_by(request: str, step: int, redis_was_away: bool, missing: Sequence[str] = ()) -> Outcome:
    """Describe a run that ended as requested, a checkpoint written.

    missing: names of what was still to come once training was done. Such a run is not finished:
    one that goes on has it.
    """
    of = f" {missing_in_words(missing)}" if missing else ""
    if request in ("stop", "pause"):
        word = "stopped" if request == "stop" else "paused"
        to_do = " Resume it to have them." if missing else ""
        return Outcome(word, f"{word.capitalize()} on request at step {step:,}.{of}{to_do}")
    if request == INTERRUPT:
        reason = f"Basin was stopped when it was at step {step:,}.{of} {BY_ITSELF}"
        return Outcome("stopped", reason, interrupted=True)
    resumable = f"It can resume from step {step:,}."
    if redis_was_away:
        return Outcome("stopped", f"Its worker ended when Redis went away.{of} {resumable}")
    return Outcome("lost", f"The worker that ran it was killed.{of} {resumable}")


def failed_before(error: Exception) -> Outcome:
    """Describe an error before training: the field and what to do about it."""
    if isinstance(error, BadInput):
        problem = error.problems[0] if error.problems else None
        details = problem and {"field": problem.field, "message": problem.message}
        return Outcome("failed", BEFORE + "; ".join(map(str, error.problems)), details or None)
    message = sentence(error)
    return Outcome("failed", BEFORE + message, {"field": "", "message": message})


def failed(error: Exception, step: int, checkpoint: int | None) -> Outcome:
    """Describe an error in training."""
    message = sentence(error)
    reason = f"Failed after step {step:,}: {message} {_kept(checkpoint)}"
    return Outcome("failed", reason, {"field": "", "message": message, "step": step})


def diverged(error: Diverged, checkpoint: int | None) -> Outcome:
    """Describe a divergence, with the checkpoint from before it."""
    reason = str(error)
    if not math.isfinite(error.value):
        reason = f"Diverged at step {error.step}. {error.what} is no finite number any more."
    if checkpoint is None:
        reason += " There is no checkpoint from before."
    else:
        reason += f" The last good checkpoint is of step {checkpoint:,}."
    problem = {
        "what": error.what,
        "value": error.value if math.isfinite(error.value) else None,
        "bound": error.bound if math.isfinite(error.bound) else None,
        "step": error.step,
    }
    return Outcome("diverged", reason, problem)


def sentence(error: BaseException) -> str:
    """Extract the first line of an error's message, with its type unless Basin raised it on
    purpose."""
    first = (str(error).strip().splitlines() or [""])[0]
    text = first if isinstance(error, BasinError) else f"{type(error).__name__}: {first}"
    return text if text.endswith(".") else f"{text}."


def _kept(checkpoint: int | None) -> str:
    if checkpoint is None:
        return "There is no checkpoint."
    return f"It can resume from step {checkpoint:,}."
