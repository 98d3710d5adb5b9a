"""Jobs that draw sample sets: asked for and followed without waiting. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from backend.errors import NotAvailable
from jobs.models import fingerprints
from jobs.queueing import redis_store
from jobs.queueing.job_calls import Queue
from jobs.queueing.spec_paths import Origin, absolute_config
from jobs.records import run_store, sample_sets
from jobs.records.sample_sets import Request, SampleSet, Source

_MOST_SECONDS = 3600
"""Of drawing one set."""
_RESULT_SECONDS = 60


def request(
    run_id: str,
    config: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    step: int | None = None,
    source: Source = "model",
    origin: Origin = "browser",
    ability: str = "",
    array: str = "",
) -> Request:
    """Ask for samples of a run at a kept checkpoint, the newest where no step is named.

    config: fields of the ability `sample`, 64 samples where it gives no `num`; or of another one,
    whose answer holds them in an `array`. Raises BadInput, NotAvailable.
    """
    num = {} if ability else {"num": sample_sets.DEFAULT_NUM}
    fields = absolute_config({**num, **(config or {})}, origin)
    return sample_sets.request(
        run_id,
        fields,
        code=fingerprints.code_now(),
        seed=seed,
        step=step,
        source=source,
        ability=ability,
        array=array,
        beside=_beside(fields),
    )


def _beside(config: Mapping[str, Any]) -> list[Path]:
    """List the files that a question reads beside its run. Raises BadInput, NotAvailable."""
    files = [Path(config[name]) for name in ("path", "mask_path") if config.get(name)]
    for run in config.get("runs") or ():
        directory = run_store.open_run(run)
        files += [
            sample_sets.checkpoint_of(directory, step) for step in directory.checkpoints()[-1:]
        ]
    return files


def draw(wanted: Iterable[Request], name: str = "") -> list[SampleSet]:
    """Queue the sets that are not there yet; returns all of them, in order, as they are now.

    `sample_sets.open_set` tells how far each is. Raises BadInput, NotAvailable without Redis or
    without a worker that draws.
    """
    with redis_store.reaching():
        queue = quick_queue()
        sets = []
        for each in wanted:
            num = each.config.get("num", sample_sets.DEFAULT_NUM)
            known = sample_sets.begin(each, num if isinstance(num, int) else 0, name)
            sets.append(known)
            job_id = f"set-{known.id}"
            if known.state != "waiting" or queue.get_job_position(job_id) is not None:
                continue
            queue.enqueue(
                "jobs.tasks.draw_set_job",
                each._asdict(),
                job_id=job_id,
                job_timeout=_MOST_SECONDS,
                result_ttl=_RESULT_SECONDS,
                failure_ttl=_RESULT_SECONDS,
                description=f"draw {known.id}",
            )
    return sets


def quick_queue() -> Queue:
    """Return the queue of the quick workers. Raises NotAvailable where none is there to draw, and
    what Redis raises."""
    connection = redis_store.connect()
    redis_store.need_own_home(connection)
    alive = redis_store.workers(connection)
    if not any(each["alive"] and each["queue"] == redis_store.QUICK for each in alive):
        raise NotAvailable("No quick worker is running. Start one with `basin up`.")
    return redis_store.queue(redis_store.QUICK, connection)
