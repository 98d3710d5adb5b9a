"""The quality of a sampler's draws, where held-out events tell more than the known truth."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, Enumeration
from backend.energies.state_shares import l1_of_draws
from backend.events import Event, Scalar
from backend.methods.sampling import Sampling
from backend.metric_names import NUM_SAMPLES
from backend.metrics.event_histograms import histogram_distances
from backend.metrics.quality import Quality
from backend.observe.context import MEASURE, Context
from backend.observe.draw_statistics import DrawStatistics
from backend.observe.observer import Evaluation, Observer
from backend.randomness import generator_of


class DrawQualityObserver(Observer):
    """`quality/*/train_time` and their floors, and histograms of whole numbers; where all states
    can be listed `quality/l1` too, of the shares of all draws so far."""

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
        method, subject = Sampling.of(self.subject.method), self.subject
        if method.warming_up:
            return
        if (quality := self._quality) is not None:
            # the final draws are those of `measure`: the chains stand where they stood
            generator = generator_of(
                "look", subject.seed, context.step, MEASURE, device=subject.device
            )
            z = method.train_time_samples(quality.num, generator)
            for name, value in quality.of(z).items():
                yield Scalar(f"quality/{name}/train_time", value)
        shares = self._statistics.shares
        if (law := self._law) is not None and shares is not None and self._statistics.num_points:
            yield Scalar("quality/l1", shares.l1(law))

    def evaluate(self, context: Context) -> Evaluation:
        """And of whole numbers histograms of events, and of states where they can be listed."""
        evaluation = super().evaluate(context)
        method, data = Sampling.of(self.subject.method), self.subject.data
        known = data.density or data.target
        if method.config.energy_of or not isinstance(known, DiscreteEnergy):
            return evaluation
        if method.warming_up or method.kernel.temperature != 1:
            return evaluation
        generator, num = context.own_generator("draws"), context.quality.num
        drawn = self._draws(num, generator)
        figures = {
            **evaluation.figures,
            NUM_SAMPLES: num,
            **histogram_distances(data, drawn, partial(_log_target, known)),
        }
        if (law := self._law) is not None:
            figures["quality/l1/train_time"] = l1_of_draws(law, drawn)
            figures["quality/l1/floor"] = l1_of_draws(law, law.draw(num, generator))
        return Evaluation(figures, evaluation.events)

    @property
    def _statistics(self) -> DrawStatistics:
        return Sampling.of(self.subject.method).statistics

    @property
    def _law(self) -> Enumeration | None:
        """None at other temperatures too."""
        at_one = Sampling.of(self.subject.method).kernel.temperature == 1
        return self._statistics.law if at_one else None

    def _draws(self, num: int, generator: torch.Generator) -> Tensor:
        """Of all draws that chains had where every state is counted, else of where they stand."""
        shares = self._statistics.shares
        if shares is not None and self._statistics.num_points:
            return shares.draw(num, generator)
        return Sampling.of(self.subject.method).train_time_samples(num, generator)


def _log_target(energy: DiscreteEnergy, x: Tensor) -> Tensor:
    return -energy(x.reshape(-1, *energy.event_shape))
