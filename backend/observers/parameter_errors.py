"""The errors of parameters that mean something by themselves, where the truth is known."""

from __future__ import annotations

from collections.abc import Iterable

from backend.energies import NetworkEnergy
from backend.events import Event, Scalar
from backend.observe.context import Context
from backend.observe.observer import Observer


class ParameterErrorsObserver(Observer):
    """`parameter/*`, of energies that say them."""

    id = "parameter_errors"
    needs_energy = True

    def measure(self, context: Context) -> Iterable[Event]:
        if isinstance(context.energy, NetworkEnergy):
            for path, value in context.energy.errors(self.subject.data).items():
                yield Scalar(path, float(value))
