"""Progress: signs of life that a beating heart does not give.

The loop says what it does and which step it has reached; the heartbeat looks, and knows when there
has been no sign for longer than this run's own pace explains.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SETTING_UP, TRAINING, LOOKING, SAVING = "setting up", "training", "looking", "saving a checkpoint"
FIGURES, QUESTIONS, CLOSING = "judging the samples", "answering questions", "closing"
AFTER_TRAINING = frozenset({FIGURES, QUESTIONS})
"""What comes once training is done; a run that is asked to end leaves it off, and goes on to it."""
BESIDE_STEPS = frozenset({SETTING_UP, FIGURES, QUESTIONS, CLOSING})
"""Activities that are named in place of a time left."""
LEAST_SECONDS = 30.0
"""Steps missing for less than this are never worth an alarm."""
STEPS = 20
"""Steps' worth of silence that is."""
ELSEWHERE_SECONDS = 300.0
"""The same before the first step and outside training, where there is no pace to go by; and how
long writing one checkpoint may take before it no longer counts as a sign of life."""
_SLOW_STEPS = 3.0


class Progress:
    """Current activity of the loop. Written by the loop, read by the heartbeat alone."""

    def __init__(self) -> None:
        self.step = 0
        self.doing = SETTING_UP
        self.num_answers = 0
        self.sign = time.time()
        """unix seconds of the last sign of life"""
        self._seen = (self.step, self.doing, self.num_answers)
        self._since = time.monotonic()
        self._steps, self._seconds = 0, 0.0

    @contextlib.contextmanager
    def during(self, doing: str) -> Iterator[None]:
        """Name the activity of a `with` block, and afterwards the one before."""
        before, self.doing = self.doing, doing
        try:
            yield
        finally:
            self.doing = before

    def look(self, now: float) -> None:
        """Note what has moved; `now` is monotonic."""
        state = (self.step, self.doing, self.num_answers)
        if state != self._seen:
            if self.doing == self._seen[1] == TRAINING:
                self._steps += self.step - self._seen[0]
                self._seconds += now - self._since
            self._seen, self._since = state, now
            self.sign = time.time()
        elif self._is_at_work(now):
            self.sign = time.time()

    def quiet(self, now: float) -> float:
        """Return the seconds without a sign."""
        return now - self._since

    @property
    def pace(self) -> float | None:
        """Seconds a step, None before there are any."""
        return self._seconds / self._steps if self._steps else None

    @property
    def patience(self) -> float:
        """Seconds without a sign after which a person should know."""
        if self.doing != TRAINING or self.pace is None:
            return ELSEWHERE_SECONDS
        return max(LEAST_SECONDS, STEPS * self.pace)

    def _is_at_work(self, now: float) -> bool:
        """Return True when nothing has moved and nothing could have."""
        if self.doing == SAVING:
            return self.quiet(now) < ELSEWHERE_SECONDS
        return self.doing == TRAINING and self.quiet(now) < _SLOW_STEPS * (self.pace or 0.0)
