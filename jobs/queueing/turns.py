"""Turns: the choice of the waiting run that a train worker takes, and of its devices.

There is one queue of runs. A worker takes the first run that it can do: one that asks for `cuda`
only where there are devices, one on several processes only with a device for each. The devices of
a machine are held by locks in BASIN_HOME/devices while a run is on them, so that a run on two does
not share the second with the run of the worker whose device it is. While a worker gathers the
devices of a run that is next, the others of its machine begin nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import redis
import rq

from backend.spec import RunSpec
from backend.system.home import home, make_private
from jobs.models import run_parts
from jobs.queueing import redis_names, redis_store
from jobs.records.status import hostname
from jobs.system import devices

_LOOKED_AT = 200
"""Number of waiting runs examined; those that nobody can take stay at the front."""
_DRAINED = (
    "Every worker is drained; it waits until one takes runs again: System, or "
    "`basin workers resume train`."
)
_TAKE = """
local has = nil
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local meta = redis.call('HGET', ARGV[1] .. id, 'meta')
  local known, needs = pcall(cjson.decode, meta or '{}')
  if not known or type(needs) ~= 'table' then needs = {} end
  local here, held = tonumber(ARGV[2]), tonumber(ARGV[3])
  local device, num = needs['device'], tonumber(needs['processes']) or 1
  if device == 'cpu' then num = 1 end
  local here_fits = (here == 0 and device ~= 'cuda') or (here > 0 and num <= here)
  if here_fits and type(needs['parts']) == 'table' then
    if has == nil then
      local text = redis.call('HGET', KEYS[3], ARGV[4])
      has = {}
      for _, part in ipairs(text and cjson.decode(text) or {}) do has[part] = true end
      if not text then has = false end
    end
    if has then
      for _, part in ipairs(needs['parts']) do here_fits = here_fits and has[part] end
    end
  end
  if here_fits then
    if here == 0 or num <= held then
      redis.call('LREM', KEYS[1], 1, id)
      redis.call('LPUSH', KEYS[2], id)
      return {id, num, 1}
    end
    return {id, num, 0}
  end
