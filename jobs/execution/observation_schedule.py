"""Observation schedule: when a run is observed, within a share of its time, without changing it."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backend.errors import Diverged
from backend.events import Event, Text
from backend.method import Method
from backend.observe.observation import Observation
from jobs.execution.cadence import Cadence
from jobs.execution.outcome import sentence
from jobs.system.interruption import Interruption

_FIRST_REST = 5.0
"""Longest rest after a first observation, in times of its cadence."""


@dataclass
class Tier:
    """Cadence tier of an observer, and when it is next due."""

    name: str
    look: Callable[[int], list[Event]]
    every_seconds: float
    every_steps: int | None
    share: float
    """of the run's time this may take"""
    next_time: float = 0.0
    next_step: int = 0
    num_looks: int = 0
    last_cost: float = 0.0
    """seconds of the latest one"""

    def is_due(self, step: int, now: float) -> bool:
        """Return True once it is time, by the clock or by steps; `now` is monotonic."""
        return now >= self.next_time or (self.every_steps is not None and step >= self.next_step)

    def observed(self, step: int, cost: float) -> None:
        """Stretch the cadence so that observations as dear as this one stay within the share.

        The first pays for much that later ones do not, so the second follows it soon.
        """
        self.last_cost = cost
        rest = cost * (1.0 / self.share - 1.0)
        self.num_looks += 1
        if self.num_looks == 1:
            rest = min(rest, _FIRST_REST * self.every_seconds)
        self.next_time = time.monotonic() + max(self.every_seconds, rest)
        self.next_step = step + (self.every_steps or 0)


class ObservationSchedule:
    """Schedule of an observer's tiers; `seconds` is the time they took so far.

    An observation that fails is reported once, as an alarm, and not tried again: training goes on.
    One that nobody waits for any more is left off: whatever looks raises LeftOff.
    """

    def __init__(
        self, method: Method, observer: Observation | None, tiers: list[Tier], seconds: float = 0.0
    ) -> None:
        self.method, self.observer, self.tiers = method, observer, tiers
        self.seconds = seconds
        self.interruption = Interruption()
        self.trace = ""
        """traceback of the last observation that failed"""
        self.judged_before: float | None = None
        """seconds that the final figures of runs like this took"""

    @classmethod
    def of(
        cls, method: Method, observer: Observation | None, cadence: Cadence, seconds: float
    ) -> ObservationSchedule:
        """Schedule an observer by a cadence; `seconds` were spent on observing before."""
        if observer is None:
            return cls(method, None, [], seconds)
        watch_share, measure_share = cadence.shares(method.trains)
        watch = Tier(
            "watch", observer.watch, cadence.watch_seconds, cadence.watch_steps, watch_share
        )
        measure = Tier(
            "measure",
            observer.measure,
            cadence.measure_seconds,
            cadence.measure_steps,
            measure_share,
            next_time=time.monotonic() + cadence.measure_seconds,
        )
        return cls(method, observer, [watch, measure], seconds)

    @property
    def judging_seconds(self) -> float:
        """Seconds that the final figures will take, about: as those of runs like this did, else by
        the latest measurement; 0 while nothing is known."""
        if self.observer is None:
            return 0.0
        if self.judged_before is not None:
            return self.judged_before
        measures = [tier.last_cost for tier in self.tiers if tier.name == "measure"]
        return self.observer.judging_ratio * max(measures, default=0.0)

    def is_due(self, step: int, now: float) -> bool:
        """Return True when any tier is due; `now` is monotonic."""
        return any(tier.is_due(step, now) for tier in self.tiers)

    def begin(self) -> list[Event]:
        """Return the events that come once, before the first step."""
        return [] if self.observer is None else self.once("begin", self.observer.begin)

    def observe(self, step: int) -> Iterator[Event]:
        """Observe with the tiers that are due, one after the other; yields their events."""
        for tier in list(self.tiers):
            if tier.is_due(step, time.monotonic()):
                before, failed = self.seconds, self.trace
                yield from self.once(tier.name, functools.partial(tier.look, step))
                tier.observed(step, self.seconds - before)
                if self.trace is not failed:
                    self.tiers.remove(tier)

    def once(self, name: str, look: Callable[[], list[Event]]) -> list[Event]:
        """Observe once; returns the events, or the alarm of a failure."""
        try:
            return self.timed(look)
        except Diverged:
            raise
        except Exception as error:
            self.trace = traceback.format_exc()
            message = f"Looking at the run failed in `{name}`. Training goes on. {sentence(error)}"
            return [Text(f"alarm/observation/{name}", message, "alarm")]

    def timed(self, look: Callable[[], Any]) -> Any:
        """Call `look` and return its result; its time is counted and training is left as it was."""
        start = time.perf_counter()
        try:
            with undisturbed(self.method), self.interruption:
                return look()
        finally:
            self.seconds += time.perf_counter() - start


@contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Set modules to evaluation mode, and put back afterwards everything that observing could
    move."""
    modules = [part for module in method.modules() for part in module.modules()]
    modes = [module.training for module in modules]
    gradients = method.gradient_evaluations
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        method.gradient_evaluations = gradients
