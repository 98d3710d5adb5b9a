"""Worker: an RQ worker that has imported torch before it forks a process for each job.

Before the fork torch is imported and nothing is computed: after a computation or a CUDA call in
the parent, the same in the child hangs for good.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import sys
import threading

import psutil
import redis

from backend.errors import NotAvailable
from backend.system import preloading
from jobs.queueing import machines, redis_store, worker_requests
from jobs.queueing.rq_worker import BasinWorker
from jobs.system import devices
from jobs.system.processes import PARENT

_PATIENCE = 1.0
"""Seconds that one command to Redis may wait where it is away; the worker itself waits longer."""
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
    if _publish_catalogue():  # the parts were imported there: none takes this process with it
        preloading.preload()
    logging.getLogger("rq.worker").setLevel(logging.INFO)
    worker = BasinWorker(queue, device, connection)
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


def _publish_catalogue() -> bool:
    """Publish from a process of its own: plug-ins are imported there, so none can spoil this
    one; returns whether it ended well."""
    process = multiprocessing.get_context("fork").Process(target=_publish, daemon=True)
    process.start()
    process.join(60.0)
    if process.exitcode != 0:
        process.kill()
        logging.getLogger("rq.worker").error("the catalogue could not be published")
        return False
    return True


def _publish() -> None:
    redis_store.publish_catalogue(redis_store.client(redis_store.redis_url(), patience=5.0))


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
