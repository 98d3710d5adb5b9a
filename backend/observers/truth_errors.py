"""The distance of a sampler's draws from the known truth, and the end of a run that is near it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.methods.sampling import Sampling
from backend.metrics.errors_to_truth import floor_of_mean
from backend.observe.context import Context
from backend.observe.observer import Evaluation, Observer

R_HAT_MIXED = 1.01


class TruthErrorsObserver(Observer):
    """`error/mean/floor` and, at the end, every `error/*`, which each step says too."""

    id = "truth_errors"

    def measure(self, context: Context) -> Iterable[Event]:
        method, figures = Sampling.of(self.subject.method), context.figures
        if method.warming_up:
            return ()
        method.done = _reason_to_end(method, figures) or method.done
        return [Scalar(path, value) for path, value in _floors(method, figures).items()]

    def evaluate(self, context: Context) -> Evaluation:
        method = Sampling.of(self.subject.method)
        if method.warming_up:
            return Evaluation()
        errors = {path: float(value) for path, value in method.statistics.errors.items()}
        return Evaluation(_floors(method, context.figures) | errors)


def _floors(method: Sampling, figures: dict[str, float]) -> dict[str, float]:
    """The error that as many independent draws as the chains are worth would have."""
    ess, truth = figures.get("sampler/bulk_ess", 0.0), method.truth
    if not ess > 0 or truth is None or "error/mean" not in method.statistics.errors:
        return {}
    return {"error/mean/floor": floor_of_mean(truth, ess)}


def _reason_to_end(method: Sampling, figures: dict[str, float]) -> str:
    """A sentence once the run has reached what it was asked for, else ""."""
    config, errors = method.config, method.statistics.errors
    ess = figures.get("sampler/bulk_ess", 0.0)
    if config.stop_at_error and "error/mean" in errors:
        error = float(errors["error/mean"])
        # one moment may be near the truth by luck: the mean must be known so well, too
        known_to = 1 / math.sqrt(ess) if ess > 0 else math.inf
        if max(error, known_to) <= config.stop_at_error:
            return (
                f"The running mean is within {error:.2g} sd of the truth; "
                f"{config.stop_at_error:g} was asked."
            )
    mixed = figures.get("sampler/r_hat", 1.0) <= R_HAT_MIXED
    if config.stop_at_ess and mixed and ess >= config.stop_at_ess:
        return f"Worth {ess:,.0f} independent draws; {config.stop_at_ess:,.0f} asked."
    return ""
