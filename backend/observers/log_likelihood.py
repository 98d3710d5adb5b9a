"""The held-out log-likelihood of an energy, beside that of baselines that cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar, Text
from backend.observe import density_alarms, held_out
from backend.observe.alarms import Alarms
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer

NOT_KNOWN = "The held-out log-likelihood is not known."


class LogLikelihoodObserver(Observer):
    """`density/*`, and the alarms that rest on them.

    While training, a density that was once better than one Gaussian is said to be none when it no
    longer is; at the end, every one that is worse.
    """

    id = "log_likelihood"
    needs_energy = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._alarms = Alarms(is_short=subject.is_short)
        self._was_better = False

    def begin(self, context: Context) -> Iterable[Event]:
        if self.subject.method.not_a_density:
            yield Text("density/generator", self.subject.method.not_a_density)

    def measure(self, context: Context) -> Iterable[Event]:
        subject = self.subject
        if reason := subject.no_likelihood:
            if context.is_final:
                yield Text("density/not_known", f"{NOT_KNOWN} {reason}")
            return
        likelihood, beside = context.log_likelihood, subject.beside
        baselines = beside.baselines
        figures = held_out.figures_of(likelihood, baselines)
        findings = [
            *density_alarms.no_density(likelihood, baselines, subject.method.not_a_density),
        ]
        if subject.data.num_values is None:
            findings += density_alarms.leaked(likelihood)
        if not subject.data.is_image and subject.data.num_values is None:  # few chains stand there
            parts = beside.parts
            masses = beside.masses(likelihood.points.positions, likelihood.points.shares)
            if not likelihood.doubt:
                figures["density/cluster_error"] = held_out.total_variation(masses, parts.shares)
            centres = subject.data.restore(parts.centres.reshape(-1, *subject.data.event_shape))
            findings += density_alarms.wrong_masses(masses, parts.shares, centres)
        yield from (Scalar(path, value) for path, value in figures.items())
        better = not density_alarms.is_worse_than_gaussian(likelihood, baselines)
        self._was_better = self._was_better or better
        if density_alarms.is_good(likelihood, baselines) or not (
            context.is_final or self._was_better
        ):
            findings = []
        yield from self._alarms.say(
            findings, final=context.is_final, share_spent=context.share_spent
        )
        if context.is_final and likelihood.doubt:
            yield Text("density/not_known", f"{NOT_KNOWN} {likelihood.doubt}")
