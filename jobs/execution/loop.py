"""The loop: seeds, steps, watches, guards, checkpoints and resumes every method, the same for all.

A run costs what its training costs; looking and checkpoints are outside the stopwatch. Scalars
stay on the device until a flush copies a block of them to the host, where the guard reads it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from backend.errors import BadInput, BasinError, Diverged
from backend.events import Cost
from backend.method import Method
from backend.observe.observation import Observation
from backend.spec import RunSpec
from jobs.execution import outcome, process_team
from jobs.execution.alarms import Alarms
from jobs.execution.cadence import Cadence, fraction_used
from jobs.execution.cost_meter import Counter, Stopwatch, joule_counter
from jobs.execution.device_scalars import ScalarBlock
from jobs.execution.divergence_guard import breach
from jobs.execution.emitter import CannotWrite, Emitter, Publisher
from jobs.execution.heartbeat import Heartbeat
from jobs.execution.interruption import LeftOff
from jobs.execution.observation_schedule import Looking, Tier
from jobs.execution.outcome import EndRequested, Outcome
from jobs.execution.reporter import Reporter
from jobs.models import answering, fingerprints, method_state
from jobs.models.method_setup import LoadEnergy, Prepared, check_checkpoint, find_device, prepare
from jobs.records import attempts
from jobs.records.progress import CLOSING, FIGURES, LOOKING, QUESTIONS, SAVING, TRAINING
from jobs.records.run_directory import RunDirectory
from jobs.records.scalar_table import RESUMED
from jobs.records.status import RESUMABLE, Status
from jobs.system import atomic_files

Observe = Callable[[Prepared], Observation | None]
CHANGED, CHECKPOINT = "run/changed", "run/checkpoint"
ASIDE_SECONDS = 60.0
"""Files half written that are older are of killed processes."""
MADE_OF = "run/made_of"
LAST_WORD_SECONDS = 20.0
"""How long a run that has ended tries to say so on a disk that is full."""
_log = logging.getLogger(__name__)
_NEARLY_ONE = float(np.nextafter(1.0, 0.0))


def observe_all(prepared: Prepared) -> Observation:
    """A run as the observers that its method names see it."""
    return Observation(prepared.method, prepared.data, prepared.spec.seed)


def run(
    directory: RunDirectory,
    *,
    load_energy: LoadEnergy | None = None,
    publisher: Publisher | None = None,
    observe: Observe = observe_all,
    cadence: Cadence | None = None,
) -> Status:
    """Run or resume what a directory's spec says, to its end; returns how it ended.

    Whatever goes wrong in the run is in the status. Raises Held when another process trains it,
    OSError when not even the status can be written. One that is trained elsewhere by now is left
    as it is.
    """
    with attempts.begin(directory):
        try:
            return _Loop(directory, load_energy, publisher, observe, cadence or Cadence()).run()
        except attempts.Superseded as error:
            _log.warning("stopped without a word more: %s", error.strerror)
            return directory.written_status()


class _Loop:
    """One attempt at a run."""

    prepared: Prepared
    method: Method
    spec: RunSpec
    block: ScalarBlock
    counter: Counter | None
    stopwatch: Stopwatch
    emitter: Emitter
    reporter: Reporter
    looking: Looking

    def __init__(
        self,
        directory: RunDirectory,
        load_energy: LoadEnergy | None,
        publisher: Publisher | None,
        observe: Observe,
        cadence: Cadence,
    ) -> None:
        self.directory, self.load_energy, self.publisher = directory, load_energy, publisher
        self.observe, self.cadence = observe, cadence
        self.alarms = Alarms()
        self.beat = Heartbeat(directory, publisher, self.alarms)
        self.progress = self.beat.progress
        self.team: process_team.Team = process_team.Alone()
        self.step = 0
        self.last = Cost()
        """at the end of the last flush"""
        self.saved: int | None = None
        """step of the newest checkpoint"""
        self.passed_over = ""
        """a sentence about a checkpoint that could not be read"""
        self.first_gradients = 0
        """∇E evaluations at the first row of the block"""
        self.next_flush = self.next_checkpoint = 0.0

    # ------------------------------------------------------------------ from start to end

    def run(self) -> Status:
        earlier = self._announce()
        self.beat.start()
        try:
            ended = self._attempt(earlier)
        finally:
            self.team.end()
            self.beat.stop()
        status = self._say_how_it_ended(ended)
        if ended.status not in RESUMABLE:
            self._compact()  # after the last word: nothing that goes wrong here takes it back
        return status

    def _say_how_it_ended(self, ended: Outcome) -> Status:
        """Write the last word; on a full disk it waits for room. Raises OSError."""
        deadline = time.monotonic() + LAST_WORD_SECONDS
        while True:
            try:
                self.directory.clear_request()
                return self.directory.write_status(
                    status=ended.status,
                    reason=ended.reason,
                    problem=ended.problem,
                    ended=time.time(),
                    seconds_left=None,
                    doing="",
                    **self._facts(),
                )
            except (FileNotFoundError, attempts.Superseded):
                raise  # the run's directory was removed, or is another attempt's
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _compact(self) -> None:
        """Tidy the record up; where that fails everything can still be read as it lies."""
        try:
            self.directory.compact()
        except Exception:
            _log.exception("%s: not compacted; `basin reindex` does it later", self.directory.id)

    def _announce(self) -> int:
        """Say that the run is on; returns the number of earlier attempts."""
        before = self.directory.written_status()
        atomic_files.sweep_asides(self.directory.path, ASIDE_SECONDS)
        self.saved = before.checkpoint_step
        assert self.directory.attempt is not None, "a run is trained within its attempt"
        self.directory.write_status(
            **self.directory.attempt.facts(),
            worker=os.environ.get("BASIN_WORKER") or before.worker,
            started=before.started or time.time(),
            ended=None,
            reason="",
            problem=None,
            alarms=[],
        )
        return before.attempt

    def _attempt(self, earlier: int) -> Outcome:
        try:
            if self.beat.request:
                return outcome.ended_before(self.beat.request)
            self._set_up()
            if not earlier:
                answering.check_questions(self.prepared)
            self._resume(earlier)
        except Exception as error:
            self._close_publisher()
            if not isinstance(error, BasinError):
                with contextlib.suppress(OSError):
                    self.directory.write_trace(traceback.format_exc())
            return outcome.failed_before(error)
        try:
            ended = self._outcome()
            self.progress.doing = CLOSING
            self.emitter.text("run/ended", ended.reason or "Finished.", self.last, ended.level)
        except (CannotWrite, OSError) as error:
            ended = outcome.failed(error, self.last.step, self.saved)
        try:
            self.emitter.close()
        except (CannotWrite, OSError) as error:
            ended = outcome.failed(error, self.last.step, self.saved)
        if ended.status in RESUMABLE:
            self._compact()  # before the last word: whoever resumes it finds nobody at work
        return ended

    def _outcome(self) -> Outcome:
        """Train, and turn whatever ends it into words. Raises CannotWrite."""
        try:
            try:
                return self._trained()
            except (Diverged, CannotWrite):
                raise
            except Exception as error:
                self.directory.write_trace(traceback.format_exc())
                self._flush()  # what led up to it; if the run had run away, that is the cause
                return outcome.failed(error, self.step, self.saved)
        except Diverged as error:
            return outcome.diverged(error, self.saved)

    def _trained(self) -> Outcome:
        """Train to the end of the budget, or until somebody asks for an end."""
        try:
            self._train()
        except EndRequested as error:
            self._flush()
            self.stopwatch.stop()
            self._checkpoint()
            return outcome.ended_by(error.request, self.step, self.beat.redis_was_away)
        left = self._finish()
        return outcome.finished(self.method.done, left)

    def _close_publisher(self) -> None:
        if self.publisher is not None:
            self.publisher.close()

    # ------------------------------------------------------------------ set-up and resume

    def _set_up(self) -> None:
        spec = self.directory.spec()
        device = find_device(spec.device)
        self.team = process_team.team_of(self.directory, spec, device)
        before = fingerprints.read(self.directory) if self.directory.checkpoints() else {}
        fingerprints.check(before)
        self.prepared = prepare(
            spec, device, self.load_energy, standardised=before.get("standardised")
        )
        self.made_of = fingerprints.of(self.prepared)
        self.warnings = fingerprints.warnings(before, self.made_of)
        self.spec, self.method = self.prepared.spec, self.prepared.method
        self.counter = joule_counter(*process_team.devices_of(device, spec.processes))
        if self.spec.budget.joules and self.counter is None:
            raise BadInput.at(
                "budget.joules", "nothing measures joules here. Give steps, gradients or seconds."
            )
        self.stopwatch = Stopwatch(self.counter, joules=0.0)
        self.last = Cost(joules=self.stopwatch.joules)
        self.block = ScalarBlock(self.cadence.flush_rows, device)
        self.directory.write_spec(self.spec)
        fingerprints.write(self.directory, self.made_of)

    def _resume(self, earlier: int) -> None:
        """Take up the newest checkpoint, if any, and open the log and the eyes."""
        reached, observed = 0, 0.0
        if earlier:
            reached = self._last_logged_step()
            if self.directory.checkpoints():
                observed = self._load()
            self.directory.compact()
            self.directory.void_after(self.step)
        self.team.begin(self.prepared, self.step)
        self.saved = self.step or None
        self.emitter = Emitter(self.directory, self.publisher, alarms=self.alarms)
        self.beat.emitter = self.emitter
        if earlier:
            again = max(reached - self.step, 0)
            message = f"Resumed from step {self.step:,}; {again:,} steps recomputed."
            self.emitter.text(RESUMED, message, self.last)
        if self.passed_over:
            self.emitter.remark(CHECKPOINT, self.passed_over, self.last)
        if self.warnings:
            self.emitter.remark(MADE_OF, " ".join(self.warnings), self.last, "warning")
        self.reporter = Reporter(self.emitter, self.method.headline)
        self.looking = self._eyes(observed)

    def _last_logged_step(self) -> int:
        return max((int(s.step[-1]) for s in self.directory.scalars().values()), default=0)

    def _load(self) -> float:
        """Restore the newest checkpoint; returns the seconds spent on looking before it.

        Raises BadInput for another method's checkpoint, NotAvailable for one that does not fit.
        """
        found = self.directory.load_checkpoint()
        if (newest := self.directory.checkpoints()[-1]) != found.step:
            self.passed_over = (
                f"The checkpoint of step {newest:,} cannot be read; the run goes on from that of "
                f"step {found.step:,}."
            )
        check_checkpoint(found.meta, self.spec.method)
        method_state.restore(self.method, found.tensors, found.meta["state"], self.prepared.device)
        self.last = Cost(*found.meta["cost"])
        self.step = self.last.step
        self.stopwatch = Stopwatch(self.counter, self.last.seconds, self.last.joules)
        return float(found.meta["observe_seconds"])

    def _eyes(self, observed: float) -> Looking:
        observer = self.observe(self.prepared)
        if observer is None:
            return Looking(self.method, None, [], observed)
        cadence, now = self.cadence, time.monotonic()
        watch_share, measure_share = cadence.shares(self.method.trains)
        watch = Tier(
            "watch", observer.watch, cadence.watch_seconds, cadence.watch_steps, watch_share
        )
        measure = Tier(
            "measure",
            observer.measure,
            cadence.measure_seconds,
            cadence.measure_steps,
            measure_share,
            next_time=now + cadence.measure_seconds,
        )
        return Looking(self.method, observer, [watch, measure], observed)

    # ------------------------------------------------------------------ training

    def _train(self) -> None:
        """Step until the budget is used. Raises EndRequested, Diverged, CannotWrite."""
        begun = self.looking.begin()
        if self.step == 0:  # a resumed run has said it before
            self.reporter.emit(begun, self.last)
        self._look()
        budget, cadence = self.spec.budget, self.cadence
        started = time.monotonic()
        self.next_flush = started + cadence.flush_every(self.method.trains)
        self.next_checkpoint = started + cadence.first_checkpoint
        self.stopwatch.start()
        self.progress.doing = TRAINING
        while (fraction := fraction_used(budget, self._cost_now())) < 1.0 and not self.method.done:
            if self.beat.request:
                raise EndRequested(self.beat.request)
            if self.beat.changes:
                self._change()
            self.block.add(self.team.step(self.method, min(fraction, _NEARLY_ONE)))
            self.step += 1
            self.progress.step = self.step
            if self.block.count == 1:
                self.first_gradients = self.method.gradient_evaluations
            now = time.monotonic()
            looks, saves = self.looking.is_due(self.step, now), now >= self.next_checkpoint
            if looks or saves or now >= self.next_flush or self.block.is_full:
                self._flush()
            if looks or saves:
                self.stopwatch.stop()
                if looks:
                    self._look()
                if saves:
                    self._checkpoint(time.monotonic() - started)
                self.stopwatch.start()

    def _change(self) -> None:
        """Hand what was asked to the method, and say what came of it. Raises CannotWrite."""
        self._flush()  # the change stands behind all that was done without it
        for settings in self.beat.take_changes():
            try:
                message, level = self.team.change(self.method, settings), "info"
            except BadInput as error:
                message, level = f"Not changed. {error}", "warning"
            self.emitter.text(CHANGED, message, self.last, level)

    def _cost_now(self) -> Cost:
        """The cost of the present moment; joules are those of the last flush."""
        gradients = self.method.gradient_evaluations
        return Cost(self.step, gradients, self.stopwatch.seconds, self.last.joules)

    def _flush(self) -> None:
        """Copy the block to the host, look it over and hand it to the emitter.

        Raises Diverged, CannotWrite.
        """
        self.next_flush = time.monotonic() + self.cadence.flush_every(self.method.trains)
        if self.block.count:
            values = self.block.take()
            end = self._cost_now()._replace(joules=self.stopwatch.joules)
            found = breach(self.block.paths, values, self.method.trains)
            rows = len(values) if found is None else found.row + 1
            first = self._cost_of_row(1, len(values), end)
            last = self._cost_of_row(rows, len(values), end)
            self.reporter.emit_rows(self.block.paths, values[:rows], first, last)
            self.last, self.step = last, last.step
            if found is not None:
                raise found.error(last.step)
        self.emitter.check()
        self.beat.check()
        self.beat.set_fields(**self._facts())

    def _cost_of_row(self, row: int, num_rows: int, end: Cost) -> Cost:
        """The cost after row 1, 2, ... of a block, the rows evenly spread in time."""
        if row == num_rows:
            return end
        before, share = self.last, row / num_rows
        joules = None
        if before.joules is not None and end.joules is not None:
            joules = before.joules + share * (end.joules - before.joules)
        gradients = end.gradients - self.first_gradients
        along = (row - 1) / (num_rows - 1)
        return Cost(
            before.step + row,
            self.first_gradients + round(along * gradients),
            before.seconds + share * (end.seconds - before.seconds),
            joules,
        )

    def _checkpoint(self, elapsed: float = math.inf) -> None:
        """Write a checkpoint of the present step. Only after a flush, when the guard has seen all.

        Raises CannotWrite.
        """
        start = time.monotonic()
        if self.saved != self.step:
            with self.progress.during(SAVING):
                self._save()
        now, cadence = time.monotonic(), self.cadence
        rest = min(max(elapsed, cadence.first_checkpoint), cadence.checkpoint_seconds)
        self.next_checkpoint = now + max(rest, (now - start) / cadence.checkpoint_share)
        self.beat.set_fields(**self._facts())

    def _save(self) -> None:
        tensors, tree = method_state.collect(self.method)
        meta = {
            "method": self.spec.method,
            "config": self.prepared.config.model_dump(mode="json"),
            "cost": list(self.last),
            "observe_seconds": self.looking.seconds,
            "made_of": self.made_of,
            "state": tree,
        }
        try:
            self.directory.save_checkpoint(self.step, tensors, meta)
            self.directory.write_status(checkpoint_step=self.step)
            self.directory.sync()
        except OSError as error:
            raise CannotWrite.of(error) from error
        self.saved = self.step

    def _finish(self) -> list[str]:
        """The last checkpoint, the last look, the final figures and the answers.

        Training is done: who asks for an end now is told what of it was left off. Returns that.
        """
        self._flush()
        self.stopwatch.stop()
        self._checkpoint()
        self.method.spent = self.last
        left = ["the final figures", *(f"`{q.name}`" for q in self.spec.questions)]
        with contextlib.suppress(LeftOff), self.beat.interruption:
            with self.progress.during(FIGURES):
                figures = {} if self.beat.request else self._take_figures()
            if not self.beat.request:
                left.pop(0)
                with self.progress.during(QUESTIONS):
                    self._answer(figures, left)
        return left

    def _take_figures(self) -> dict[str, float]:
        """The last look and the final figures. Raises CannotWrite."""
        figures: dict[str, float] = {}
        if (observer := self.looking.observer) is not None:
            seen = self.looking.once("watch", lambda: observer.watch(self.step))
            self.reporter.emit(seen, self.last)
            figures, events, samples = self.looking.timed(lambda: observer.evaluate(self.step))
            self.reporter.emit(events, self.last)
            self.reporter.record(figures, figures.values())
            self.directory.write_metrics(figures)
            self.directory.save_samples("final", samples)
        return figures

    def _answer(self, figures: dict[str, float], left: list[str]) -> None:
        """Ask the finished run the questions of its spec, each taken off `left` when it is
        answered. Raises CannotWrite."""
        answers = answering.answer_questions(self.prepared)
        while not self.beat.request:
            found = self.looking.timed(lambda: next(answers, None))
            if found is None:
                return
            self.reporter.emit(found.events, self.last)
            figures |= found.figures
            self.directory.write_metrics(figures)
            if found.arrays:
                self.directory.save_samples(f"answers-{found.question.name}", found.arrays)
            left.remove(f"`{found.question.name}`")
            self.progress.num_answers += 1

    # ------------------------------------------------------------------ looking and the status

    def _look(self) -> None:
        self.method.spent = self.last
        with self.progress.during(LOOKING):
            self.reporter.emit(self.looking.look(self.step), self.last)
        if self.looking.trace:
            self.directory.write_trace(self.looking.trace)
            self.looking.trace = ""

    def _facts(self) -> dict[str, Any]:
        """Fields of the status that follow the run."""
        if not hasattr(self, "looking"):
            return {}
        return {
            "step": self.step,
            "fraction": min(fraction_used(self.spec.budget, self.last), 1.0),
            "gradients": self.last.gradients,
            "seconds": self.last.seconds,
            "joules": self.last.joules,
            "joules_source": self.stopwatch.source,
            "observe_seconds": self.looking.seconds,
            "checkpoint_step": self.saved,
            "headline": self.reporter.headline(),
            "alarms": self.alarms.listed(),
            "budget": self.spec.budget.model_dump(exclude_none=True),
            "device": str(self.prepared.device),
        }
