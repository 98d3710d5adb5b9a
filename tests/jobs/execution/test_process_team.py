"""A run on two processes: the numbers of one, and what becomes of it when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from jobs import tasks
from jobs.execution import loop, process_team
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from tests.conftest import ROOT

STEPS = 20


def spec_of(method: str, processes: int, steps: int = STEPS, **config: Any) -> RunSpec:
    """On the ring, with batches that two cannot share equally."""
    return RunSpec(
        method=method,
        data={"name": "ring", "num": 200, "num_held_out": 100},
        config={"train": {"batch_size": 33}, **config},
        budget=Budget(steps=steps),
        seed=3,
        device="cpu",
        processes=processes,
    )


def make(method: str, processes: int, steps: int = STEPS, **config: Any) -> RunDirectory:
    """A queued run of it."""
    return run_store.create_run(spec_of(method, processes, steps, **config))


def run(directory: RunDirectory) -> Status:
    return loop.run(directory, observe=lambda prepared: None)


def curves(directory: RunDirectory) -> dict[str, np.ndarray]:
    return {
        path: np.asarray(series.value)
        for path, series in directory.scalars().items()
        if not path.startswith("system/")
    }


def check_same(one: RunDirectory, two: RunDirectory) -> None:
    """Every curve the same to float rounding; energies, whose zero is arbitrary, to their size."""
    expected, got = curves(one), curves(two)
    assert expected.keys() == got.keys() and "loss/total" in got
    for path, values in expected.items():
        assert len(values) == STEPS
        size = np.abs(values).max()
        np.testing.assert_allclose(got[path], values, rtol=1e-4, atol=1e-5 * size, err_msg=path)


def followers() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        if "jobs.execution.process_team" in process.cmdline():
            found.append(process)
    return found


def when(condition: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Do something beside the run as soon as a condition holds."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def stepped(directory: RunDirectory) -> bool:
    return directory.written_status().step > 0


@pytest.mark.slow
def test_denoising_score_matching_learns_the_same_on_two_processes() -> None:
    one, two = (make("denoising_score_matching", processes) for processes in (1, 2))
    assert run(one).status == "finished"
    status = run(two)
    assert status.status == "finished", status.reason
    assert followers() == []
    check_same(one, two)


@pytest.mark.slow
def test_contrastive_divergence_learns_the_same_stopped_and_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"chains": "persistent", "buffer_size": 100, "num_steps": 5}
    one, two = (make("contrastive_divergence", processes, **config) for processes in (1, 2))
    assert run(one).status == "finished"

    ordinary, count = process_team.Leader.step, 0

    def stops_after_eight(leader: process_team.Leader, method: Any, progress: float) -> Any:
        nonlocal count
        count += 1
        if count == 8:
            two.request("pause")
            time.sleep(0.5)  # as long as it takes to hear it
        return ordinary(leader, method, progress)

    monkeypatch.setattr(process_team.Leader, "step", stops_after_eight)
    status = run(two)
    assert status.status == "paused" and status.checkpoint_step == 8
    assert followers() == []
    two.clear_request()
    status = run(two)
    assert status.status == "finished", status.reason
    check_same(one, two)


def test_a_run_whose_follower_is_killed_fails_and_says_which() -> None:
    directory = make("contrastive_divergence", 2, steps=1_000_000, num_steps=2)
    killed: list[int] = []

    def kill() -> None:
        killed.extend(process.pid for process in followers())
        os.kill(killed[0], signal.SIGKILL)

    thread = when(lambda: stepped(directory), kill)
    status = run(directory)
    thread.join()
    assert status.status == "failed"
    assert f"Process 1 (pid {killed[0]}) of the run's 2 was killed by SIGKILL." in status.reason
    assert followers() == []
    values = curves(directory)["loss/total"]
    assert len(values) == status.step > 0, "what was computed is there"


def test_a_follower_that_cannot_begin_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'MemoryError: no room for another' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(process_team.sys, "executable", str(program))
    status = run(make("denoising_score_matching", 2))
    assert status.status == "failed" and "before the first step: Process 1 (pid " in status.reason
    assert status.reason.endswith("of the run's 2 ended: MemoryError: no room for another.")


def test_a_process_that_does_not_notice_is_ended_from_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(process_team.sys, "executable", str(program))
    monkeypatch.setattr(process_team, "LAST_RESORT_SECONDS", 0.05)
    codes: list[int] = []
    monkeypatch.setattr(process_team.os, "_exit", codes.append)
    directory = make("denoising_score_matching", 2)
    directory.write_status(status="running", step=7, checkpoint_step=5)
    leader = process_team.Leader(directory, 2)
    leader.watch()
    status = directory.written_status()
    assert codes == [1] and status.status == "failed"
    assert "was killed by SIGKILL. It can resume from step 5." in status.reason
    leader.end()
    leader.watch()
    assert codes == [1], "one that ends by itself is left alone"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "end"), [(signal.SIGTERM, "stopped"), (signal.SIGKILL, "lost")])
def test_nobody_is_left_of_a_run_on_the_command_line(
    number: signal.Signals, end: str, basin_home: Path
) -> None:
    command = [sys.executable, "-m", "jobs.cli", "run", "-", "--inline"]
    process = psutil.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(spec_of("contrastive_divergence", 2, steps=1_000_000).to_yaml())
    process.stdin.close()
    deadline = time.monotonic() + 90
    while not (found := run_store.list_runs()) or not found[0].step:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    others = process.children(recursive=True)
    assert len(others) == 1
    process.send_signal(number)
    process.wait(20)
    _, alive = psutil.wait_procs(others, timeout=20)
    assert not alive
    directory = run_store.open_run("latest")
    control.settle()
    status = directory.status()
    assert status.status == end, status.reason
    assert number == signal.SIGKILL or status.checkpoint_step == status.step > 0


@pytest.mark.bad_input
def test_what_trains_nothing_takes_one_process() -> None:
    spec = {"method": "sampling", "data": {"name": "ring"}, "processes": 2}
    (problem,) = tasks.check(spec)["problems"]
    assert problem == {
        "field": "processes",
        "message": "must be 1 where nothing is trained, got 2.",
    }


@pytest.mark.bad_input
def test_each_process_needs_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = process_team.devices_of(torch.device("cuda", 1), 2)
    assert found == [torch.device("cuda", 1), torch.device("cuda", 2)]
    with pytest.raises(BadInput, match="`processes`: must be at most 2, a device each"):
        process_team.devices_of(torch.device("cuda", 1), 3)


def test_one_process_is_the_same_work_as_before() -> None:
    spec = spec_of("denoising_score_matching", 1)
    assert spec.work_hash() != spec.model_copy(update={"processes": 2}).work_hash()
    assert isinstance(
        process_team.team_of(run_store.create_run(spec), spec, torch.device("cpu")),
        process_team.Alone,
    )


def test_the_processes_of_a_run_listen_on_loopback_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_team.dist, "init_process_group", lambda *_, **__: None)
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    process_team.join(tmp_path, 0, 2, torch.device("cpu"))
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        assert os.environ[name].startswith("lo")
