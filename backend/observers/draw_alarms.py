"""Alarms about the chains of a sampler."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event
from backend.methods.sampling import Sampling
from backend.observe import alarms
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer


class DrawAlarmsObserver(Observer):
    """`alarm/*`."""

    id = "draw_alarms"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._alarms = alarms.Alarms(is_short=subject.is_short)

    def measure(self, context: Context) -> Iterable[Event]:
        data, method = self.subject.data, Sampling.of(self.subject.method)
        position, modes = method.state.position, method.statistics.modes
        findings = []
        if data.num_values is None:
            findings += alarms.runaway(position, self.subject.data_radius)
        if method.warming_up:
            return self._alarms.say(
                findings, final=context.is_final, share_spent=context.share_spent
            )
        if modes is not None and bool(position.isfinite().all()):
            shares = method.truth.mode_weights if method.truth is not None else None
            findings += alarms.missed_modes(data.restore(position), modes, shares)
        if (r_hat := context.figures.get("sampler/r_hat")) is not None:
            findings += alarms.unmixed(r_hat, "their worst coordinate")
        return self._alarms.say(findings, final=context.is_final, share_spent=context.share_spent)
