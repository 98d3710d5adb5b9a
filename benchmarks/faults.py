"""Losses when something dies, hangs, fills up or is cut off in the middle of a run.

    python -m benchmarks.faults [--quick] [--json] [--seed S] [--trials N]

A trial is a run that trains while a viewer watches, one fault to one process at a random moment,
and a look at what came of it: whatever the viewer had been shown is in the record, the run's state
is right within 10 s, resumed it ends with the numbers of an undisturbed run, once, and no process
stays behind. The trial of seed S is the same whenever it is asked for: `--seed S --trials 1`.

What needs root (a small disk, a read-only one, a cut network) is left out where that is missing,
and said. The clock that jumps is that of Basin's Python processes, not of Redis. TensorBoard,
Trackio and MLflow are beside it in what can be done to them too: SIGKILL of the process that logs;
they need `make peers`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from backend.events import unpack
from backend.spec import RunSpec
from benchmarks import faults_peers
from benchmarks.faults_acts import CELLS, NUM_QUICK, Cell, Scene
from benchmarks.faults_places import PLACES, enter_namespace, missing
from benchmarks.faults_stage import PATHS, Shown, Stage, differences, spec_of, undisturbed, wait_for
from benchmarks.report import Report
from jobs.queueing import control
from jobs.records.run_directory import RunDirectory
from jobs.records.status import RESUMABLE, Status
from jobs.system.processes import is_alive

RIGHT_SECONDS = 10.0
LOST_SECONDS = 0.2
LONGEST_MINUTES = 28.0
"""No trial starts later than this."""
_LATE = 30.0
"""What is waited for before a state counts as wrong for good, seconds."""


@dataclass
class Trial:
    """Outcome of one fault."""

    seed: int
    cell: Cell
    moment: float
    """share of the run's steps that were done"""
    right_seconds: float = 0.0
    """until the run's state was right"""
    whole_seconds: float = 0.0
    """until page, Redis and workers were all there again"""
    missing_steps: int = 0
    """that had been shown and were not in the record"""
    unwritten_seconds: float | None = None
    """between the newest point in the record and the end of an attempt"""
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    """what the run said of itself, in turn"""
    unequal: int = 0
    ends: int = 1
    strays: int = 0

    def look(self, run: RunDirectory) -> Status:
        """The run's status, noted where it is another one."""
        status = run.status()
        state = f"{status.status} ({status.attempt}) {status.reason}".strip()
        if self.story[-1:] != [state]:
            self.story.append(state)
        return status


@dataclass(frozen=True)
class Plan:
    """Settings that all trials share."""

    spec: RunSpec
    reference: RunDirectory
    seconds_a_step: float


def chosen(seed: int, quick: bool) -> tuple[Cell, float, float]:
    """Read off a seed a cell, a moment (share of the run) and how long the fault lasts."""
    cells = CELLS[:NUM_QUICK] if quick else CELLS
    cell, rng = cells[seed % len(cells)], random.Random(seed)
    return cell, rng.uniform(0.1, 0.8), rng.uniform(*cell.seconds)


def play(plan: Plan, stage: Stage, trial: Trial, seconds: float) -> None:
    """One trial, from a whole Basin to a whole Basin; seconds: how long the fault lasts."""
    cell = trial.cell
    stage.make_whole()
    before = len(stage.processes())
    run, inline = (
        stage.launch_inline(plan.spec)
        if cell.process == "inline run"
        else (stage.launch(plan.spec), None)
    )
    with Shown(stage.address, run.id) as viewer:
        goal = trial.moment * (plan.spec.budget.steps or 0)
        wait_for(lambda: run.status().step >= goal, "the moment of the fault", 180)
        begun, wall = time.monotonic(), time.time()
        with cell.act(Scene(stage, run, inline, seconds)):
            pass
        if seconds:
            begun = time.monotonic()
        _wait_until_right(trial, run, begun)
        if run.status().is_over and run.status().status != "finished":
            trial.missing_steps = len(viewer.missing(run.scalars()))
            if cell.fault == "SIGKILL":
                trial.unwritten_seconds = max(0.0, wall - _newest(run, viewer))
        if not stage.roots():
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not stage.strays(), "its processes ending", RIGHT_SECONDS)
            trial.strays = len(stage.strays())
        stage.make_whole()
        trial.whole_seconds = time.monotonic() - begun
        _finish(trial, run)
        if not viewer.points[PATHS[0]]:
            trial.wrong.append("the viewer was shown nothing")
        trial.missing_steps = max(trial.missing_steps, len(viewer.missing(run.scalars())))
    if inline is not None:
        inline.communicate(timeout=30)
    _look_over(trial, plan, run, stage, before)


