"""Checkpointer: saves a run's method when a checkpoint is due, and restores it from the newest."""

from __future__ import annotations

import math
import time
from typing import Any

from backend.events import Cost
from jobs.execution.cadence import Cadence
from jobs.execution.emitter import CannotWrite
from jobs.models import method_state
from jobs.models.method_setup import Prepared, check_checkpoint
from jobs.records.progress import SAVING, Progress
from jobs.records.run_directory import RunDirectory


class Checkpointer:
    """Checkpoints of one run: the first after seconds, the next ones ever further apart."""

    def __init__(
        self,
        directory: RunDirectory,
        prepared: Prepared,
        fingerprints: dict[str, Any],
        cadence: Cadence,
        progress: Progress,
    ) -> None:
        self.directory, self.prepared, self.fingerprints = directory, prepared, fingerprints
        self.cadence, self.progress = cadence, progress
        self.step: int | None = None
        """of the newest checkpoint"""
        self.passed_over = ""
        """a sentence about a checkpoint that could not be read"""
        self.next_time = math.inf

    def restore(self) -> tuple[Cost, float]:
        """Restore the newest checkpoint; returns its cost and the seconds of observing before it.

        Raises BadInput for another method's checkpoint, NotAvailable for one that does not fit.
        """
        checkpoint = self.directory.load_checkpoint()
        if (newest := self.directory.checkpoints()[-1]) != checkpoint.step:
            self.passed_over = (
                f"The checkpoint of step {newest:,} cannot be read; the run goes on from that of "
                f"step {checkpoint.step:,}."
            )
        meta, method = checkpoint.meta, self.prepared.method
        check_checkpoint(meta, self.prepared.spec.method)
        method_state.restore(method, checkpoint.tensors, meta["state"], self.prepared.device)
        return Cost(*meta["cost"]), float(meta["observe_seconds"])

    def start(self) -> None:
        """Begin to count the time to the first checkpoint."""
        self.next_time = time.monotonic() + self.cadence.first_checkpoint

    def is_due(self, now: float) -> bool:
        """Return True once it is time; `now` is monotonic."""
        return now >= self.next_time

    def save(self, cost: Cost, observe_seconds: float, elapsed: float = math.inf) -> None:
        """Save the step of `cost`, unless it is saved already, and set the time of the next one.

        elapsed: seconds since training started. Only after a flush, when the guard has seen all.
        Raises CannotWrite.
        """
        start = time.monotonic()
        if self.step != cost.step:
            with self.progress.during(SAVING):
                self._write(cost, observe_seconds)
        now, cadence = time.monotonic(), self.cadence
        rest = min(max(elapsed, cadence.first_checkpoint), cadence.checkpoint_seconds)
        self.next_time = now + max(rest, (now - start) / cadence.checkpoint_share)

    def _write(self, cost: Cost, observe_seconds: float) -> None:
        tensors, tree = method_state.collect(self.prepared.method)
        meta = {
            "method": self.prepared.spec.method,
            "config": self.prepared.config.model_dump(mode="json"),
            "cost": list(cost),
            "observe_seconds": observe_seconds,
            "made_of": self.fingerprints,
            "state": tree,
        }
        try:
            self.directory.save_checkpoint(cost.step, tensors, meta)
            self.directory.write_status(checkpoint_step=cost.step)
            self.directory.sync()
        except OSError as error:
            raise CannotWrite.of(error) from error
        self.step = cost.step
