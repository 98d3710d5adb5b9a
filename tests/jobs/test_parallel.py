"""A run on two processes: the numbers of one, and what becomes of it when one is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from jobs import artifacts, loop, parallel, tasks
from jobs.run_directory import RunDirectory
from jobs.status import Status

STEPS = 20


def make(method: str, processes: int, steps: int = STEPS, **config: Any) -> RunDirectory:
    """A queued run on the ring, of batches that two cannot share equally."""
    spec = RunSpec(
        method=method,
        data={"name": "ring", "num": 200, "num_held_out": 100},
        config={"train": {"batch_size": 33}, **config},
        budget=Budget(steps=steps),
        seed=3,
        device="cpu",
        processes=processes,
    )
    return artifacts.create_run(spec)


def run(directory: RunDirectory) -> Status:
    return loop.run(directory, observe=lambda prepared: None)


def curves(directory: RunDirectory) -> dict[str, np.ndarray]:
    return {path: np.asarray(series.value) for path, series in directory.scalars().items()}


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
        if "jobs.parallel" in process.cmdline():
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


def test_denoising_score_matching_learns_the_same_on_two_processes() -> None:
    one, two = (make("denoising_score_matching", processes) for processes in (1, 2))
    assert run(one).status == "finished"
    status = run(two)
    assert status.status == "finished", status.reason
    assert followers() == []
    check_same(one, two)


def test_contrastive_divergence_learns_the_same_stopped_and_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"chains": "persistent", "buffer_size": 100, "num_steps": 5}
    one, two = (make("contrastive_divergence", processes, **config) for processes in (1, 2))
    assert run(one).status == "finished"

    ordinary, count = parallel.Leader.step, 0

    def stops_after_eight(leader: parallel.Leader, method: Any, progress: float) -> Any:
        nonlocal count
        count += 1
        if count == 8:
            two.request("pause")
            time.sleep(0.5)  # as long as it takes to hear it
        return ordinary(leader, method, progress)

    monkeypatch.setattr(parallel.Leader, "step", stops_after_eight)
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


def test_a_follower_that_cannot_begin_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make("denoising_score_matching", 2)
    started = parallel.Leader._started

    def elsewhere(leader: parallel.Leader, directory: RunDirectory, rank: int) -> Any:
        monkeypatch.setenv("BASIN_THREADS", "many")
        try:
            return started(leader, directory, rank)
        finally:
            monkeypatch.setenv("BASIN_THREADS", "1")

    monkeypatch.setattr(parallel.Leader, "_started", elsewhere)
    status = run(directory)
    assert status.status == "failed" and "Process 1 (pid " in status.reason
    assert "invalid literal for int() with base 10: 'many'" in status.reason
    assert followers() == []


@pytest.mark.bad_input
def test_what_trains_nothing_takes_one_process() -> None:
    spec = {"method": "sampling", "data": {"name": "ring"}, "processes": 2}
    (problem,) = tasks.check(spec, "cli")["problems"]
    assert problem == {
        "field": "processes",
        "message": "must be 1 where nothing is trained, got 2.",
    }


@pytest.mark.bad_input
def test_each_process_needs_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = parallel.devices_of(torch.device("cuda", 1), 2)
    assert found == [torch.device("cuda", 1), torch.device("cuda", 2)]
    with pytest.raises(BadInput, match="`processes`: must be at most 2, a device each"):
        parallel.devices_of(torch.device("cuda", 1), 3)


def test_one_process_is_the_same_work_as_before() -> None:
    spec = make("denoising_score_matching", 1).spec()
    assert spec.work_hash() != spec.model_copy(update={"processes": 2}).work_hash()
    assert isinstance(parallel.team_of(make("tiny", 1), spec, torch.device("cpu")), parallel.Alone)
