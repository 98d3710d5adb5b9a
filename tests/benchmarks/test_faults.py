"""The fault campaign: its plan, its viewer, its comparison; `.ci/run` plays its quick form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.events import Cost, encode_block
from backend.spec import RunSpec
from benchmarks import faults, faults_places, faults_stage
from benchmarks.faults_acts import CELLS, NUM_QUICK
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory

PROCESSES = {
    "supervisor",
    "redis",
    "train worker",
    "job",
    "inline run",
    "quick worker",
    "dashboard",
    "home",
}


def test_every_process_is_killed_and_frozen() -> None:
    done = {(cell.process, cell.fault) for cell in CELLS}
    assert len(done) == len(CELLS)
    assert {process for process, _ in done} == PROCESSES
    for process in PROCESSES - {"home"}:
        assert (process, "SIGKILL") in done and (process, "SIGSTOP") in done


def test_the_quick_form_reaches_what_a_lab_meets_first() -> None:
    quick = CELLS[:NUM_QUICK]
    assert len({cell.process for cell in quick}) >= 7
    assert sum(cell.ends is not False for cell in quick) >= 3, "some end the run, some may not"


def test_what_cannot_be_played_is_said() -> None:
    assert faults_places.missing("disk") == "mounting needs root"
    assert faults_places.missing("plain") == ""


def test_a_clock_jumps_and_only_the_wall_clock(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("0")
    code = (
        "import pathlib, sys, time\n"
        "wall, steady = time.time(), time.monotonic()\n"
        "pathlib.Path(sys.argv[1]).write_text('3600')\n"
        "time.sleep(0.2)\n"
        "print(time.time() - wall, time.time_ns() / 1e9 - wall, time.monotonic() - steady)"
    )
    path = str(tmp_path / "clock")
    settings = {faults_places.CLOCK: path, "PYTHONPATH": str(faults_places.STEPPED_CLOCK)}
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, steady = map(float, done.stdout.split())
    assert 3600 <= first < 3630 and 3600 <= second < 3630 and steady < 30


def made_run(steps: range, first: float = 0.0) -> RunDirectory:
    run = run_store.create_run(RunSpec(method="sampling", data={"name": "ring"}))
    run.append(block(run.id, 0, steps, first), keyframe=False)
    run.save_checkpoint(steps[-1], {"weight": torch.full((2,), first)}, {})
    run.close()
    return run


def block(run: str, seq: int, steps: range, first: float = 0.0) -> bytes:
    paths = list(faults_stage.PATHS)
    values = np.array([[first + step + 0.25] * len(paths) for step in steps], np.float32)
    return encode_block(
        paths, values, run=run, seq=seq, time=7.0, first=Cost(steps[0]), last=Cost(steps[-1])
    )


def test_the_viewer_finds_what_the_record_has_lost_or_holds_otherwise() -> None:
    run = made_run(range(1, 101))
    shown = faults_stage.Shown("http://127.0.0.1:1", run.id)
    shown.take(block(run.id, 0, range(1, 101)))
    assert shown.missing(run.scalars()) == set() and shown.said == 7.0
    shown.take(block(run.id, 1, range(101, 104)))
    assert shown.missing(run.scalars()) == {101, 102, 103}
    shown.take(block(run.id, 2, range(50, 51), first=1.0))
    assert 50 in shown.missing(run.scalars())


def test_runs_are_compared_bit_by_bit() -> None:
    run, other = made_run(range(1, 101)), made_run(range(1, 101))
    assert faults_stage.differences(run, other) == []
    one_more = made_run(range(1, 102))
    assert set(faults_stage.differences(one_more, other)) == set(faults_stage.PATHS)
    changed = made_run(range(1, 101), first=1e-6)
    assert "weight" in faults_stage.differences(changed, other)


def test_a_seed_names_one_trial() -> None:
    first, again = faults.chosen(30, quick=False), faults.chosen(30, quick=False)
    assert first[:3] == again[:3] and first[0] is CELLS[30 % len(CELLS)]
    assert 0.1 <= first[1] <= 0.8
    assert faults.chosen(31, quick=False)[1] != first[1]


def test_the_cable_needs_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faults_places._can_lay_cable.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))  # no `ip` there
    assert "network namespace" in faults_places.missing("network")
    faults_places._can_lay_cable.cache_clear()
