"""Long chains on the energy: how they move and whether they mix."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.observe.context import Context
from backend.observe.observer import Observer


class LongRunObserver(Observer):
    """`sampler/*/long_run`."""

    id = "long_run"
    needs_energy = True

    def measure(self, context: Context) -> Iterable[Event]:
        chains, health = context.long_run, context.health
        figures = {
            "acceptance_rate": chains.acceptance_rate,
            "gradient_to_noise": chains.gradient_to_noise,
            "radius": chains.radius,
            "r_hat": health.r_hat,
            "bulk_ess": health.bulk_ess,
        }
        for name, value in figures.items():
            yield Scalar(f"sampler/{name}/long_run", value)
