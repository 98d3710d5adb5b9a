"""A sweep of short runs on two workers, settled all the time: each is trained exactly once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.spec import RunSpec
from jobs.queueing import control, enqueue, redis_store
from jobs.records import run_store
from tests.conftest import ROOT

NUM = 30

TINY = """
import sys
from backend import catalogue
from tests.jobs import tiny
catalogue.methods = lambda: {"tiny": tiny.Tiny}
from jobs import worker
worker.serve("train", "cpu")
"""


@pytest.fixture
def workers(redis_url: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = []
    for number in range(2):
        with (tmp_path / f"worker-{number}.log").open("wb") as log:
            started.append(
                subprocess.Popen([sys.executable, "-c", TINY], cwd=ROOT, stdout=log, stderr=log)
            )
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_each_run_of_a_sweep_is_trained_exactly_once(
    workers: list[subprocess.Popen[bytes]],
) -> None:
    deadline = time.monotonic() + 100
    while sum(worker["alive"] for worker in redis_store.workers()) < 2:
        assert time.monotonic() < deadline and all(w.poll() is None for w in workers)
        time.sleep(0.1)
    spec = RunSpec(
        method="tiny", data={"name": "ring", "num": 200, "num_held_out": 100}, budget={"steps": 5}
    )
    seeds = [spec.model_copy(update={"seed": seed}) for seed in range(NUM)]
    directories = [run_store.open_run(run_id) for run_id in enqueue.launch_many(seeds)]
    said: list[str] = []
    ended = threading.Event()

    def settle() -> None:
        while not ended.is_set():
            said.extend(control.settle())

    settling = [threading.Thread(target=settle) for _ in range(2)]
    for thread in settling:
        thread.start()
    try:
        while not all(directory.status().is_over for directory in directories):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(1.0)
    finally:
        ended.set()
        for thread in settling:
            thread.join()
    assert said == []
    for directory in directories:
        assert directory.status().status == "finished", directory.status().reason
        assert [path.name for path in (directory.path / "attempts").iterdir()] == ["1"]
    by = {directory.status().worker for directory in directories}
    assert len(by) == 2, "one worker did all: there was nothing to race for"
