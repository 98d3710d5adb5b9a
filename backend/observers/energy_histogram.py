"""The energies of data, chains and noise, on one axis."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event
from backend.metrics.density import energies
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer


class EnergyHistogramObserver(Observer):
    """`energy/histogram`."""

    id = "energy_histogram"
    needs_energy = True

    def watch(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        data, num, energy = subject.data, subject.sizes.num_energies, context.energy
        chains, role = context.walk
        sets = {"data": energies(energy, data.held_out[:num]), role: chains.state.energy}
        if subject.long_run is not None:
            sets["long_run"] = energies(energy, subject.long_run[:num])
        sets["noise"] = energies(energy, data.noise(num, context.generator))
        yield pictures.histogram("energy/histogram", sets, subject.sizes.num_bins)
