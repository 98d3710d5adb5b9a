"""The worker: torch imported before the fork and nothing computed, stopped by asking first."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import rq
from rq.serializers import JSONSerializer

from backend.errors import NotAvailable
from backend.spec import Budget, RunSpec
from jobs.models import fingerprints
from jobs.queueing import control, enqueue, redis_names, redis_store
from jobs.records import run_store
from jobs.system.processes import is_alive
from tests.conftest import ROOT, RedisServer

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})

ALLOW_PROBES = """
import sys
from jobs import calls, worker
probes = {"torch_ready": (float,), "sleep": (float,), "die": (), "fill_job": (int,)}
calls.CALLS.update({f"tests.jobs.probes.{name}": types for name, types in probes.items()})
worker.serve(sys.argv[1], "cpu")
"""


def wait_for(condition: Callable[[], Any], timeout: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


class Started:
    """A worker process and what it says about itself."""

    def __init__(self, queue: str, log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ALLOW_PROBES, queue],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.queue = redis_store.queue(queue)
        wait_for(lambda: self.about() is not None or self.process.poll() is not None, 60)
        assert self.process.poll() is None, log.read_text()

    def about(self) -> dict[str, Any] | None:
        return next((w for w in redis_store.workers() if w["pid"] == self.process.pid), None)

    def ask(self, function: str, *arguments: Any, timeout: int = 60) -> Any:
        job = self.queue.enqueue(f"tests.jobs.probes.{function}", *arguments, job_timeout=timeout)
        result = wait_for(lambda: job.latest_result(timeout=2), timeout)
        assert result.exc_string is None, result.exc_string
        return result.return_value["value"]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def quick(redis_url: str, tmp_path: Path) -> Iterator[Started]:
    worker = Started("quick", tmp_path / "quick.log")
    yield worker
    worker.end()


@pytest.fixture
def check(redis_url: str, tmp_path: Path) -> Iterator[Started]:
    worker = Started("check", tmp_path / "check.log", BASIN_QUICK_GB="0.5")
    yield worker
    worker.end()


@pytest.fixture
def train(redis_url: str, tmp_path: Path) -> Iterator[Started]:
    worker = Started("train", tmp_path / "train.log", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")
    yield worker
    worker.end()


def test_nothing_is_computed_before_the_fork() -> None:
    """Every torch operation of the imports would be seen by the dispatch mode."""
    code = """
import sys, torch
from torch.utils._python_dispatch import TorchDispatchMode

class Watch(TorchDispatchMode):
    seen = []
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))

from jobs import worker
with Watch() as watch:
    worker.preload()
    assert watch.seen == [], watch.seen
    torch.ones(2) + 1
assert watch.seen, "the watch sees nothing"
assert not torch.cuda.is_initialized()
folders = ("backend.methods.", "backend.samplers.", "backend.datasets.")
plug_ins = [name for name in sys.modules if name.startswith(folders)]
assert plug_ins == [], plug_ins
from backend.system import plugins
assert not plugins._imports.has_looked, "jobs would not see what is put there from now on"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parts_of_the_package_are_imported_before_the_fork_and_compute_nothing() -> None:
    code = """
import os, sys, torch
from torch.utils._python_dispatch import TorchDispatchMode

class Watch(TorchDispatchMode):
    seen = []
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))

from backend.system import preloading
from jobs import worker
worker.preload()
with Watch() as watch:
    preloading.preload()
    assert watch.seen == [], watch.seen
assert not torch.cuda.is_initialized()
assert "backend.methods.gedi" in sys.modules
if os.fork() == 0:
    before = set(sys.modules)
    preloading.forget_edited()
    from backend import catalogue
    catalogue.publish()
    late = sorted(name for name in sys.modules.keys() - before if name.startswith("backend."))
    print(late)
    sys.stdout.flush()
    os._exit(len(late) > 20)
assert os.wait()[1] == 0, "parts were imported again after the fork"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_part_that_was_edited_after_the_worker_began_is_used_as_it_is_now(tmp_path: Path) -> None:
    part = tmp_path / "spare_part.py"
    code = f"""
import os
import backend.methods
from backend.system import preloading
part, name = {str(part)!r}, "backend.methods.spare_part"
backend.methods.__path__.append({str(tmp_path)!r})

def rewrite(value):
    with open(part, "w") as file:
        file.write(f"VALUE = {{value}}")

def value_in_a_job():
    reader, writer = os.pipe()
    if os.fork() == 0:
        preloading.forget_edited()
        from backend.methods import spare_part
        os.write(writer, str(spare_part.VALUE).encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 9)

