"""The diagnostics of a sampler as a table with a reading of each, and as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backend.events import Event
from backend.methods.sampling import Sampling
from backend.observe import chain_pictures, tables
from backend.observe.context import Context
from backend.observe.draw_reading import FEWEST_DRAWS, OPEN, Reading, reading, warming_up
from backend.observe.observer import Observer


class DrawDiagnosticsObserver(Observer):
    """`chains/diagnostics`, and the pictures of `chain_pictures`."""

    id = "draw_diagnostics"

    def measure(self, context: Context) -> Iterable[Event]:
        method = Sampling.of(self.subject.method)
        yield from _pictures(method)
        figures = context.figures
        if not method.warming_up:
            errors = {path: float(value) for path, value in method.statistics.errors.items()}
            figures = errors | figures
        verdict = verdict_of(method, figures, ended=context.is_final)
        if context.is_final and method.warming_up:
            method.done = method.done or _as_sentence(verdict)
        yield tables.sampler_diagnostics(method.kernel, figures, method.truth, verdict)


def _pictures(method: Sampling) -> Iterable[Event]:
    """Pictures of the draws that count, of samplers whose chains are chains."""
    statistics, kernel = method.statistics, method.kernel
    if method.warming_up or kernel.population or kernel.anneals:
        return
    if statistics.hamiltonians is not None:
        yield from chain_pictures.of_hamiltonians(statistics.hamiltonians.latest)
    if statistics.draws.draws:
        draws = statistics.draws.stacked()
        yield from chain_pictures.of_draws(
            draws,
            statistics.draws.every * method.num_steps,
            first=method.config.num_warm_up,
            share=method.config.num_chains / len(draws),
        )


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
