"""The quality of samples against held-out data, beside what fresh real data would have."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.metric_names import NUM_SAMPLES
from backend.metrics.quality import CLASS_GAUSSIAN
from backend.observe.context import Context
from backend.observe.observer import Observer


class QualityObserver(Observer):
    """`quality/*/train_time` and `/long_run`; their floors and, of images with a classifier, the
    figures of one Gaussian a class."""

    id = "quality"

    def begin(self, context: Context) -> Iterable[Event]:
        yield Scalar(NUM_SAMPLES, self.subject.quality.num)
        for name, value in self.subject.floors.items():
            yield Scalar(f"quality/{name}/floor", value)
        baselines = self.subject.quality.baselines(context.own_generator(CLASS_GAUSSIAN))
        for name, value in baselines.items():
            yield Scalar(f"quality/{name}/{CLASS_GAUSSIAN}", value)

    def measure(self, context: Context) -> Iterable[Event]:
        for role, z in context.samples.items():
            for name, value in context.quality.of(z).items():
                yield Scalar(f"quality/{name}/{role}", value)