rewrite(1)
preloading.preload()
assert value_in_a_job() == b"1"
rewrite(22)
assert value_in_a_job() == b"22"
assert value_in_a_job() == b"22"
from backend.methods import spare_part
assert spare_part.VALUE == 1, "the worker itself stays as it is"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_job_can_use_torch_at_once_and_again_after_redis_was_away(
    quick: Started, redis_server: RedisServer
) -> None:
    answers = [quick.ask("torch_ready", time.time()) for _ in range(5)]
    for answer in answers:
        assert answer["loaded"], "torch was not imported before the fork"
        assert answer["gradient"] == 1200
        assert answer["threads"] == 1
        assert answer["parent"] == str(quick.process.pid)
        assert answer["visible"] == ""
    # From being queued to the first figure out of torch; a bare fork needs 1.5 s.
    assert min(answer["ready"] for answer in answers) < 0.1
    redis_server.kill()
    time.sleep(2)
    redis_server.start()
    assert quick.ask("torch_ready", time.time())["loaded"]
    assert quick.process.poll() is None


def test_says_what_it_is_and_does_publishes_the_catalogue_and_ends_when_told(
    quick: Started, basin_home: Path
) -> None:
    about = quick.about()
    assert about is not None
    assert (about["queue"], about["device"], about["alive"]) == ("quick", "cpu", True)
    assert "core" in about["device_name"]
    job = quick.queue.enqueue("tests.jobs.probes.sleep", 3.0, job_timeout=10)
    wait_for(lambda: (quick.about() or {}).get("run") == job.id)
    assert redis_store.connect().exists(redis_names.catalogue_key())
    assert (basin_home / "catalogue.json").exists()
    assert "ring" in redis_store.catalogue()["datasets"]
    wait_for(lambda: (quick.about() or {"run": 1})["run"] is None)
    quick.process.send_signal(signal.SIGTERM)
    assert quick.process.wait(10) == 0
    assert redis_store.workers() == []


RULE = """
import torch
from backend.methods.noise_contrastive import NoiseContrastive

class Rule(NoiseContrastive):
    id = "rule"
    title = "{title}"

    def step(self, progress):
        return {{**super().step(progress), "rule/size": torch.tensor({size})}}
"""


@pytest.mark.slow
def test_an_edited_plug_in_is_what_the_next_run_uses(train: Started, basin_home: Path) -> None:
    """The worker is there before the plug-in is: a run waits for it, and each is of its file."""
    path = basin_home / "plugins" / "rule.py"
    path.parent.mkdir()
    spec = RunSpec(method="rule", data={"name": "ring"}, budget=Budget(steps=10**6))
    waiting = run_store.open_run(enqueue.launch(spec))
    time.sleep(1.0)
    assert waiting.status().status == "queued", "nobody has the method"
    digests = set()
    for size in (1.0, 2.0):
        path.write_text(RULE.format(size=size, title=f"Rule of {size}"))
        run = waiting if size == 1 else run_store.open_run(enqueue.launch(spec))
        wait_for(functools.partial(has_scalar, run, "rule/size"), 60)
        assert float(run.scalars()["rule/size"].value[-1]) == size
        (origin,) = fingerprints.read(run)["plugins"]
        assert (origin["part"], origin["path"]) == ("method `rule`", str(path))
        digests.add(origin["sha256"])
        control.kill(run.id)
        wait_for(functools.partial(is_announced, f"Rule of {size}"))
    assert len(digests) == 2


def has_scalar(run: run_store.RunDirectory, path: str) -> bool:
    assert run.status().status in ("queued", "running"), run.trace()
    return path in run.scalars()


def is_announced(title: str) -> bool:
    methods = redis_store.catalogue()["methods"]
    return bool(methods.get("rule", {}).get("title") == title)


@pytest.mark.slow
def test_a_training_outlives_redis_being_away(train: Started, redis_server: RedisServer) -> None:
    job = train.queue.enqueue("tests.jobs.probes.sleep", 8.0, job_timeout=30)
    wait_for(lambda: (train.about() or {}).get("run") == job.id)
    redis_server.kill()
    time.sleep(7)  # past the worker's next heartbeat for its job
    redis_server.start()
    wait_for(lambda: (train.about() or {"run": 1})["run"] is None)
    assert train.process.poll() is None
    assert train.ask("torch_ready", time.time())["loaded"]


def occupy(redis_server: RedisServer) -> None:
    with contextlib.suppress(redis.RedisError):  # it is killed in the end
        redis_server.client().eval("while true do end", 0)


def spoil(redis_server: RedisServer, how: str) -> Callable[[], Any]:
    """Make Redis answer and refuse, or hang; returns what makes it well again."""
    well = redis_server.client()
    if how == "full":
        well.config_set("maxmemory", 1)
        return lambda: well.config_set("maxmemory", 0)
    if how == "replica":
        well.execute_command("REPLICAOF", "127.0.0.1", "1")
        return lambda: well.execute_command("REPLICAOF", "NO", "ONE")
    if how == "password":
        well.config_set("requirepass", "another")
        well.execute_command("CLIENT", "KILL", "SKIPME", "yes")
        return lambda: well.config_set("requirepass", redis_server.password)
    if how == "busy":
        well.config_set("busy-reply-threshold", 100)
        threading.Thread(target=occupy, args=(redis_server,), daemon=True).start()
        return lambda: well.execute_command("SCRIPT", "KILL")
    assert redis_server.process is not None
    pid = redis_server.process.pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "hanging", "replica", "password", "busy"])
