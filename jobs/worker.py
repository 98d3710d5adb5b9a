"""The worker: an RQ worker that has imported torch before it forks a process for each job.

Before the fork torch is imported and nothing is computed: after a computation or a CUDA call in
the parent, the same in the child hangs for good.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from typing import Any

import psutil
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from rq import Worker
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from backend.errors import BadInput, NotAvailable
from jobs import artifacts, control, devices, names, store
from jobs.processes import PARENT
from jobs.status import Status
from jobs.threads import guarded

_PATIENCE = 30.0
"""Seconds a worker waits for a Redis that is away: `basin up` restarts it in that time."""
_PRELOAD = (
    "torch",
    "safetensors.torch",
    "backend.method",
    "jobs.loop",
    "jobs.tasks",
)
_SLOW = ("torch._dynamo", "sklearn.datasets", "sklearn.model_selection")
"""A second each when first needed: by torch's optimisers, and by the digits."""
ALLOWED: tuple[str, ...] = ("jobs.tasks.",)
"""What a job may call; the rest of Python is not at the service of whoever writes to Redis."""


def serve(queue: str, device: str) -> None:
    """Work on a queue, `train` or `quick`, until told to stop. Raises BadInput, NotAvailable.

    device: auto, cpu or cuda:N; a job sees that one device as cuda:0.
    """
    device = devices.definite(device)
    # Read when torch is imported. The quick worker must leave the cores to training.
    if queue == "quick":
        os.environ["OMP_NUM_THREADS"] = "1"
    # Asks the driver's library instead of CUDA, so that even a look leaves the fork safe.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    connection = store.client(store.redis_url(), patience=_PATIENCE)
    try:
        connection.ping()
    except redis.RedisError as error:
        raise NotAvailable(
            f"Redis at {store.without_password(store.redis_url())} does not answer: {error}."
        ) from error
    preload()
    _publish_catalogue()
    logging.getLogger("rq.worker").setLevel(logging.INFO)
    worker = BasinWorker(queue, device, connection)
    beat = threading.Thread(target=_beat, args=(worker,), name="beat", daemon=True)
    beat.start()
    worker.work(logging_level="INFO")


def preload() -> None:
    """Import what every job needs. Nothing is computed, no plug-in is touched."""
    for name in _PRELOAD:
        importlib.import_module(name)
    for name in _SLOW:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _publish_catalogue() -> None:
    """In a process of its own: plug-ins are imported there, so none can spoil this one."""
    process = multiprocessing.get_context("fork").Process(target=_publish, daemon=True)
    process.start()
    process.join(60.0)
    if process.exitcode != 0:
        process.kill()
        logging.getLogger("rq.worker").error("the catalogue could not be published")


def _publish() -> None:
    store.publish_catalogue(store.client(store.redis_url(), patience=5.0))


class BasinWorker(Worker):
    """Forks a process for each job, stops it by asking, and says what became of it."""

    def __init__(self, queue: str, device: str, connection: redis.Redis) -> None:
        self.kind, self.device = queue, device
        self.current: str | None = None
        self.ended = False
        super().__init__(
            [store.queue(queue, connection)],
            name=names.worker_name(queue, device),
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=30,
            job_monitoring_interval=5,
            maintenance_interval=30,
            log_job_description=False,
        )

    def describe(self) -> dict[str, Any]:
        """What the worker tells about itself every second."""
        return {
            "name": self.name,
            "queue": self.kind,
            "device": self.device,
            "device_name": devices.model_of(self.device),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "run": self.current,
        }

    def execute_job(self, job: Job, queue: Queue) -> None:
        self.current = job.id
        try:
            super().execute_job(job, queue)
        finally:
            self.current = None

    def teardown(self) -> None:
        if not self.is_horse:
            self.ended = True
            with contextlib.suppress(redis.RedisError):
                store.forget_worker(self.connection, self.name)
        super().teardown()

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        os.environ[PARENT] = str(os.getppid())
        os.environ["BASIN_WORKER"] = self.name
        os.environ["CUDA_VISIBLE_DEVICES"] = devices.selectors_of(self.device, self._processes(job))
        super().main_work_horse(job, queue)

    def _processes(self, job: Job) -> int:
        """How many devices the job needs to see."""
        if self.kind == "train":
            with contextlib.suppress(BadInput, NotAvailable, OSError):
                return artifacts.open_run(job.id).spec().processes
        return 1

    def perform_job(self, job: Job, queue: Queue) -> bool:
        if not str(job.func_name).startswith(ALLOWED):
            self.log.error("refused to call %s", job.func_name)
            os._exit(1)
        return bool(super().perform_job(job, queue))

    def monitor_work_horse(self, job: Job, queue: Queue) -> None:
        pid = self.horse_pid
        super().monitor_work_horse(job, queue)
        if self.kind == "train":
            how = f"Its process {pid} ended without a word (killed, or out of memory)."
            with contextlib.suppress(BadInput, NotAvailable, OSError):
                control.horse_ended(job.id, pid, how)

    def handle_warm_shutdown_request(self) -> None:
        """Ask the run to stop: its process takes SIGTERM for a stop with a checkpoint."""
        super().handle_warm_shutdown_request()
        # Whoever stops the worker may stop Redis next: do not wait for one that is gone.
        self.connection.set_retry(Retry(ConstantBackoff(0.2), 1))
        if self.horse_pid:
            with contextlib.suppress(OSError):
                os.kill(self.horse_pid, signal.SIGTERM)
            guarded("shutdown", self._kill_late, lambda error: self.kill_horse()).start()

    def _kill_late(self) -> None:
        """End the process once it has had its time; a long checkpoint is let be written."""
        asked, run = time.monotonic(), self.current
        while self.horse_pid and run is not None and self.current == run:
            status = Status(run)
            if self.kind == "train":
                with contextlib.suppress(BadInput, NotAvailable, OSError):
                    status = artifacts.open_run(run).written_status()
            if control.is_overdue(status, time.monotonic() - asked):
                self.kill_horse()
                return
            time.sleep(0.5)


def _beat(worker: BasinWorker) -> None:
    """Say once a second that the worker is there; a client of its own, so no lock is shared."""
    connection = store.client(store.redis_url(), timeout=2.0)
    said = worker.describe()
    parent = os.getppid()
    while not worker.ended:
        said["run"] = worker.current
        with contextlib.suppress(redis.RedisError):
            store.beat(connection, said)
        # On Linux the kernel tells; elsewhere a worker whose supervisor was killed sees it here.
        if os.environ.get(PARENT) == str(parent) and os.getppid() != parent:
            psutil.Process().terminate()
        time.sleep(1.0)
