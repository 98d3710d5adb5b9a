"""Worker: an RQ worker that has imported torch before it forks a process for each job.

Before the fork torch is imported and nothing is computed: after a computation or a CUDA call in
the parent, the same in the child hangs for good.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil
import redis

from backend.errors import NotAvailable
from backend.system import plugins, preloading
from jobs.models import run_parts
from jobs.queueing import machines, redis_names, redis_store, worker_requests
from jobs.queueing.rq_worker import BasinWorker
from jobs.system import devices
from jobs.system.processes import PARENT

_PATIENCE = 1.0
"""Seconds that one command to Redis may wait where it is away; the worker itself waits longer."""
_CATALOGUE_SECONDS = 60.0
"""Longest a worker waits for its first catalogue before it takes jobs."""
_LOOK_SECONDS = 2.0
"""Between two looks at the files of plug-ins."""
_PRELOAD = (
    "torch",
    "safetensors.torch",
    "backend.method",
    "jobs.execution.loop",
    "jobs.tasks",
)
_SLOW = ("torch._dynamo", "sklearn.datasets", "sklearn.mixture", "sklearn.model_selection")
"""A second each when first needed: by torch's optimisers, the digits, Gaussians under an energy."""


def serve(queue: str, device: str) -> None:
    """Work on a queue, one of `store.QUEUES`, until told to stop. Raises BadInput, NotAvailable.

    device: auto, cpu or cuda:N; a job sees that one device as cuda:0.
    """
    device = devices.definite(device)
    # Read when torch is imported. All but runs must leave the cores to training.
    if queue != redis_store.TRAIN:
        os.environ["OMP_NUM_THREADS"] = "1"
    # Asks the driver's library instead of CUDA, so that even a look leaves the fork safe.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    connection = redis_store.client(redis_store.redis_url(), patience=_PATIENCE)
    with redis_store.reaching():
        with contextlib.suppress(redis.ResponseError):  # full or a replica: it may become well
            connection.ping()
        redis_store.need_own_home(connection)
    preload()
    logging.getLogger("rq.worker").setLevel(logging.INFO)
    worker = BasinWorker(queue, device, connection)
    worker.announcer = Announcer(worker.name)
    worker.announcer.begin(connection)
    if worker.announcer.parts is not None:  # imported there: none takes this process with it
        preloading.preload()
    with contextlib.suppress(NotAvailable):
        if worker_requests.was_drained(queue, device, connection):
            worker.take_request(worker_requests.DRAIN)
    worker.beat = threading.Thread(target=_beat, args=(worker,), name="beat", daemon=True)
    worker.work(logging_level="INFO")
    if worker.starts_anew:  # with the same id of its process: who watches it need not know
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def preload() -> None:
    """Import the modules every job needs. Nothing is computed, no plug-in is touched."""
    for name in _PRELOAD:
        importlib.import_module(name)
    for name in _SLOW:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Announcer:
    """Publication of the catalogue and of what one worker has, when it starts and when a plug-in
    changed, in a process of its own.

    That one imports the plug-ins and ends. The worker forks its jobs from a process that never did,
    so that none can spoil it, and each job imports what stands in the files.
    """

    def __init__(self, name: str) -> None:
        """`name`: of the worker."""
        self.name = name
        self.parts: list[str] | None = None
        """None until they are known: then it takes what comes"""
        self._stamp: Any = None
        self._next = 0.0
        self._process: BaseProcess | None = None
        self._answer: Connection | None = None

    def begin(self, connection: redis.Redis) -> None:
        """Publish, and wait for it."""
        self._start()
        deadline = time.monotonic() + _CATALOGUE_SECONDS
        while not (has_ended := self._has_ended(0.1)) and time.monotonic() < deadline:
            pass
        if not has_ended and self._process is not None:
            self._process.kill()
            self._end()
        with contextlib.suppress(redis.RedisError):
            self.write(connection)

    def look(self, connection: redis.Redis) -> None:
        """Begin to publish anew where a plug-in changed, and write down what came of it. Raises
        RedisError."""
        if self._process is not None:
            if self._has_ended(0.0):
                self.write(connection)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_SECONDS
            with contextlib.suppress(OSError):  # a folder that cannot be read just now
                if plugins.stamp() != self._stamp:
                    self._start()

    def write(self, connection: redis.Redis) -> None:
        """Write down what this worker has. Raises RedisError."""
        if self.parts is not None:
            connection.hset(redis_names.parts_key(), self.name, json.dumps(self.parts))

    def _start(self) -> None:
        with contextlib.suppress(OSError):
            self._stamp = plugins.stamp()
        self._answer, sender = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_publish, args=(sender,), daemon=True)
        self._process.start()
        sender.close()

    def _has_ended(self, seconds: float) -> bool:
        """Take the answer of the process if it is there within so many seconds."""
        assert self._answer is not None
        if not self._answer.poll(seconds):
            return False
        try:
            self.parts = json.loads(self._answer.recv_bytes())
        except (EOFError, OSError, ValueError):
            logging.getLogger("rq.worker").error("the catalogue could not be published")
        self._end()
        return True

    def _end(self) -> None:
        assert self._process is not None and self._answer is not None
        self._process.join(5.0)
        self._answer.close()
        self._process = self._answer = None


def _publish(sender: Connection) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # the worker's own are for the worker
    preloading.forget_edited()
    connection = redis_store.client(redis_store.redis_url(), patience=5.0)
    published = redis_store.publish_catalogue(connection)
    sender.send_bytes(json.dumps(run_parts.of_catalogue(published)).encode())


def _beat(worker: BasinWorker) -> None:
    """Report once a second that the worker is there; a client of its own, so no lock is shared."""
    connection = redis_store.client(redis_store.redis_url(), timeout=2.0)
    description, reader = worker.describe(), machines.Reader(worker.name)
    parent = os.getppid()
    failed = False
    while True:
        description |= {"run": worker.current, "asked": worker.asked}
        try:
            worker.take_request(redis_store.beat(connection, description))
            reader.look(connection)
            failed = False
        except redis.RedisError:
            pass  # the worker itself says so
        except Exception:
            if not failed:
                logging.getLogger("rq.worker").exception("cannot say that the worker is there")
            failed = True
        # On Linux the kernel tells; elsewhere a worker whose supervisor was killed sees it here.
        if os.environ.get(PARENT) == str(parent) and os.getppid() != parent:
            psutil.Process().terminate()
        if worker.ended.wait(1.0):
            return
