"""Training: steps a method until its budget is used, and flushes, observes and saves between.

Only steps count on the stopwatch; observing and checkpoints do not. Scalars stay on the device
until a flush copies a block of them to the host, where the guard reads it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backend.config import turn_in_words
from backend.errors import BadInput
from backend.events import Cost, Frame
from backend.method import Method
from jobs.execution.cadence import Cadence
from jobs.execution.checkpointer import Checkpointer
from jobs.execution.device_scalars import ScalarBlock, cost_of_row
from jobs.execution.divergence_guard import breach, radius_bound
from jobs.execution.emitter import CannotWrite
from jobs.execution.heartbeat import Heartbeat
from jobs.execution.observation_schedule import ObservationSchedule
from jobs.execution.outcome import EndRequested
from jobs.execution.process_team import Team
from jobs.execution.reporter import Reporter
from jobs.models.method_setup import Prepared
from jobs.records.progress import LOOKING, TRAINING
from jobs.records.requests import Turn, TurnRequest
from jobs.records.run_directory import RunDirectory
from jobs.system.interruption import LeftOff
from jobs.system.joule_meter import Stopwatch
from jobs.system.readings import SystemReadings

TURNED = "run/changed"
_NEARLY_ONE = float(np.nextafter(1.0, 0.0))


class Training:
    """Training of one method within one attempt, from the step of `cost` on."""

    def __init__(
        self,
        directory: RunDirectory,
        prepared: Prepared,
        cost: Cost,
        *,
        cadence: Cadence,
        team: Team,
        stopwatch: Stopwatch,
        checkpointer: Checkpointer,
        observation: ObservationSchedule,
        reporter: Reporter,
        heartbeat: Heartbeat,
        readings: SystemReadings,
    ) -> None:
        self.directory, self.prepared, self.cadence = directory, prepared, cadence
        self.spec, self.method = prepared.spec, prepared.method
        self.team, self.stopwatch, self.checkpointer = team, stopwatch, checkpointer
        self.observation, self.reporter, self.heartbeat = observation, reporter, heartbeat
        self.turner = SettingsTurner(directory, self.method, team)
        self.emitter, self.progress = reporter.emitter, heartbeat.progress
        self.readings = readings
        self.cost = cost
        """at the end of the last flush"""
        self.step = cost.step
        self.judge_seconds = 0.0
        """of the final figures"""
        self._block = ScalarBlock(cadence.flush_rows, prepared.device)
        self._radius_bound = radius_bound(prepared.data.train)
        self._first_gradients = 0
        """∇E evaluations at the first row of the block"""
        self._next_flush = 0.0
        if self.spec.processes == 1:  # a team steps in common, and has no clock in common
            self.method.gradient_limit = self.spec.budget.gradients
            self.method.is_over = self._is_over

    def run(self) -> None:
        """Step until the budget is used or the method is done.

        Raises EndRequested, Diverged, CannotWrite.
        """
        with self._left_off_for_an_end():
            first_events = self.observation.begin()
        if self.step == 0:  # the log of a resumed run has them
            self.reporter.emit(first_events, self.cost)
        self._observe()
        started = time.monotonic()
        self._next_flush = started + self.cadence.flush_every(self.method.trains)
        self.checkpointer.start()
        self.stopwatch.start()
        self.progress.doing = TRAINING
        while (fraction := self._fraction()) < 1.0 and not self.method.done:
            if self.heartbeat.request:
                raise EndRequested(self.heartbeat.request)
            if self.heartbeat.is_asked_to_turn or self.turner.is_due(self.step):
                self._turn()
            self._step(min(fraction, _NEARLY_ONE))
            now = time.monotonic()
            observes = self.observation.is_due(self.step, now)
            keeps = self.heartbeat.is_asked_to_keep and self.directory.asks_to_keep()
            saves = keeps or self.checkpointer.is_due(now)
            if observes or saves or now >= self._next_flush or self._block.is_full:
                self.flush()
            if observes or saves:
                self.stopwatch.stop()
                if observes:
                    self._observe()
                if saves:
                    self.save(time.monotonic() - started)
                if keeps:
                    self._keep()
                self.stopwatch.start()

    def end(self) -> None:
        """Flush, stop the stopwatch and save a checkpoint. Raises Diverged, CannotWrite."""
        self.flush()
        self.stopwatch.stop()
        self.save()

    def flush(self) -> None:
        """Copy the block to the host, check it and hand it to the emitter.

        Raises Diverged, CannotWrite.
        """
        self._next_flush = time.monotonic() + self.cadence.flush_every(self.method.trains)
        if self._block.count:
            self._emit_block()
        self.emitter.check()
        self.heartbeat.check()
        self.heartbeat.judging_seconds = self.observation.judging_seconds
        self.heartbeat.set_fields(**self.facts())

    def save(self, elapsed: float = math.inf) -> None:
        """Save a checkpoint of the present step, after a flush. Raises CannotWrite.

        The record is written first: a resumed run does not go through the steps before it again.
        """
        self.emitter.flush()
        self.checkpointer.save(self.cost, self.observation.seconds, elapsed)
        self.heartbeat.set_fields(**self.facts())

    def facts(self) -> dict[str, Any]:
        """Return the fields of the status that follow the training."""
        return {
            "step": self.step,
            "fraction": min(self.spec.budget.fraction_used(self.cost), 1.0),
            "gradients": self.cost.gradients,
            "seconds": self.cost.seconds,
            "joules": self.cost.joules,
            "joules_source": self.stopwatch.source,
            "joules_of": self.stopwatch.of,
            "observe_seconds": self.observation.seconds,
            "judge_seconds": self.judge_seconds,
            "checkpoint_step": self.checkpointer.step,
            **self.reporter.summary(),
            "alarms": self.emitter.alarms.listed(),
            "budget": self.spec.budget.model_dump(exclude_none=True),
            "device": str(self.prepared.device),
        }

    def _step(self, progress: float) -> None:
        self._block.add(self.team.step(self.method, progress))
        self.step += 1
        self.progress.step = self.step
        if self._block.count == 1:
            self._first_gradients = self.method.gradient_evaluations

    def _fraction(self) -> float:
        return self.spec.budget.fraction_used(self._cost_now())

    def _is_over(self) -> bool:
        return self._fraction() >= 1.0

    def _cost_now(self) -> Cost:
        """Cost of the present moment; joules are those of the last flush."""
        gradients = self.method.gradient_evaluations
        return Cost(self.step, gradients, self.stopwatch.seconds, self.cost.joules)

    def _turn(self) -> None:
        """Take the settings that are due, and report them. Raises CannotWrite."""
        self.flush()  # the turn stands behind all that was done without it
        try:
            for message, level in self.turner.turn(self.step):
                self.emitter.text(TURNED, message, self.cost, level)
        except OSError as error:
            raise CannotWrite.of(error) from error

    def _keep(self) -> None:
        """Keep the checkpoint of the present step for good, as was asked. Raises CannotWrite."""
        try:
            self.directory.keep_checkpoint(self.step)
            self.directory.drop_keep_request()
        except OSError as error:
            raise CannotWrite.of(error) from error

    def _observe(self) -> None:
        self.method.spent, self.method.share_spent = self.cost, min(self._fraction(), 1.0)
        with self.progress.during(LOOKING), self._left_off_for_an_end():
            self.reporter.emit(self.observation.observe(self.step), self.cost)
        if self.observation.trace:
            self.directory.write_trace(self.observation.trace)
            self.observation.trace = ""

    @contextmanager
    def _left_off_for_an_end(self) -> Iterator[None]:
        """Raise EndRequested in place of LeftOff."""
        try:
            yield
        except LeftOff as error:
            raise EndRequested(self.heartbeat.request or "stop") from error

    def _emit_block(self) -> None:
        values = self._block.take()
        end = self._cost_now()._replace(joules=self.stopwatch.joules)
        breached = breach(self._block.paths, values, self.method.trains, self._radius_bound)
        rows = len(values) if breached is None else breached.row + 1
        first, last = (
            cost_of_row(row, len(values), self.cost, self._first_gradients, end)
            for row in (1, rows)
        )
        self.reporter.emit_rows(self._block.paths, values[:rows], first, last)
        self.cost, self.step = last, last.step
        if breached is not None:
            raise breached.error(last.step)
        if readings := self.readings.due():
            row = np.array([list(readings.values())], np.float32)
            self.emitter.scalars(list(readings), row, last, last)


class SettingsTurner:
    """Settings turned in one run.

    A turn is in the record before the step that it is for. A run that goes on from an earlier
    checkpoint meets those after it again at their steps, so that it comes to the same numbers.
    """

    def __init__(self, directory: RunDirectory, method: Method, team: Team) -> None:
        self.directory, self.method, self.team = directory, method, team
        recorded = directory.turns()
        self.taken = recorded[: method.num_turns]
        """turns that the method's state holds"""
        self.ahead = deque(recorded[method.num_turns :])
        """turns of the record that this attempt has not come to"""
        before = _reported(directory) if self.ahead or directory.asks_to_turn() else []
        self._reported = {(frame.header["last"][0], _message(frame)) for frame in before}
        self._refused = {_message(frame): frame.header["time"] for frame in before}
        """when sentences were last written, by earlier attempts"""

    def is_due(self, step: int) -> bool:
        """Return True where the record has a turn for this step."""
        return bool(self.ahead) and self.ahead[0].step <= step

    def turn(self, step: int) -> Iterator[tuple[str, str]]:
        """Take what the record has for this step, then what is asked for: sentences and levels.

        Raises OSError.
        """
        while self.is_due(step):
            turn = self.ahead.popleft()
            self.team.turn(self.method, {name: new for name, (_, new) in turn.fields.items()})
            self.taken.append(turn)
            message = turn_in_words(turn.fields, turn.by)
            if (turn.step, message) not in self._reported:
                yield message, "info"
        recorded = {turn.request for turn in (*self.taken, *self.ahead)}
        for request in self.directory.turn_requests():
            if request.settings and request.name not in recorded:
                message, level = self._take(request, step)
                if level == "info" or self._refused.get(message, -math.inf) < request.when:
                    yield message, level
            self.directory.drop_turn_request(request.name)

    def _take(self, request: TurnRequest, step: int) -> tuple[str, str]:
        """Take the settings of one request, and write them down before anything is done by them."""
        try:
            fields = self.team.turn(self.method, request.settings)
        except BadInput as error:
            return f"Not changed. {error}", "warning"
        self.taken.append(Turn(step, dict(fields), request.by, time.time(), request.name))
        # the latest word on a field holds: an earlier one further on does not take it back
        self.ahead = deque(left for turn in self.ahead if (left := _without(turn, set(fields))))
        self.directory.write_turns([*self.taken, *self.ahead])
        return turn_in_words(fields, request.by), "info"


def _reported(directory: RunDirectory) -> list[Frame]:
    """Collect the sentences about turns that the log has."""
    return [frame for frame in directory.texts() if frame.header["path"] == TURNED]


def _message(frame: Frame) -> str:
    return str(frame.header["meta"]["message"])


def _without(turn: Turn, names: set[str]) -> Turn | None:
    """Leave fields out of a turn; None where nothing is left of it."""
    fields = {name: pair for name, pair in turn.fields.items() if name not in names}
    return turn._replace(fields=fields) if fields else None
