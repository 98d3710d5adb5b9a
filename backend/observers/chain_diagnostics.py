"""Train-time chains as they last walked, beside the long-run chains: a table, and pictures."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event
from backend.observe import chain_pictures, tables
from backend.observe.chains import figures_of
from backend.observe.context import Context
from backend.observe.observer import Observer


class ChainDiagnosticsObserver(Observer):
    """`chains/diagnostics`, and the pictures of `chain_pictures` of the long-run chains."""

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
        chains = context.long_run
        yield from chain_pictures.of_draws(
            figures_of(chains), chains.keep_every, first=chains.num_steps - chains.keep_last
        )
