"""RQ worker for Basin: one process a job, which goes on whatever becomes of Redis.

RQ ends a worker whose bookkeeping fails. Here what fails for Redis' sake (away, hanging, full, a
replica, its password changed) is reported once and left undone: the run goes on into its log.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import redis
import rq
import rq.job
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from rq.exceptions import DequeueTimeout, NoSuchJobError, StopRequested
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker_registration import clean_worker_registry, register

from backend.errors import BadInput, NotAvailable
from backend.system import preloading
from jobs.queueing import control, redis_names, redis_store, worker_requests
from jobs.queueing.job_calls import Job, Queue
from jobs.queueing.turns import Turns
from jobs.records import run_store
from jobs.records.status import Status
from jobs.system import devices
from jobs.system.processes import PARENT
from jobs.system.threads import guarded

_HEARTBEAT_SECONDS = 5.0
_BLOCK_SECONDS = 2
"""How long an idle worker waits in Redis for a job."""
_PAUSE_SECONDS = 1.0
"""Between two tries to reach Redis."""
_POLL_SECONDS = 0.1


def memory_limit() -> int:
    """Return the bytes a question or a check may use: BASIN_QUICK_GB, or 4 GB. Raises BadInput."""
    text = os.environ.get("BASIN_QUICK_GB", "4")
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 1e6:
        raise BadInput.at("BASIN_QUICK_GB", f"must be a number > 0, got {text!r}.")
    return int(limit * 1e9)


def _unless_away(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method so that it is left undone, with a report, when Redis fails."""

    @functools.wraps(method)
    def tried(self: BasinWorker, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except redis.RedisError as error:
            self.report_away(error)

    return tried


class BasinWorker(rq.Worker):
    """Worker that forks a process for each job, stops it by asking, and reports what became of
    it."""

    job_class = Job
    queue_class = Queue
    dequeue_timeout = _BLOCK_SECONDS
    connection_timeout = 5
    """seconds of a socket: longer than anything that blocks in Redis"""

    handle_execution_ended = _unless_away(rq.Worker.handle_execution_ended)
    handle_job_failure = _unless_away(rq.Worker.handle_job_failure)
    handle_job_success = _unless_away(rq.Worker.handle_job_success)
    heartbeat = _unless_away(rq.Worker.heartbeat)
    prepare_job_execution = _unless_away(rq.Worker.prepare_job_execution)
    register_birth = _unless_away(rq.Worker.register_birth)
    register_death = _unless_away(rq.Worker.register_death)
    set_current_job_working_time = _unless_away(rq.Worker.set_current_job_working_time)
    set_shutdown_requested_date = _unless_away(rq.Worker.set_shutdown_requested_date)
    set_state = _unless_away(rq.Worker.set_state)

    def __init__(self, kind: str, device: str, connection: redis.Redis) -> None:
        self.kind, self.device = kind, device
        self.current: str | None = None
        self.ended = threading.Event()
        self.beat: threading.Thread | None = None
        """reports that the worker is there, until it has ended"""
        self.asked = ""
        """what a person wants of it once its run has ended: `drain`, `restart` or nothing"""
        self.starts_anew = False
        self._away = False
        self._next_heartbeat = self._next_maintenance = 0.0
        name = redis_names.worker_name(kind, device)
        self.announcer: Any = None
        """publishes which parts it has, between jobs; None publishes nothing"""
        self._turns = Turns(device, name) if kind == redis_store.TRAIN else None
        self._limit = memory_limit()
        super().__init__(
            [redis_store.queue(kind, connection)],
            name=name,
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=30,
            job_monitoring_interval=1,
            log_job_description=False,
        )
        self.birth_date = self.last_heartbeat = now()  # also where Redis could not be told

    def describe(self) -> dict[str, Any]:
        """Describe the worker, as it is published every second."""
        return {
            "name": self.name,
            "queue": self.kind,
            "device": self.device,
            "device_name": devices.model_of(self.device),
            "num_devices": self._turns.num_devices if self._turns else 0,
            "host": socket.gethostname(),
            "home": str(run_store.home()),
            "pid": os.getpid(),
            "run": self.current,
            "asked": self.asked,
        }

    def take_request(self, request: str) -> None:
        """Take up what a person asks, which `dequeue_job_and_maintain_ttl` heeds between jobs."""
        if request in worker_requests.WORDS:
            self.asked = "" if request == worker_requests.RESUME else request
            self.log.info("asked to %s: %s", request, worker_requests.WORDS[request])

    def report_away(self, error: Exception) -> None:
        """Log that Redis fails, once for as long as it lasts."""
        if not self._away:
            self._away = True
            self.log.error("%s What is running goes on without it.", redis_store.unreachable(error))

    def _report_back(self) -> None:
        if self._away:
            self._away = False
            self.log.info("Redis does as it is told again")

    def _install_signal_handlers(self) -> None:
        """Take signals, and only then report: who reads of a worker may at once tell it to stop."""
        super()._install_signal_handlers()
        if self.beat is not None:
            self.beat.start()

    # ------------------------------------------------------------------ taking a job

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[rq.job.Job, rq.Queue]:
        """Wait for the next job, however long Redis is away."""
        while True:
            if self.asked == worker_requests.RESTART:
                self.starts_anew = True
                raise StopRequested
            try:
                self._keep_known()
                job = self._take(self.queues[0]) if not self.asked else None
            except redis.RedisError as error:
                self.report_away(error)
                time.sleep(_PAUSE_SECONDS)
                continue
            self._report_back()
            if job is not None:
                return job, self.queues[0]
            if self.asked:
                if self._turns is not None:
                    self._turns.release()  # devices that it gathered for a run to come
                time.sleep(_POLL_SECONDS)

    def _keep_known(self) -> None:
        if self.announcer is not None:
            self.announcer.look(self.connection)
        moment = time.monotonic()
        if moment >= self._next_heartbeat:
            self._next_heartbeat = moment + _HEARTBEAT_SECONDS
            super().heartbeat()
        if moment >= self._next_maintenance:
            self._next_maintenance = moment + 60.0
            self._tidy()

    def _tidy(self) -> None:
        """Register in RQ's books, which Redis may have lost, and drop from them what is long over.

        RQ's own way calls what jobs name.
        """
        self.connection.hset(self.key, mapping=self.serialize())
        register(self)
        if self.announcer is not None:
            self.announcer.write(self.connection)
        for queue in self.queues:
            clean_worker_registry(queue)
            for job_id in queue.intermediate_queue.get_job_ids():
                if not self.connection.exists(Job.key_for(job_id)):  # of a worker that was killed
                    queue.intermediate_queue.remove(job_id)
            for registry in (
                queue.started_job_registry,
                queue.finished_job_registry,
                queue.failed_job_registry,
            ):
                self.connection.zremrangebyscore(registry.key, 0, time.time())

    def run_maintenance_tasks(self) -> None:
        """Do nothing: RQ's would fail jobs just taken, and look into other homes' jobs."""

    def check_for_suspension(self, burst: bool) -> None:
        """Do nothing: `rq suspend` is for every worker of a Redis, whoever shares it."""

    def _take(self, queue: rq.Queue) -> Job | None:
        """Take the next job of a queue that this worker can do; None when there was none in
        time."""
        job_id = self._next_id(queue)
        if job_id is None:
            return None
        try:
            job = cast(
                Job, Job.fetch(job_id, connection=self.connection, serializer=JSONSerializer)
            )
        except NoSuchJobError:
            refused = "its job is gone"
        except (redis.RedisError, StopRequested):
            raise
        except Exception as error:  # a foreign value in one of its fields
            refused = f"it cannot be read: {error}"
        else:
            refused = job.refusal(queue.name)
            if not refused:
                return job
            job.origin = queue.name
            self.handle_job_failure(job, queue, exc_string=f"Refused: {refused}.")
        self.log.error("refused job %s: %s", job_id, refused)
        queue.intermediate_queue.remove(job_id)
        if self._turns is not None:
            self._turns.release()
        return None

    def _next_id(self, queue: rq.Queue) -> str | None:
        if self._turns is None:
            try:
                reply = Queue.lmove(self.connection, queue.key, _BLOCK_SECONDS)
            except DequeueTimeout:
                return None
            return None if reply is None else reply[1].decode()
        job_id = self._turns.take(queue)
        if job_id is None:
            time.sleep(_POLL_SECONDS)
        return job_id

    # ------------------------------------------------------------------ doing it

    def execute_job(self, job: rq.job.Job, queue: rq.Queue) -> None:
        """Run a job, then give back its devices."""
        self.current = job.id
        try:
            super().execute_job(job, queue)
        except redis.RedisError as error:  # before its process began: it is queued again
            self.report_away(error)
        finally:
            self.current = None
            if self._turns is not None:
                self._turns.release()

    def main_work_horse(self, job: rq.job.Job, queue: rq.Queue) -> None:
        """Run a job in this forked process, limited to its devices or its memory."""
        os.environ[PARENT] = str(os.getppid())
        os.environ["BASIN_WORKER"] = self.name
        if self._turns is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._turns.selectors()
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            limit_memory(self._limit)
        preloading.forget_edited()
        super().main_work_horse(job, queue)

    def maintain_heartbeats(self, job: rq.job.Job) -> None:
        """Report that a job goes on, every second; end a question that nobody waits for."""
        try:
            if self.kind != redis_store.TRAIN and not self.connection.hexists(job.key, "data"):
                self.log.info("nobody waits for job %s any more", job.id)
                self.kill_horse()
            elif time.monotonic() >= self._next_heartbeat:
                self._next_heartbeat = time.monotonic() + _HEARTBEAT_SECONDS
                super().maintain_heartbeats(job)
                self._report_back()
        except redis.RedisError as error:
            self.report_away(error)

    def monitor_work_horse(self, job: rq.job.Job, queue: rq.Queue) -> None:
        """Wait for a job's process, and write down its end if it did not."""
        pid = self.horse_pid
        try:
            super().monitor_work_horse(job, queue)
            queue.intermediate_queue.remove(job.id)
        except redis.RedisError as error:  # raised by its last look into the books alone
            self.report_away(error)
        if self.kind == redis_store.TRAIN:
            how = f"Its process {pid} ended without a word (killed, or out of memory)."
            try:
                control.horse_ended(job.id, pid, how)
            except (BadInput, NotAvailable, OSError):
                pass  # deleted meanwhile; else whoever reconciles sees to it
            except Exception:  # one run's trouble is not that of those that wait
                self.log.exception("what became of %s could not be written down", job.id)

    # ------------------------------------------------------------------ ending

    def teardown(self) -> None:
        """Leave the list of workers."""
        if not self.is_horse:
            self.ended.set()
            if self.beat is not None:
                self.beat.join(2.0)  # else its last word would bring the name back
            with contextlib.suppress(redis.RedisError):
                redis_store.forget_worker(self.connection, self.name)
        with contextlib.suppress(redis.RedisError):
            super().teardown()

    def handle_warm_shutdown_request(self) -> None:
        """Ask the run to stop: its process takes SIGTERM for a stop with a checkpoint."""
        super().handle_warm_shutdown_request()
        # Whoever stops the worker may stop Redis next: do not wait for one that is gone.
        self.connection.set_retry(Retry(ConstantBackoff(0.2), 1, (redis.ConnectionError,)))
        if self.horse_pid:
            with contextlib.suppress(OSError):
                os.kill(self.horse_pid, signal.SIGTERM)
            guarded("shutdown", self._kill_late, lambda error: self.kill_horse()).start()

    def _kill_late(self) -> None:
        """End the process once it has had its time; a long checkpoint is let be written."""
        since, run = time.monotonic(), self.current
        while self.horse_pid and run is not None and self.current == run:
            status = Status(run)
            if self.kind == redis_store.TRAIN:
                with contextlib.suppress(BadInput, NotAvailable, OSError):
                    status = run_store.open_run(run).written_status()
            if control.is_overdue(status, time.monotonic() - since):
                self.kill_horse()
                return
            time.sleep(0.5)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Log an error of Redis' channel and go on listening."""
        self.log.debug("the channel of commands: %s", exc)
        time.sleep(_PAUSE_SECONDS)


def limit_memory(num_bytes: int) -> None:
    """Limit the memory this process may take beyond what it has: then it gets a MemoryError."""
    used = 0
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        used = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = used + num_bytes
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
