"""Loop: one attempt at a run, the same for every method: set up, resume, train, finish, report.

A run costs what its training costs; observing and checkpoints are outside the stopwatch.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import traceback
from collections.abc import Callable
from statistics import median
from typing import Any

from backend.config import turnable
from backend.errors import BadInput, BasinError, Diverged
from backend.events import Cost
from backend.observe.alarms import SHORT
from backend.observe.observation import Observation
from jobs.execution import finishing, outcome, process_team
from jobs.execution.alarms import Alarms
from jobs.execution.cadence import Cadence
from jobs.execution.checkpointer import Checkpointer
from jobs.execution.emitter import CannotWrite, Emitter, Publisher
from jobs.execution.heartbeat import Heartbeat
from jobs.execution.observation_schedule import ObservationSchedule
from jobs.execution.outcome import EndRequested, Outcome
from jobs.execution.reporter import Reporter
from jobs.execution.training import Training
from jobs.models import answering, fingerprints, forks
from jobs.models.method_setup import LoadEnergy, Prepared, find_device, prepare, use_products
from jobs.record_files.scalar_table import RESUMED
from jobs.records import attempts, run_store
from jobs.records.progress import CLOSING
from jobs.records.run_directory import RunDirectory
from jobs.records.status import RESUMABLE, Status
from jobs.records.summary import settings_of
from jobs.system import atomic_files
from jobs.system.interruption import LeftOff
from jobs.system.joule_meter import ESTIMATE, Meter, Stopwatch, meter, nvml_handles
from jobs.system.readings import SystemReadings

Observe = Callable[[Prepared], Observation | None]
CHECKPOINT, MADE_OF = "run/checkpoint", "run/made_of"
ASIDE_SECONDS = 60.0
"""Files half written that are older are of killed processes."""
LIKE_RUNS = 5
"""Runs of the same work that the time of judging is taken from."""
SEARCHED_RUNS = 200
"""Newest runs among which they are looked for."""
LAST_WORD_SECONDS = 20.0
"""Seconds a run that has ended tries to say so on a disk that is full."""
_log = logging.getLogger(__name__)


def observe_all(prepared: Prepared) -> Observation:
    """Build the observation of a run by the observers that its method names."""
    preset = type(prepared.method).presets.get(prepared.spec.preset)
    share = math.inf if preset is None else prepared.spec.budget.share_of(preset.budget)
    is_short = share < SHORT
    return Observation(prepared.method, prepared.data, prepared.spec.seed, is_short=is_short)


def run(
    directory: RunDirectory,
    *,
    load_energy: LoadEnergy | None = None,
    publisher: Publisher | None = None,
    observe: Observe = observe_all,
    cadence: Cadence | None = None,
) -> Status:
    """Run or resume the spec of a directory, to its end; returns how it ended.

    Whatever goes wrong in the run is in the status. Raises Held when another process trains it,
    OSError when not even the status can be written. One that is trained elsewhere by now is left
    as it is.
    """
    with attempts.begin(directory):
        try:
            return _Attempt(directory, load_energy, publisher, observe, cadence or Cadence()).run()
        except attempts.Superseded as error:
            _log.warning("stopped without a word more: %s", error.strerror)
            return directory.written_status()


class _Attempt:
    """One attempt at a run."""

    emitter: Emitter
    meter: Meter | None
    fingerprints: dict[str, Any]
    warnings: list[str]
    """about changes since the last attempt"""

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
        self.team: process_team.Team = process_team.Alone()
        self.training: Training | None = None
        """once it is set up and resumed"""

    # ------------------------------------------------------------------ from start to end

    def run(self) -> Status:
        before = self._announce()
        self.beat.start()
        try:
            ended = self._attempt(before)
        finally:
            self.team.end()
            self.beat.stop()
        status = self._write_end(ended)
        if ended.status not in RESUMABLE:
            self._compact()  # after the last word: nothing that goes wrong here takes it back
        return status

    def _announce(self) -> Status:
        """Write that the run is on; returns what it was before."""
        before = self.directory.written_status()
        atomic_files.sweep_asides(self.directory.path, ASIDE_SECONDS)
        assert self.directory.attempt is not None, "a run is trained within its attempt"
        self.directory.write_status(
            **self.directory.attempt.facts(),
            worker=os.environ.get("BASIN_WORKER") or before.worker,
            started=before.started or time.time(),
            ended=None,
            reason="",
            interrupted=False,
            problem=None,
            alarms=[],
        )
        return before

    def _attempt(self, before: Status) -> Outcome:
        try:
            if self.beat.request:
                return outcome.ended_before(self.beat.request)
            prepared = self._prepare()
            if not before.attempt:
                answering.check_questions(prepared)
            training = self.training = self._resume(prepared, before)
        except LeftOff:
            self._close_publisher()
            return outcome.ended_before(self.beat.request or "stop")
        except Exception as error:
            self._close_publisher()
            if not isinstance(error, BasinError):
                with contextlib.suppress(OSError):
                    self.directory.write_trace(traceback.format_exc())
            return outcome.failed_before(error)
        try:
            ended = self._outcome(training)
            training.progress.doing = CLOSING
            message = ended.reason or "Finished."
            self.emitter.text("run/ended", message, training.cost, ended.level)
        except (CannotWrite, OSError) as error:
            ended = outcome.failed(error, training.cost.step, training.checkpointer.step)
        try:
            self.emitter.close()
        except (CannotWrite, OSError) as error:
            ended = outcome.failed(error, training.cost.step, training.checkpointer.step)
        if ended.status in RESUMABLE:
            self._compact()  # before the last word: whoever resumes it finds nobody at work
        return ended

    def _outcome(self, training: Training) -> Outcome:
        """Train, and turn whatever ends it into an outcome. Raises CannotWrite."""
        try:
            try:
                return self._train(training)
            except (Diverged, CannotWrite):
                raise
            except Exception as error:
                self.directory.write_trace(traceback.format_exc())
                training.flush()  # what led up to it; if the run had run away, that is the cause
                return outcome.failed(error, training.step, training.checkpointer.step)
        except Diverged as error:
            return outcome.diverged(error, training.checkpointer.step)

    def _train(self, training: Training) -> Outcome:
        """Train to the end of the budget and finish, or to the end that was requested."""
        try:
            training.run()
        except EndRequested as end:
            training.end()
            return outcome.ended_by(end.request, training.step, self.beat.redis_was_away)
        missing = finishing.finish(training)
        if missing and self.beat.request:  # its last checkpoint is of the last step
            request, was_away = self.beat.request, self.beat.redis_was_away
            return outcome.ended_by(request, training.step, was_away, missing)
        return Outcome("finished", training.method.done)

    def _write_end(self, ended: Outcome) -> Status:
        """Write the last word; on a full disk it waits for room. Raises OSError."""
        deadline = time.monotonic() + LAST_WORD_SECONDS
        while True:
            try:
                self.directory.clear_request()
                return self.directory.write_status(
                    status=ended.status,
                    reason=ended.reason,
                    problem=ended.problem,
                    interrupted=ended.interrupted,
                    ended=time.time(),
                    seconds_left=None,
                    doing="",
                    **(self.training.facts() if self.training else {}),
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

    def _close_publisher(self) -> None:
        if self.publisher is not None:
            self.publisher.close()

    # ------------------------------------------------------------------ set-up and resume

    def _prepare(self) -> Prepared:
        """Set up the method and its data, and write down what they are."""
        spec = self.directory.spec()
        device = find_device(spec.device)
        self.directory.write_status(products=use_products(self.directory))
        self.team = process_team.team_of(self.directory, spec, device)
        before = fingerprints.read(self.directory) if self.directory.checkpoints() else {}
        fingerprints.check(before)
        standardised = before.get("standardised")
        with self.beat.interruption:
            prepared = prepare(spec, device, self.load_energy, standardised=standardised)
        self.fingerprints = fingerprints.of(prepared)
        self.warnings = fingerprints.warnings(before, self.fingerprints)
        self.meter = meter(*process_team.devices_of(device, spec.processes))
        if prepared.spec.budget.joules and self.meter is None:
            raise BadInput.at(
                "budget.joules", "nothing measures joules here. Give steps, gradients or seconds."
            )
        self.directory.write_spec(prepared.spec)
        self.directory.write_settings(prepared.settings, turnable(prepared.config))
        self.directory.write_status(settings=settings_of(prepared.spec, prepared.settings))
        fingerprints.write(self.directory, self.fingerprints)
        return prepared

    def _resume(self, prepared: Prepared, before: Status) -> Training:
        """Restore the newest checkpoint, if any, and open the log."""
        checkpointer = Checkpointer(
            self.directory, prepared, self.fingerprints, self.cadence, self.beat.progress
        )
        cost, observe_seconds = Cost(joules=None if self.meter is None else 0.0), 0.0
        reached = 0
        has_state = bool(self.directory.checkpoints())
        if before.attempt or has_state:  # a fork has its parent's from the beginning
            reached = self._last_logged_step()
            if has_state:
                cost, observe_seconds = checkpointer.restore()
            self.directory.compact()
            self.directory.void_after(cost.step)
        self.team.begin(prepared, cost.step)
        checkpointer.step = cost.step or None
        self.emitter = Emitter(self.directory, self.publisher, alarms=self.alarms)
        self.beat.emitter = self.emitter
        if before.attempt:
            again = max(reached - cost.step, 0)
            how = (
                "Went on by itself, Basin having been stopped," if before.interrupted else "Resumed"
            )
            message = f"{how} from step {cost.step:,}; {again:,} steps recomputed."
            self.emitter.text(RESUMED, message, cost)
        if sentence := forks.unsaid(self.directory, before):
            self.emitter.text(forks.FORKED, sentence, cost)
        observation = ObservationSchedule.of(
            prepared.method, self.observe(prepared), self.cadence, observe_seconds
        )
        observation.interruption = self.beat.interruption
        observation.judged_before = _judged_before(self.directory.written_status())
        if checkpointer.passed_over:
            self.emitter.remark(CHECKPOINT, checkpointer.passed_over, cost)
        if self.warnings:
            self.emitter.remark(MADE_OF, " ".join(self.warnings), cost, "warning")
        return Training(
            self.directory,
            prepared,
            cost,
            cadence=self.cadence,
            team=self.team,
            stopwatch=Stopwatch(
                self.meter, cost.seconds, cost.joules, before.joules_source if cost.step else None
            ),
            checkpointer=checkpointer,
            observation=observation,
            reporter=Reporter(
                self.emitter,
                prepared.method.headline,
                before if before.attempt or before.forked_from else None,
            ),
            heartbeat=self.beat,
            readings=SystemReadings(
                nvml_handles(process_team.devices_of(prepared.device, prepared.spec.processes)),
                # an estimate by load is no reading: the load itself is among them
                None if self.meter is None or self.meter.source == ESTIMATE else self.meter.read,
            ),
        )

    def _last_logged_step(self) -> int:
        return max((int(s.step[-1]) for s in self.directory.scalars().values()), default=0)


def _judged_before(status: Status) -> float | None:
    """Find the median seconds that judging took in the latest runs of the same work a step here."""
    with contextlib.suppress(BasinError, OSError):
        like = [
            run.judge_seconds
            for run in run_store.newest_runs(SEARCHED_RUNS)
            if run.judge_seconds and (run.step_hash, run.host) == (status.step_hash, status.host)
        ]
        if like:
            return median(like[:LIKE_RUNS])
    return None
