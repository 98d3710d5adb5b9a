"""Estimates of the normaliser against the exact one: that which training keeps, and annealing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.metrics import cubature
from backend.metrics.log_z_grid import ESTIMATE
from backend.observe.context import Context
from backend.observe.observer import Observer


class NormaliserObserver(Observer):
    """`log_z/*`, of methods that keep an estimate, and of energies of whole numbers."""

    id = "normaliser"
    needs_energy = True

    def measure(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        if subject.data.num_values is not None:
            if not subject.no_likelihood:
                yield from self._of_values(context)
            return
        estimate = subject.method.log_z()
        if estimate is None:
            return
        if context.is_final:  # every step says the estimate itself
            yield Scalar(ESTIMATE, float(estimate))
        if cubature.fits(subject.data):
            exact = context.log_likelihood.log_z
            yield Scalar("log_z/exact", exact)
            yield Scalar("log_z/error", abs(float(estimate) - exact))

    def _of_values(self, context: Context) -> Iterable[Event]:
        """Annealing both ways; where the law is known exactly, forward beside it."""
        known = context.normalised
        yield Scalar(ESTIMATE, known.annealed.forward)
        if known.way == "annealing":
            if not math.isnan(known.annealed.reverse):
                yield Scalar("log_z/reverse", known.annealed.reverse)
                yield Scalar("log_z/apart", abs(known.annealed.reverse - known.annealed.forward))
            return
        yield Scalar("log_z/exact", known.points.log_z)
        yield Scalar("log_z/error", abs(known.annealed.forward - known.points.log_z))