def test_a_training_outlives_a_redis_that_refuses_or_hangs(
    train: Started, redis_server: RedisServer, how: str
) -> None:
    """Past the worker's next heartbeat, and past the end of the job."""
    job = train.queue.enqueue("tests.jobs.probes.sleep", 6.5, job_timeout=30)
    wait_for(lambda: (train.about() or {}).get("run") == job.id)
    make_well = spoil(redis_server, how)
    try:
        time.sleep(8)
    finally:
        make_well()
    assert train.process.poll() is None, train.log.read_text()
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(NotAvailable):  # the first look may still find it hanging
            if (train.about() or {"run": 1})["run"] is None:
                break
        assert time.monotonic() < deadline, train.log.read_text()
        time.sleep(0.2)
    assert train.ask("torch_ready", time.time())["loaded"]
    said = train.log.read_text()
    assert "goes on without it" in said and "Traceback" not in said


def test_a_process_that_dies_leaves_a_lost_run_and_a_killed_worker_is_noticed(
    train: Started,
) -> None:
    # With work done in the parent before the fork, two threads would hang here for good.
    assert train.ask("torch_ready", time.time(), timeout=30)["threads"] == 2
    directory = run_store.create_run(SPEC)
    train.queue.enqueue("tests.jobs.probes.die", job_id=directory.id)
    status = wait_for(lambda: (s := directory.written_status()).status == "lost" and s, 10)
    assert "ended without a word" in status.reason and status.ended is not None
    assert train.process.poll() is None
    train.end()
    wait_for(lambda: all(not worker["alive"] for worker in redis_store.workers()), 10)


def test_only_tasks_are_run(quick: Started, tmp_path: Path) -> None:
    """Whoever can write to Redis cannot have any function called."""
    ran = tmp_path / "ran"
    here = (str(ran), ["import os"])
    refused = [
        quick.queue.enqueue("os.system", f"touch {ran}"),
        quick.queue.enqueue("jobs.tasks.np.savetxt", *here, fmt="%s"),
        quick.queue.enqueue("jobs.tasks.check_job", {}, "more"),
        quick.queue.enqueue("jobs.tasks.no_such_function"),
    ]
    called = quick.queue.enqueue(
        "tests.jobs.probes.sleep",
        0.0,
        on_success=rq.Callback("os.mkdir"),
        on_failure=rq.Callback("os.mkdir"),
        on_stopped=rq.Callback("os.mkdir"),
        repeat=rq.Repeat(2, 1),
        retry=rq.Retry(2),
    )
    assert quick.ask("torch_ready", time.time())["loaded"]
    assert [job.get_status() for job in refused] == ["failed"] * len(refused)
    assert "Refused" in str(refused[0].latest_result().exc_string)
    assert called.get_status() == "finished"
    assert not ran.exists() and quick.process.poll() is None


def test_a_job_of_somebody_else_is_refused(quick: Started, tmp_path: Path) -> None:
    """An energy file is code: its check is not for who can write to Redis and no more."""
    energy = tmp_path / "energy.py"
    energy.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    raw = {"method": "sampling", "data": {"name": "energy_file", "path": str(energy)}}
    plain = rq.Queue(quick.queue.name, connection=quick.queue.connection, serializer=JSONSerializer)
    forged = [
        plain.enqueue("jobs.tasks.check_job", raw),
        quick.queue.enqueue("jobs.tasks.check_job", {}, at_front=False, job_id="changed"),
    ]
    connection = quick.queue.connection
    connection.hset("rq:job:changed", "data", connection.hget(forged[0].key, "data"))
    odd = plain.enqueue("jobs.tasks.check_job", raw, job_id="odd")
    connection.hset(odd.key, mapping={"timeout": "soon", "status": "strange", "data": b"\xff"})
    assert quick.ask("torch_ready", time.time())["loaded"]
    assert forged[0].get_status() == "failed"
    assert not (tmp_path / "ran").exists() and quick.process.poll() is None


def test_a_check_ends_when_nobody_waits_for_it_or_its_memory_is_used_up(check: Started) -> None:
    job = check.queue.enqueue("tests.jobs.probes.sleep", 60.0, job_timeout=100)
    wait_for(lambda: (check.about() or {}).get("run") == job.id)
    job.delete()
    wait_for(lambda: (check.about() or {"run": 1})["run"] is None, 4)
    assert check.ask("fill_job", 100_000_000) == 100_000_000
    job = check.queue.enqueue("tests.jobs.probes.fill_job", 2_000_000_000)
    answer = wait_for(lambda: job.latest_result(timeout=2), 10).return_value
    assert "BASIN_QUICK_GB" in answer["not_available"]
    job = check.queue.enqueue("tests.jobs.probes.die")
    with pytest.raises(NotAvailable, match="its process crashed"):
        enqueue._wait(job.id, 10.0)
    assert check.ask("torch_ready", time.time())["loaded"]


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "cuda:x"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "worker", "--queue", "train", "--device", device],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "device" in done.stderr and done.stderr.count("\n") == 1


def test_is_alive_knows_zombies() -> None:
    process = subprocess.Popen(["true"])
    wait_for(lambda: not is_alive(process.pid))
    process.wait()
