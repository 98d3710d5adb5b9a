"""Train-time chains as they last walked, beside the long-run chains, as a table."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event
from backend.observe import tables
from backend.observe.context import Context
from backend.observe.observer import Observer


class ChainDiagnosticsObserver(Observer):
    """`chains/diagnostics`."""

    id = "chain_diagnostics"
    needs_energy = True

    def measure(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        yield tables.diagnostics(
            subject.walk,
            context.long_run,
            context.health,
            context.figures,
            subject.floors,
            exact=subject.sampler.exact,
            data_radius=subject.data_radius,
        )
