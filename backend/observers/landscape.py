"""The energy of 2-D positions over the plane, beside that of the data."""

from __future__ import annotations

from collections.abc import Iterable

from backend.energy import Energy
from backend.events import Event
from backend.observe import pictures
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer


class LandscapeObserver(Observer):
    """`landscape/model` and `landscape/truth`, in the user's units."""

    id = "landscape"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._drawn_temperature: float | None = None

    def begin(self, context: Context) -> Iterable[Event]:
        data, trains = self.subject.data, self.subject.method.trains
        known = data.density if trains else data.density or data.target
        if known is not None:
            yield from self._landscape("landscape/truth", known, 1.0)
        if not trains:
            yield from self.watch(context)

    def watch(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        temperature = subject.temperature
        is_new = subject.method.trains or temperature != self._drawn_temperature
        if not context.has_energy or not is_new:
            return
        self._drawn_temperature = temperature
        energy = subject.data.in_units(context.energy)
        yield from self._landscape("landscape/model", energy, temperature)

    def _landscape(self, path: str, energy: Energy, temperature: float) -> Iterable[Event]:
        grid, points = self.subject.grid, self.subject.grid_points
        if grid is not None and points is not None:
            yield pictures.landscape(path, energy, grid, points, temperature)
