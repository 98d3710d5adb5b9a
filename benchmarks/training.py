"""Speed of a training step: Basin beside plain loops of torch, torchebm and ebmkit.

    python -m benchmarks.training [--quick] [--rounds 9] [--json]

One update of persistent contrastive divergence: 256 points of data, 256 chains of a buffer of
10,000 that go 20 Langevin steps, a network of 3 layers of 64, Adam, averaged weights. All on one
thread, in turn, round after round, by the CPU time of their process. The plain loop is written by
hand for this one network and keeps nothing that Basin keeps: no record, no generators, no state to
resume from. Its claim is that such things cost nothing. The peers come from `.venv-peers`.

Then, in the same way, one update of the small energy of text: two steps down a transformer's
energy, each differentiated again, of 16 windows of 32 characters.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

from backend import catalogue
from backend.method import Task
from backend.randomness import generator_of
from backend.spec import RunSpec
from benchmarks.report import Report
from benchmarks.samplers import PEERS, ROOT, SINGLE
from benchmarks.training_text import TextWork, plain_text_update
from benchmarks.training_work import Work, plain_update

OTHERS = ("torchebm", "ebmkit")
MARGIN = 1.0
"""Basin's step may take so many times the plain loop's time."""
LEAST_SHARE = 0.9
"""Of a plain loop's updates a second, on text, Basin makes at least so many."""

Subject = Callable[[int], float]
"""CPU seconds of one update, from a number of them"""


def basin_method(work: Work) -> Any:
    """The method of the preset `plain_persistent`, which is this work."""
    config = {"num_steps": work.num_steps, "train": {"batch_size": work.batch}}
    spec = RunSpec(
        method="contrastive_divergence",
        preset="plain_persistent",
        data={"name": "ring"},
        config=config,
    )
    return made(spec)


def made(spec: RunSpec) -> Any:
    """The method of a spec, set up on the CPU."""
    resolved = catalogue.resolve(spec)
    task = Task(resolved.dataset.load(), torch.device("cpu"), generator_of("training"))
    return resolved.method(resolved.config, task)


def timed(update: Callable[[], Any]) -> Subject:
    """A subject in this process."""

    def seconds(number: int) -> float:
        began = time.process_time()
        for _ in range(number):
            update()
        return (time.process_time() - began) / number

    return seconds


class Peer:
    """A subject in a process of its own, in the peers' environment."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [str(PEERS), "-m", "benchmarks.training_peers", name],
            cwd=ROOT,
            env=os.environ | SINGLE,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __call__(self, number: int) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(number, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("its process ended")
        return float(answer)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def run(rounds: int, number: int, peers: bool = True) -> Report:
    """The whole benchmark: `rounds` of `number` updates of every subject in turn."""
    report, work = Report("training"), Work()
    torch.manual_seed(0)
    subjects: dict[str, Subject] = {
        "basin": timed(partial(basin_method(work).step, 0.1)),
        "plain torch": timed(plain_update(work)),
    }
    others: dict[str, Peer] = {}
    if peers and PEERS.exists():
        others = {name: Peer(name) for name in OTHERS}
    elif peers:
        report.notes.append("torchebm and ebmkit: not installed; run `make peers`.")
    subjects |= others
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    try:
        for index in range(-1, rounds):  # the first is no round: caches fill
            for name, subject in list(subjects.items()):
                try:
                    seconds = subject(number if index >= 0 else max(1, number // 5))
                except RuntimeError as error:
                    del subjects[name]
                    report.notes.append(f"{name} left out, {error}")
                    continue
                if index >= 0:
                    measured[name].append(1000 * seconds)
    finally:
        for other in others.values():
            other.close()
    case = f"persistent CD, batch {work.batch}"
    report_times(report, case, measured)
    for name in ("plain torch", *OTHERS):
        if measured.get(name):
            ratio = ratio_of(measured["basin"], measured[name])
            report.claim_at_most(f"{case}: Basin's time over that of {name}", ratio, MARGIN)
    return report


def add_text(report: Report, rounds: int, number: int) -> None:
    """Measure `rounds` of `number` updates of the energy of text, Basin's and by hand in turn."""
    work = TextWork()
    method = made(RunSpec(method="energy_text", data={"name": "text"}))
    subjects = {
        "basin": timed(partial(method.step, 0.1)),
        "plain torch": timed(plain_text_update(work)),
    }
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    for index in range(-1, rounds):
        for name, subject in subjects.items():
            seconds = subject(number if index >= 0 else max(1, number // 5))
            if index >= 0:
                measured[name].append(1000 * seconds)
    case = f"energy of text, batch {work.batch}"
    report_times(report, case, measured)
    share = ratio_of(measured["plain torch"], measured["basin"])
    text = f"{case}: Basin's updates a second over those of plain torch"
    report.claim_at_least(text, share, LEAST_SHARE)


def report_times(report: Report, case: str, measured: dict[str, list[float]]) -> None:
    """Add the times of each subject that has some."""
    for name, times in measured.items():
        if times:
            report.add(case, name, "CPU time an update", "ms", times)


def ratio_of(times: list[float], others: list[float]) -> float:
    """Median ratio round by round, since a loaded machine slows all subjects of one alike."""
    return median(own / other for own, other in zip(times, others, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer updates and rounds")
    parser.add_argument("--rounds", type=int, help="of every subject (default 9, quick 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = options.rounds or (5 if options.quick else 9)
    report = run(rounds, 20 if options.quick else 100)
    add_text(report, rounds, 5 if options.quick else 20)
    report.show(options.json)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
