"""Local pool: runs several runs here, in worker processes side by side, without a queue."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from backend.errors import NotAvailable
from jobs.queueing import control, redis_store
from jobs.records import attempts, run_store
from jobs.records.status import OVER, this_process
from jobs.system.processes import on_signals


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(run_ids: Sequence[str], processes: int, tell: Callable[[], None]) -> bool:
    """Run or resume every run, `processes` at a time, one thread each.

    tell: called now and then, to show how far they are.
    Ctrl-C or SIGTERM stops those that run with a checkpoint and the rest before their first step.
    Returns True when all went on to the end.
    """
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        for run_id in reversed(run_ids):
            directory = run_store.open_run(run_id)
            if directory.status().status in ("queued", "running"):
                directory.request("stop")

    with on_signals(stop, signal.SIGINT, signal.SIGTERM):
        if processes == 1:
            for run_id in run_ids:
                train(run_id)
                tell()
        else:
            _in_a_pool(run_ids, processes, tell)
    for run_id in run_ids:  # a process that was killed takes the pool and what waited with it
        directory = run_store.open_run(run_id)
        if directory.status().status == "queued":
            directory.clear_request()
            directory.write_status(
                status="stopped", reason="Its process ended before it began.", ended=time.time()
            )
    return not stopped


def _in_a_pool(run_ids: Sequence[str], processes: int, tell: Callable[[], None]) -> None:
    # Forked, a child would inherit torch's locks as they happen to be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_begin) as pool:
        waiting = {pool.submit(train, run_id) for run_id in run_ids}
        while waiting:
            done, waiting = wait(waiting, timeout=0.5)
            for future in done:
                with contextlib.suppress(BrokenProcessPool):
                    future.result()
            tell()


def _begin() -> None:
    """Prepare a worker process: Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def train(run_id: str) -> None:
    """Run or resume a run to its end in this process. Imports torch."""
    from jobs.execution import loop
    from jobs.models import trained_run

    directory = run_store.open_run(run_id)
    if directory.requested() != "stop" and directory.status().status in OVER:
        return
    publisher = None
    with contextlib.suppress(NotAvailable):  # with a dashboard about, it shows live there
        redis_store.connect()
        publisher = redis_store.Publisher(directory.id)
    with contextlib.suppress(attempts.Held), attempts.begin(directory):
        directory.write_status(worker=control.INLINE, **this_process())
        try:
            loop.run(directory, load_energy=trained_run.load_energy, publisher=publisher)
        except Exception as error:
            directory.write_trace(traceback.format_exc())
            reason = f"{type(error).__name__}: {error}"
            directory.write_status(status="failed", ended=time.time(), reason=reason)


def take_up(run_ids: Sequence[str]) -> list[str]:
    """Make runs that were cut off ready to be run here; returns those, in their order."""
    ready = []
    for run_id in run_ids:
        with contextlib.suppress(NotAvailable):
            directory = run_store.open_run(run_id)
            status = directory.status()
            cut_off = status.status in ("stopped", "lost", "paused")
            if cut_off or (status.status == "queued" and status.worker == control.INLINE):
                directory.clear_request()
                directory.write_status(
                    status="queued", ended=None, reason="", worker=control.INLINE, **this_process()
                )
                ready.append(directory.id)
    return ready
