"""The diagnostics of a sampler as a table with a reading of each, and its autocorrelation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from backend.events import Curve, Event
from backend.methods.sampling import Sampling
from backend.metrics.convergence import autocorrelation
from backend.observe import pictures, tables
from backend.observe.context import Context
from backend.observe.draw_reading import FEWEST_DRAWS, OPEN, Reading, reading, warming_up
from backend.observe.observer import Observer

MOST_LAGS = 64


class DrawDiagnosticsObserver(Observer):
    """`chains/autocorrelation` and `chains/diagnostics`."""

    id = "draw_diagnostics"

    def measure(self, context: Context) -> Iterable[Event]:
        method = Sampling.of(self.subject.method)
        draws = method.statistics.draws
        if len(draws.draws) >= FEWEST_DRAWS:
            rho = autocorrelation(draws.stacked()[:, :, 0].cpu())[:MOST_LAGS]
            lags = torch.arange(len(rho)) * float(draws.every * method.num_steps)
            yield Curve(
                "chains/autocorrelation",
                pictures.float32(lags),
                pictures.float32(rho)[None],
                ["energy"],
            )
        figures = context.figures
        if not method.warming_up:
            errors = {path: float(value) for path, value in method.statistics.errors.items()}
            figures = errors | figures
        verdict = verdict_of(method, figures, ended=context.is_final)
        if context.is_final and method.warming_up:
            method.done = method.done or _as_sentence(verdict)
        yield tables.sampler_diagnostics(method.kernel, figures, method.truth, verdict)


def verdict_of(method: Sampling, figures: Mapping[str, float], ended: bool) -> Reading:
    """The reading of a run's draws by its figures; `ended` once its budget is used."""
    if method.warm_up is not None:
        return warming_up(*method.warm_up, ended)
    num = len(method.statistics.draws.draws)
    unknown = f"{num} draws of a chain, {FEWEST_DRAWS} are needed"
    if method.kernel.population:
        unknown = "its chains act on one another, which leaves no R-hat"
    elif method.kernel.anneals:
        unknown = "its passes leave no R-hat, and the truth no floor"
    return reading(figures, unknown)


def _as_sentence(verdict: Reading) -> str:
    words = verdict.words.removeprefix(f"{OPEN}: ")
    return f"{words[0].upper()}{words[1:]}; none of its draws count."
