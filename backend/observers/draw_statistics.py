"""The effective sample size of a sampler's draws so far, and what each cost."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.methods.sampling import Sampling
from backend.metrics.convergence import bulk_ess, r_hat, tail_ess
from backend.observe.context import Context
from backend.observe.draw_reading import FEWEST_DRAWS
from backend.observe.observer import Observer


class DrawStatisticsObserver(Observer):
    """`sampler/r_hat`, `/bulk_ess`, `/tail_ess`, `/ess_per_*`, `/autocorrelation_time`,
    `/e_bfmi`."""

    id = "draw_statistics"

    def measure(self, context: Context) -> Iterable[Event]:
        method = Sampling.of(self.subject.method)
        figures = health(method)
        figures |= _rates(method, figures.get("bulk_ess"))
        for name, value in figures.items():
            yield Scalar(f"sampler/{name}", value)


def health(method: Sampling) -> dict[str, float]:
    """R-hat, effective sample sizes of all chains together, E-BFMI, by name.

    Left out is what cannot be known yet, or has no meaning for this sampler; not a number where
    draws are none, or where no chain moves.
    """
    statistics = method.statistics
    figures: dict[str, float] = {}
    if method.warming_up:
        return figures
    if statistics.hamiltonians is not None:
        figures["e_bfmi"] = float(statistics.hamiltonians.figure())
    if method.kernel.anneals:
        effective = float(statistics.moments.effective)
        return {"bulk_ess": effective} if effective else {}
    if method.kernel.population or len(statistics.draws.draws) < FEWEST_DRAWS:
        return {}
    draws = statistics.draws.stacked().double().cpu()
    still = draws.flatten(0, 1).std(0) == 0
    draws = draws if still.all() else draws[:, :, ~still]
    share = method.config.num_chains / draws.shape[0]
    bulk = float(bulk_ess(draws).min())
    figures["r_hat"] = float(r_hat(draws).max())
    figures["bulk_ess"] = bulk * share
    figures["tail_ess"] = float(tail_ess(draws).min()) * share
    between = statistics.draws.every * method.num_steps
    figures["autocorrelation_time"] = draws.shape[0] * draws.shape[1] * between / bulk
    return figures


def _rates(method: Sampling, ess: float | None) -> dict[str, float]:
    """Effective sample size over each cost of the run so far, its warm-up included."""
    spent = method.spent
    if ess is None:
        return {}
    figures = {}
    if spent.gradients:
        a_chain = spent.gradients * method.config.num_chains
        figures["ess_per_kilogradient"] = 1000 * ess / a_chain
    if spent.seconds > 0:
        figures["ess_per_second"] = ess / spent.seconds
    if spent.joules:
        figures["ess_per_joule"] = ess / spent.joules
    return figures