def _wait_until_right(trial: Trial, run: RunDirectory, begun: float) -> None:
    """Note how long it took until what the run says of itself was true, and as it must be."""

    def right() -> bool:
        status = trial.look(run)
        on = status.status == "running" and is_alive(status.pid)
        over = status.is_over and (status.status == "finished" or not is_alive(status.pid))
        if trial.cell.ends is None:
            return on or over
        if trial.cell.ends:
            return over and status.status != "finished"
        return on or status.status == "finished"

    try:
        wait_for(right, "the right state", _LATE)
    except TimeoutError:
        status = trial.look(run)
        trial.wrong.append(f"says {status.status} ({status.reason})")
    trial.right_seconds = time.monotonic() - begun


def _newest(run: RunDirectory, viewer: Shown) -> float:
    """Time when the newest point of the record was said, unix seconds."""
    headers = [unpack(frame).header for frame in run.read_log_frames()]
    times = [header["time"] for header in headers if header["kind"] == "scalar"]
    return max([viewer.said, *times])


def _finish(trial: Trial, run: RunDirectory) -> None:
    """Resume what has ended before its time, and wait for the end."""
    attempts = 1
    status = wait_for(lambda: _settled(trial, run), "a state that is written down", 60)
    while status.status != "finished":
        if attempts > 2 or status.status not in RESUMABLE:
            trial.wrong.append(f"ends {status.status}: {status.reason}")
            return
        if trial.cell.ends is False:
            trial.wrong.append(f"ended {status.status}: {status.reason}")
        wait_for(lambda: run.written_status().ended, "the end being written down", _LATE)
        if status.status == "failed" and not run.checkpoints():
            return  # there is nothing to go on from, and Basin says so
        control.resume(run.id)
        attempts += 1
        status = wait_for(lambda: _settled(trial, run), "the end of the resumed run", 120)
    attempts += len(status.went_on)  # by itself, once Basin was there again
    if status.attempt != attempts:
        trial.wrong.append(f"counts {status.attempt} attempts of {attempts}")


def _settled(trial: Trial, run: RunDirectory) -> Status | None:
    status = trial.look(run)
    return status if status.is_over else None


def _look_over(trial: Trial, plan: Plan, run: RunDirectory, stage: Stage, before: int) -> None:
    """Compare with the undisturbed run; count ends, and processes beyond those there were."""
    finished = run.status().status == "finished"
    if finished:
        differing = differences(run, plan.reference)
        trial.unequal = len(differing)
        trial.wrong += [f"differs in {', '.join(differing[:4])}"] if differing else []
    texts = [frame.header for frame in run.texts()]
    ends = sum(
        text["path"] == "run/ended" and text["meta"]["message"] == "Finished." for text in texts
    )
    trial.ends = ends if finished else 1
    if trial.ends != 1:
        trial.wrong.append(f"says {ends} times that it finished")
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: len(stage.processes()) <= before and not stage.strays(), "", 10)
    trial.strays += max(0, len(stage.processes()) - before) + len(stage.strays())
    if trial.strays:
        trial.wrong.append(f"leaves {trial.strays} processes")
    if trial.right_seconds > RIGHT_SECONDS:
        trial.wrong.append(f"is right after {trial.right_seconds:.1f} s")
    if trial.missing_steps:
        trial.wrong.append(f"lost {trial.missing_steps} steps that were shown")


# ---------------------------------------------------------------------- the campaign


