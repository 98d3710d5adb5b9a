"""Samples as points or images; the final ones go into a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from backend.events import Event
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Evaluation, Observer


class SamplesObserver(Observer):
    """`samples/train_time` and `samples/long_run`."""

    id = "samples"

    def measure(self, context: Context) -> Iterable[Event]:
        for role, z in context.samples.items():
            # images of the chains that training walks are watched
            if not (self.subject.data.is_image and context.has_energy and role == "train_time"):
                yield from self.subject.cloud(f"samples/{role}", z, role, context.energies(z))

    def evaluate(self, context: Context) -> Evaluation:
        data = self.subject.data
        arrays = {role: pictures.in_units(data.restore(z)) for role, z in context.samples.items()}
        if context.has_energy:
            arrays["long_run_energy"] = pictures.float32(context.long_run.state.energy)
        return replace(super().evaluate(context), arrays=arrays)
