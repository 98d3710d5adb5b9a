"""Data of more than two coordinates in the plane of their two longest principal axes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from torch import Tensor

from backend.events import Event
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.observe.principal_axes import PrincipalAxes


class PrincipalAxesObserver(Observer):
    """`principal/data`, `/train_time`, `/long_run`, and a slice of the energy, `/energy`."""

    id = "principal_axes"

    @cached_property
    def axes(self) -> PrincipalAxes | None:
        """The plane, found once a run."""
        return PrincipalAxes.of(self.subject.data)

    def begin(self, context: Context) -> Iterable[Event]:
        if self.axes is not None:
            yield from self._points("data", self.subject.data.train, context)

    def measure(self, context: Context) -> Iterable[Event]:
        if self.axes is None:
            return
        for role, z in self.positions(context).items():
            yield from self._points(role, z, context)
        if context.has_energy:
            subject = self.subject
            sizes, data = subject.sizes, subject.data
            size = sizes.image_slice if data.is_image else sizes.slice
            yield self.axes.slice(
                "principal/energy", context.energy, data, size, subject.temperature
            )

    def positions(self, context: Context) -> dict[str, Tensor]:
        """Standardised samples by role."""
        return context.samples

    def _points(self, role: str, z: Tensor, context: Context) -> Iterable[Event]:
        assert self.axes is not None
        num = self.subject.sizes.num_dots
        z, labels = z[:num], self.subject.data.labels
        if role == "data":
            classes = None if labels is None else labels[:num]
            yield self.axes.points(f"principal/{role}", z, role, labels=classes)
        else:
            yield self.axes.points(f"principal/{role}", z, role, context.energies(z))
