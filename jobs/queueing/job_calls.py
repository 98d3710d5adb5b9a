"""Job calls: a few functions by name, signed by the home that asks for them.

Who can write to Redis can neither have another function called nor these with arguments of their
own. RQ's callbacks, webhooks, dependencies, repeats and retries, which call by name or move jobs
about, are not read at all.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
from collections.abc import Callable
from typing import Any

import rq
import rq.job
from rq.exceptions import DeserializationError

from jobs.queueing import redis_names

CALLS: dict[str, tuple[type, ...]] = {
    "jobs.tasks.train": (str,),
    "jobs.tasks.check_job": (dict,),
    "jobs.tasks.previews_job": (list,),
    "jobs.tasks.look_job": (dict,),
    "jobs.tasks.offers_job": (str,),
    "jobs.tasks.sample_job": (str, dict),
    "jobs.tasks.energy_job": (str, list),
    "jobs.tasks.ask_job": (str, str, dict, int),
    "jobs.tasks.draw_set_job": (dict,),
    "jobs.tasks.draw_grid_job": (str,),
}
"""Functions that a job may call, with the types of their arguments."""
_SIGNATURE = "signature"
_READ = frozenset(
    {
        "data",
        "origin",
        "status",
        "worker_name",
        "description",
        "meta",
        "created_at",
        "enqueued_at",
        "started_at",
        "ended_at",
        "last_heartbeat",
        "timeout",
        "result_ttl",
        "failure_ttl",
        "ttl",
    }
)
"""Fields of a job that are taken from Redis."""


class Job(rq.job.Job):
    """Job that calls one of `CALLS` and nothing else."""

    _signed = False

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        """Return the fields to store, the signature among them."""
        fields: dict[str, Any] = super().to_dict(include_meta, include_result)
        fields[_SIGNATURE] = self._signature(fields["data"])
        return fields

    def restore(self, raw_data: dict[Any, Any]) -> None:
        """Take up the fields in `_READ`, and check the signature."""
        fields = {_text(name): value for name, value in raw_data.items()}
        signature = fields.get(_SIGNATURE, b"")
        self.origin = _text(fields.get("origin", b""))
        expected = self._signature(fields.get("data", b""))
        self._signed = hmac.compare_digest(_text(signature).encode(), expected.encode())
        super().restore({name: value for name, value in fields.items() if name in _READ})

    def _signature(self, data: bytes) -> str:
        content = b"\0".join((self.id.encode(), self.origin.encode(), data))
        return hmac.new(redis_names.home_key(), content, hashlib.sha256).hexdigest()

    def refusal(self, queue: str) -> str:
        """Explain why this job, taken from a queue, is refused; "" for one that is not."""
        if not self._signed or self.origin != queue:
            return "it was not made by this home for this queue"
        try:
            name, arguments = str(self.func_name), tuple(self.args)
            is_plain = self.instance is None and not self.kwargs
        except (DeserializationError, TypeError) as error:
            return f"it cannot be read: {error}"
        if name not in CALLS:
            return f"`{name}` is not among what a job may call"
        fits = [isinstance(a, b) for a, b in zip(arguments, CALLS[name], strict=False)]
        if not is_plain or len(arguments) != len(CALLS[name]) or not all(fits):
            return f"`{name}` takes other arguments"
        if name == "jobs.tasks.train" and arguments != (self.id,):
            return "it trains another run than it says"
        return ""

    @property
    def func(self) -> Callable[..., Any]:
        """Function to call, looked up only where it is one of `CALLS`. Raises PermissionError."""
        if self.func_name not in CALLS:
            raise PermissionError(f"`{self.func_name}` is not among what a job may call")
        module, _, name = self.func_name.rpartition(".")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function

    def perform(self) -> Any:
        """Call the function. Unlike RQ's, writes nothing to Redis, which may refuse."""
        self._result = self._execute()
        return self._result


class Queue(rq.Queue):
    """Queue of `Job`s."""

    job_class = Job

    def enqueue_dependents(self, *arguments: Any, **named: Any) -> None:
        """Do nothing: no job waits for another."""


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
