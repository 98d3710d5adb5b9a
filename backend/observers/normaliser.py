"""The estimate of the normaliser that training keeps, against the sum over a grid."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.metrics.log_z_grid import ESTIMATE, log_z_figures
from backend.observe.context import Context
from backend.observe.observer import Observer


class NormaliserObserver(Observer):
    """`log_z/*`, of methods that keep an estimate."""

    id = "normaliser"
    needs_energy = True

    def measure(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        estimate = subject.method.log_z()
        if estimate is None:
            return
        figures = log_z_figures(estimate, context.energy, subject.data, subject.sizes.normaliser)
        for path, value in figures.items():
            if path != ESTIMATE or context.is_final:  # every step says the estimate itself
                yield Scalar(path, value)
