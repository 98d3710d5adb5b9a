"""The distance of the energy from a known density, on a grid."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from backend.events import Event, Scalar
from backend.metrics.quality import GridTruth
from backend.observe.context import Context
from backend.observe.observer import Observer

GRID_KL_GOAL = 0.05


class GroundTruthObserver(Observer):
    """`quality/grid_kl`, where the density is known and a plain grid holds it."""

    id = "ground_truth"
    needs_energy = True

    @cached_property
    def _full(self) -> GridTruth | None:
        return GridTruth.of(self.subject.data)

    @cached_property
    def _coarse(self) -> GridTruth | None:
        # Cheap enough to watch; on densities as smooth as these a grid of cells below one
        # standard deviation is exact to many digits.
        return GridTruth.of(self.subject.data, self.subject.sizes.coarse)

    def begin(self, context: Context) -> Iterable[Event]:
        if self._full is not None:
            yield Scalar("quality/grid_kl/goal", GRID_KL_GOAL)

    def watch(self, context: Context) -> Iterable[Event]:
        return self._divergence(self._coarse, context)

    def measure(self, context: Context) -> Iterable[Event]:
        return self._divergence(self._full, context)

    def _divergence(self, truth: GridTruth | None, context: Context) -> Iterable[Event]:
        if truth is not None:
            yield Scalar("quality/grid_kl", truth.kl(context.energy, self.subject.temperature))
