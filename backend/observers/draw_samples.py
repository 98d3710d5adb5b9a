"""The draws of a sampler as points or images: where its chains stand, and those that count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from backend.events import Event
from backend.methods.sampling import Sampling
from backend.observe import pictures
from backend.observe.context import EVALUATE, Context
from backend.observe.observer import Evaluation, Observer
from backend.randomness import generator_of


class DrawSamplesObserver(Observer):
    """`samples/train_time` and, after the warm-up, `samples/long_run`."""

    id = "draw_samples"

    def measure(self, context: Context) -> Iterable[Event]:
        subject, method = self.subject, Sampling.of(self.subject.method)
        state = method.state
        if not subject.data.is_image:
            yield from subject.cloud(
                "samples/train_time", state.position, "train_time", state.energy
            )
        if not method.warming_up:
            # a stream of its own, the same at the end
            generator = generator_of(
                "look", subject.seed, context.step, EVALUATE, device=subject.device
            )
            z = method.train_time_samples(subject.sizes.num_dots, generator)
            yield from subject.cloud("samples/long_run", z, "long_run")

    def evaluate(self, context: Context) -> Evaluation:
        method = Sampling.of(self.subject.method)
        if method.warming_up:  # no draws
            return super().evaluate(context)
        state = method.state
        arrays = {
            "train_time": pictures.in_units(self.subject.data.restore(state.position)),
            "train_time_energy": pictures.float32(state.energy),
        }
        return replace(super().evaluate(context), arrays=arrays)