end
return false
"""
"""The first run of the queue that fits: its id, how many devices it needs, whether it was taken.
A worker with devices takes it when it holds enough of them; one that has said which parts it has
leaves what needs others."""


def needs_of(spec: RunSpec) -> dict[str, Any]:
    """Extract what a run needs of the worker that takes it: `device`, `processes`, `parts`."""
    return {
        "device": spec.device.partition(":")[0],
        "processes": spec.processes,
        "parts": run_parts.of_spec(spec),
    }


def fits(needs: dict[str, Any], num_devices: int) -> bool:
    """Return True when a worker of a machine with so many NVIDIA devices may take such a run.

    num_devices: 0 for a worker on the CPU.
    """
    if num_devices == 0:
        return bool(needs.get("device") != "cuda")
    return needs.get("device") == "cpu" or int(needs.get("processes", 1)) <= num_devices


class Turns:
    """Devices that a train worker may use, and the locks of those it holds."""

    def __init__(self, device: str, worker: str = "") -> None:
        """`worker`: its name, under which it says which parts it has."""
        self._worker = worker
        self._devices = devices.selectors_of(device)
        self._held: dict[str, int | None] = {}

    @property
    def num_devices(self) -> int:
        """Number of devices it may use."""
        return len(self._devices)

    def take(self, queue: rq.Queue) -> str | None:
        """Move the next run to the intermediate queue; returns its id, None when there is none yet.

        Raises RedisError.
        """
        if self._devices and not self._may_begin():
            return None
        held = [name for name in self._devices if name in self._held]
        script = queue.connection.register_script(_TAKE)
        reply: Any = script(
            keys=[queue.key, queue.intermediate_queue_key, redis_names.parts_key()],
            args=[
                queue.job_class.redis_job_namespace_prefix,
                len(self._devices),
                len(held),
                self._worker,
            ],
        )
        if reply is None:
            self.release()
            return None
        job_id, num, is_taken = reply
        if not is_taken:
            return self.take(queue) if self._gather(int(num)) else None
        self._release("gather")
        for name in held[int(num) :]:
            self._release(name)
        return str(job_id.decode())

    def selectors(self) -> str:
        """Return CUDA_VISIBLE_DEVICES of the run that was taken, this worker's device first."""
        return ",".join(name for name in self._devices if name in self._held)

    def release(self) -> None:
        """Release every device."""
        for name in list(self._held):
            self._release(name)

    def _may_begin(self) -> bool:
        """Hold the worker's own device, unless another run or a worker that gathers has it."""
        if "gather" in self._held:
            return True
        if self._hold(self._devices[0]) and self._hold("gather"):
            self._release("gather")
            return True
        self.release()
        return False

    def _gather(self, num: int) -> bool:
        """Hold up to `num` devices, those that are free by now. True when there are enough."""
        if not self._hold("gather"):
            self.release()
            return False
        held = 0
        for name in self._devices:
            held += held < num and self._hold(name)
        return held == num

    def _hold(self, name: str) -> bool:
        if name not in self._held:
            safe = re.sub(r"[^\w-]", "_", f"{hostname()}-{name}")
            descriptor = None
            try:
                folder = home() / "devices"
                make_private(folder)
                descriptor = os.open(folder / f"{safe}.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(cast(int, descriptor))
                return False
            except OSError:
                pass  # a full disk, or one without locks: training goes before
            self._held[name] = descriptor
        return True

    def _release(self, name: str) -> None:
        descriptor = self._held.pop(name, None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # for the run's process too
            os.close(descriptor)


def stuck(
    connection: redis.Redis, queue: rq.Queue, workers: list[dict[str, Any]]
) -> dict[str, str]:
    """Explain, by run id, why runs wait that no living worker can take.

    Of the first in the queue; what waits its turn is left out. Raises RedisError.
    """
    training = [worker for worker in workers if worker["alive"] and worker["queue"] == "train"]
    taking = [worker for worker in training if redis_store.takes_runs(worker)]
    here = {str(worker["name"]): int(worker.get("num_devices", 0)) for worker in taking}
    announced = parts_of(connection, taking)
    run_ids = queue.get_job_ids(0, _LOOKED_AT) if training else []
    if not here:
        return dict.fromkeys(run_ids, _DRAINED)
    pipeline = connection.pipeline(transaction=False)
    for run_id in run_ids:
        pipeline.hget(queue.job_class.key_for(run_id), "meta")
    reasons = {}
    for run_id, meta in zip(run_ids, pipeline.execute(), strict=True):
        try:
            needs = dict(json.loads(meta or b"{}"))
            able = [name for name, num in here.items() if fits(needs, num)]
            if not able:
                reasons[run_id] = _sentence(needs, max(here.values()))
                continue
            gaps = {name: _gap(needs, announced[name]) for name in able}
            if all(gaps.values()):
                reasons[run_id] = _without_parts(gaps)
        except (ValueError, TypeError):
            continue  # a worker refuses it
    return reasons


def parts_of(
    connection: redis.Redis, workers: Iterable[Mapping[str, Any]]
) -> dict[str, set[str] | None]:
    """Read what workers have, by their names; None for one that has not said. Raises RedisError."""
    names = [str(worker["name"]) for worker in workers]
    values: Any = connection.hmget(redis_names.parts_key(), names) if names else []
    announced: dict[str, set[str] | None] = dict.fromkeys(names)
    for name, value in zip(names, values, strict=True):
        with contextlib.suppress(ValueError, TypeError):
            announced[name] = {str(part) for part in json.loads(value)}
    return announced


def _gap(needs: dict[str, Any], announced: set[str] | None) -> list[str]:
    """Parts of a run that a worker lacks; none where it has not said what it has."""
    needed = needs.get("parts", [])
    return [] if announced is None else sorted(set(map(str, needed)) - announced)


def _without_parts(gaps: dict[str, list[str]]) -> str:
    lacking = "; ".join(f"{name} lacks {', '.join(gap)}" for name, gap in gaps.items())
    return (
        f"No worker has all that it needs: {lacking}. Put the plug-in into BASIN_HOME/plugins "
        "where a worker runs, or name its folder there in BASIN_PLUGINS; it waits for one."
    )


def _sentence(needs: dict[str, Any], most: int) -> str:
    num = int(needs.get("processes", 1))
    if num <= 1:
        return "No worker here has an NVIDIA device; it waits for one (`device: auto` does not)."
    there = f"the largest here has {most}" if most else "none here has any"
    return f"It needs a machine with {num} NVIDIA devices, and {there}; it waits for one."
