"""The quality of a sampler's draws, where held-out events tell more than the known truth."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.methods.sampling import Sampling
from backend.metric_names import NUM_SAMPLES
from backend.metrics.quality import Quality
from backend.observe.context import MEASURE, Context
from backend.observe.observer import Observer
from backend.randomness import generator_of


class DrawQualityObserver(Observer):
    """`quality/*/train_time` and their floors."""

    id = "draw_quality"

    @property
    def _quality(self) -> Quality | None:
        """None where held-out events are no draws of the distribution that is sampled, or where
        something better is known of it: known moments tell more, and cost nothing."""
        subject, method = self.subject, Sampling.of(self.subject.method)
        if (truth := method.truth) is not None:
            compares = truth.comparable and truth.mean is None
        else:
            compares = not method.config.energy_of and len(subject.data.held_out) > 1
        return subject.quality if compares else None

    def begin(self, context: Context) -> Iterable[Event]:
        if self._quality is not None:
            yield Scalar(NUM_SAMPLES, self._quality.num)
            for name, value in self.subject.floors.items():
                yield Scalar(f"quality/{name}/floor", value)

    def measure(self, context: Context) -> Iterable[Event]:
        if (quality := self._quality) is None or Sampling.of(self.subject.method).warming_up:
            return
        subject = self.subject
        # the final draws are those of `measure`: the chains stand where they stood
        generator = generator_of("look", subject.seed, context.step, MEASURE, device=subject.device)
        z = Sampling.of(subject.method).train_time_samples(quality.num, generator)
        for name, value in quality.of(z).items():
            yield Scalar(f"quality/{name}/train_time", value)