def run(seed: int, num_trials: int, quick: bool) -> Report:
    """All trials of a campaign, then the peers."""
    report = Report("faults")
    wanted = [(seed + n, *chosen(seed + n, quick)) for n in range(num_trials)]
    for cell in {cell.name: cell for _, cell, _, _ in wanted}.values():
        if why := missing(cell.stage):
            report.notes.append(f"{cell.name} is left out: {why}")
    wanted = [one for one in wanted if not missing(one[1].stage)]
    order = list(dict.fromkeys(PLACES.values()))
    wanted.sort(key=lambda one: order.index(PLACES[one[1].stage]))
    started = time.monotonic()
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="basin-faults-") as name:
        folder = Path(name)
        plan = _planned(folder / "alone", 4.0 if quick else 6.0)
        for place, group in itertools.groupby(wanted, lambda one: PLACES[one[1].stage]):
            with place(folder / place.__name__) as stage:
                for each, cell, moment, seconds in group:
                    if time.monotonic() - started < 60 * LONGEST_MINUTES:
                        trials.append(Trial(each, cell, moment))
                        _play_and_say(plan, stage, trials[-1], seconds)
    if len(trials) < len(wanted):
        report.notes.append(f"{len(wanted) - len(trials)} trials did not fit in the time")
    _fill(report, plan, trials)
    faults_peers.measure(report, seed, 2 if quick else 10)
    return report


def _planned(folder: Path, seconds: float) -> Plan:
    """A run that trains for some seconds on this machine, alone."""
    timed = undisturbed(spec_of(200), folder / "timed").status()
    seconds_a_step = timed.seconds / timed.step
    spec = spec_of(max(300, round(seconds / seconds_a_step)))
    return Plan(spec, undisturbed(spec, folder / "reference"), seconds_a_step)


def _play_and_say(plan: Plan, stage: Stage, trial: Trial, seconds: float) -> None:
    """A trial, whatever becomes of it, in one line on stderr."""
    began = time.monotonic()
    try:
        play(plan, stage, trial, seconds)
    except Exception as error:  # one trial that cannot go on is a finding; the others go on
        trial.wrong.append(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        print(stage.last_words(), file=sys.stderr)
        stage.end()
    words = "; ".join(trial.wrong) or "right"
    times = f"state {trial.right_seconds:.1f} s, whole {trial.whole_seconds:.1f} s; "
    times += f"{time.monotonic() - began:.0f} s"
    what = f"seed {trial.seed}: {trial.cell.name} at {trial.moment:.0%}"
    print(f"{what}: {words} ({times})", file=sys.stderr, flush=True)
    if trial.wrong:
        print("  it said:", " | ".join(trial.story), file=sys.stderr, flush=True)


def _fill(report: Report, plan: Plan, trials: list[Trial]) -> None:
    for cell in CELLS:
        mine = [trial for trial in trials if trial.cell is cell]
        if not mine:
            continue
        add = functools.partial(report.add, cell.name, "basin")
        add("right state after", "s", [trial.right_seconds for trial in mine])
        add("all there after", "s", [trial.whole_seconds for trial in mine])
        lost = [trial.missing_steps * plan.seconds_a_step for trial in mine]
        add("shown and lost", "s", lost)
        if unwritten := [t.unwritten_seconds for t in mine if t.unwritten_seconds is not None]:
            add("newest point before the end", "s", unwritten)
    report.notes += [
        f"seed {trial.seed}, {cell.name}: {wrong}"
        for cell in CELLS
        for trial in trials
        if trial.cell is cell
        for wrong in trial.wrong
    ]
    if not trials:
        return
    longest = max(trial.missing_steps for trial in trials) * plan.seconds_a_step
    report.claim_at_most("shown to a viewer and lost", longest, LOST_SECONDS, "s")
    slowest = max(trial.right_seconds for trial in trials)
    report.claim_at_most("the run's state is right after", slowest, RIGHT_SECONDS, "s")
    unequal = sum(trial.unequal > 0 for trial in trials)
    report.claim_at_most("runs that end with other numbers", unequal, 0)
    doubled = sum(trial.ends != 1 for trial in trials)
    report.claim_at_most("runs with other than one end", doubled, 0)
    report.claim_at_most("processes left over", sum(trial.strays for trial in trials), 0)
    report.claim_at_most("trials with something wrong", sum(bool(t.wrong) for t in trials), 0)


def main() -> None:
    """Play and print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="the most telling eight, once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; then one up each")
    parser.add_argument("--trials", type=int, help="how many (100; 8 with --quick)")
    arguments = parser.parse_args()
    enter_namespace()
    num_trials = arguments.trials or (NUM_QUICK if arguments.quick else 100)
    report = run(arguments.seed, num_trials, arguments.quick)
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
