"""The events, alarms and final figures that a method has of its own."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Scalar
from backend.observe.alarms import Alarms
from backend.observe.context import Context, Subject
from backend.observe.observer import Evaluation, Observer


class OwnEventsObserver(Observer):
    """Everything that `Method.findings`, `observe` and `final_figures` say."""

    id = "own_events"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._alarms = Alarms(is_short=subject.is_short)

    def measure(self, context: Context) -> Iterable[Event]:
        method = self.subject.method
        findings = list(method.findings(context.generator))
        yield from self._alarms.say(
            findings, final=context.is_final, share_spent=context.share_spent
        )
        yield from method.observe(context.generator)

    def evaluate(self, context: Context) -> Evaluation:
        events = list(self.measure(context))
        observed = {event.path: event.value for event in events if isinstance(event, Scalar)}
        own = self.subject.method.final_figures(context.quality, context.generator)
        return Evaluation({**observed, **own}, events)
