"""The estimate of the normaliser that training keeps, against quadrature."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.metrics import cubature
from backend.metrics.log_z_grid import ESTIMATE
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
        if context.is_final:  # every step says the estimate itself
            yield Scalar(ESTIMATE, float(estimate))
        if cubature.fits(subject.data):
            exact = context.log_likelihood.log_z
            yield Scalar("log_z/exact", exact)
            yield Scalar("log_z/error", abs(float(estimate) - exact))
