"""The energies of a sampler's chains beside those of the data."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from torch import Tensor

from backend.events import Event
from backend.methods.sampling import Sampling
from backend.metrics.density import energies
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer


class DrawEnergiesObserver(Observer):
    """`energy/histogram`, of an energy that stays as it is."""

    id = "draw_energies"

    @cached_property
    def _of_data(self) -> Tensor:
        num = self.subject.sizes.num_energies
        target = Sampling.of(self.subject.method).target
        return energies(target, self.subject.data.held_out[:num])

    def watch(self, context: Context) -> Iterable[Event]:
        state, sizes = Sampling.of(self.subject.method).state, self.subject.sizes
        sets = {"data": self._of_data, "train_time": state.energy[: sizes.num_energies]}
        yield pictures.histogram("energy/histogram", sets, sizes.num_bins)
