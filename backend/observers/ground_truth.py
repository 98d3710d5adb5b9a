"""The distance of the energy from a known density: on a grid, or over all states."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from backend.energies.discrete import Law
from backend.events import Event, Scalar
from backend.metrics.quality import GridTruth
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer
from backend.samplers.discrete_log_z import exact_law, l1_distance

GRID_KL_GOAL = 0.05
WATCHES = 4
"""Watches of the moving picture for each point of the curve: a whole grid is dear."""


class GroundTruthObserver(Observer):
    """`quality/grid_kl`, where the density is known and a plain grid holds it, beside what noise on
    the data costs alone; `quality/l1` of whole numbers, where both laws list all states."""

    id = "ground_truth"
    needs_energy = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._num_watches = 0

    @cached_property
    def _truth(self) -> GridTruth | None:
        """On one grid for every point of the curve and the final figure."""
        return GridTruth.of(self.subject.data)

    @cached_property
    def _true_law(self) -> Law | None:
        data = self.subject.data
        if data.num_values is None or (known := data.density or data.target) is None:
            return None
        return exact_law(known)

    def begin(self, context: Context) -> Iterable[Event]:
        if self._truth is not None:
            yield Scalar("quality/grid_kl/goal", GRID_KL_GOAL)
            method = self.subject.method
            noise_sd = getattr(method.config, method.data_noise_field, 0.0)
            if noise_sd:
                cost = self._truth.cost_of_noise(noise_sd)
                yield Scalar("quality/grid_kl/data_noise", cost)

    def watch(self, context: Context) -> Iterable[Event]:
        self._num_watches += 1
        return self.measure(context) if self._num_watches % WATCHES == 1 else ()

    def measure(self, context: Context) -> Iterable[Event]:
        if self._truth is not None:
            divergence = self._truth.kl(context.energy, self.subject.temperature)
            yield Scalar("quality/grid_kl", divergence)
        if self._true_law is not None:
            distance = l1_distance(context.normalised.law, self._true_law)
            if distance is not None:
                yield Scalar("quality/l1", distance)
