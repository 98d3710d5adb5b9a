"""Tracking: a run that the user's own loop trains, recorded as any other run is."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import BadInput
from backend.events import Cost, Event, Field, Histogram, Images, Points, Text, Trajectory
from basin.arrays import array_of, float32, pixels_of
from basin.beat import OwnBeat
from basin.creating import METHOD
from jobs.execution import outcome
from jobs.execution.alarms import Alarms
from jobs.execution.emitter import CannotWrite, Emitter
from jobs.execution.outcome import Outcome
from jobs.execution.reporter import Reporter
from jobs.records import attempts
from jobs.records.progress import CLOSING, FIGURES, LOOKING, TRAINING
from jobs.records.run_directory import RunDirectory
from jobs.records.status import OWN_SCRIPT

if TYPE_CHECKING:
    from basin.watching import Watching

HEADLINE = ("loss/total", "quality/grid_kl", "density/log_likelihood", "quality/energy_distance")
FLUSH_SECONDS = 0.1
FLUSH_ROWS = 1024
NOT_FINITE = "alarm/not_finite"
_LOSS, _CHART = "loss", "loss/total"
_open: set[Run] = set()


class Run:
    """Run of the user's own loop. Its calls never raise for what the disk or Basin does; those of
    one thread at a time.

    As a context manager it ends `finished`, or `failed` with the traceback.
    """

    def __init__(self, directory: RunDirectory, steps: int | None = None) -> None:
        self.directory, self._steps = directory, steps
        self.id = directory.id
        self._pid = os.getpid()
        self._stack = contextlib.ExitStack()
        attempt = self._stack.enter_context(attempts.begin(directory))
        directory.write_status(**attempt.facts(), worker=OWN_SCRIPT, started=time.time())
        self._alarms = Alarms()
        self._emitter = Emitter(directory, alarms=self._alarms)
        self._reporter = Reporter(self._emitter, HEADLINE)
        self._beat = OwnBeat(directory, self._emitter, self._alarms, self._flush, self._facts)
        self._lock = threading.RLock()
        self._paths: tuple[str, ...] = ()
        self._rows: list[list[float]] = []
        self._first = self._last = Cost()
        self._stride, self._next_flush = 0, 0.0
        self._began = time.perf_counter()
        self._looked = 0.0
        """seconds of looking, which are not the training's"""
        self._watching: Watching | None = None
        self._checkpoint: int | None = None
        self._trouble = False
        self._is_open = True
        self._beat.progress.doing = TRAINING
        self._beat.start()
        _open.add(self)

    def __repr__(self) -> str:
        return f"Run({self.id})"

    # ------------------------------------------------------------------ what the loop says

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers, or 0-d tensors, by path; `loss` is filed as `loss/total`.

        step: of the optimiser; by default one more than at the last call. Never goes back: what is
        logged at an earlier step is filed at the last one. Raises BadInput for what is no number.
        """
        if not self._is_open:
            return
        try:
            row = [v.item() if hasattr(v, "item") else float(v) for v in values.values()]
        except (TypeError, ValueError, RuntimeError) as error:
            raise BadInput.at("values", f"must be numbers by path: {error}.") from error
        paths = tuple(values)
        now = time.perf_counter()
        with self._lock:
            before = self._last.step
            at = before + 1 if step is None else max(int(step), before)
            if paths != self._paths or (len(self._rows) > 1 and at - before != self._stride):
                self._flush()
                self._paths = paths
            self._last = Cost(at, 0, now - self._began - self._looked)
            if not self._rows:
                self._first = self._last
            self._stride = at - before
            self._rows.append(row)
            self._beat.progress.step = at
            if now >= self._next_flush or len(self._rows) >= FLUSH_ROWS:
                self._flush()
        if self._watching is not None and self._watching.is_due(at):
            self._look(self._watching.look)

    def samples(self, x: Any, path: str = "samples/model", **extra: Any) -> None:
        """Show samples: points (num, dim), or images (num, height, width[, channels])."""
        array = array_of("x", x, 2, 3, 4)
        if array.ndim == 2:
            self.points(array, path, **extra)
        else:
            self.images(array, path, **extra)

    def points(
        self,
        positions: Any,
        path: str = "points",
        *,
        role: str = "train_time",
        energies: Any = None,
        labels: Any = None,
    ) -> None:
        """Show points (num, dim) in your units, with energies (num,) or classes (num,)."""
        self._emit(
            Points(
                path,
                float32("positions", positions, 2),
                role,
                None if energies is None else float32("energies", energies, 1),
                None if labels is None else array_of("labels", labels, 1).astype(np.int32),
            )
        )

    def images(
        self, pixels: Any, path: str = "images", *, role: str = "train_time", energies: Any = None
    ) -> None:
        """Show images (num, height, width) or (num, height, width, channels)."""
        values, low, high = pixels_of("pixels", pixels)
        own = None if energies is None else float32("energies", energies, 1)
        self._emit(Images(path, values, role, low, high, own))

    def histogram(
        self,
        path: str,
        values: Any,
        *,
        num_bins: int = 60,
        unit: str = "",
        role: str = "train_time",
    ) -> None:
        """Show the histogram of any number of values, or of several sets of them by name."""
        sets = values if isinstance(values, Mapping) else {role: values}
        arrays = {
            str(key): array_of("values", item).ravel().astype(float) for key, item in sets.items()
        }
        if not 1 <= num_bins <= 10_000:
            raise BadInput.at("num_bins", f"must be 1 to 10,000, got {num_bins}.")
        finite = {key: item[np.isfinite(item)] for key, item in arrays.items()}
        if not (whole := [item for item in finite.values() if len(item)]):
            raise BadInput.at("values", "must hold a finite number, got none.")
        edges = np.histogram_bin_edges(np.concatenate(whole), num_bins)
        counts = [
            np.histogram(item, edges)[0] / max(len(arrays[key]), 1) for key, item in finite.items()
        ]
        clipped = [[0, len(arrays[key]) - len(item)] for key, item in finite.items()]
        self._emit(
            Histogram(
                path,
                edges.astype(np.float32),
                np.array(counts, np.float32),
                list(arrays),
                np.array(clipped, np.int32),
                unit,
            )
        )

    def field(
        self,
        path: str,
        values: Any,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        quantity: str = "energy",
    ) -> None:
        """Show a scalar over a plane, (height, width): row 0 is the lowest y."""
        array = float32("values", values, 2)
        across, up = ((float(low), float(high)) for low, high in (x_range, y_range))
        self._emit(Field(path, array, across, up, quantity))

    def trajectory(
        self, positions: Any, path: str = "chains/walk", *, role: str = "train_time"
    ) -> None:
        """Show the paths of chains, (steps, chains, dim), in your units."""
        self._emit(Trajectory(path, float32("positions", positions, 3), role))

    def text(self, path: str, message: str, level: str = "info") -> None:
        """Say a sentence. Level: info, warning or alarm; the last two stand in the run's alarms."""
        if level not in ("info", "warning", "alarm"):
            raise BadInput.at("level", f"must be info, warning or alarm, got {level!r}.")
        self._emit(Text(path, message, level))

    # ------------------------------------------------------------------ what Basin draws

    def energy(self, model: Any) -> None:
        """Draw landscape, histograms, chains, long-run samples, their diagnostics, floors and
        alarms of an energy, as training goes on: at the calls of `log`, in a tenth of the time.

        model: a torch module or a callable x -> E(x), (num, *event_shape) in your units to (num,),
        p(x) ∝ exp(−E(x)). It is put into evaluation mode to look and back; all draws are from
        generators of Basin's own. Raises BadInput for another shape, or where `track` had no data.
        """
        from basin.watching import Watching

        self._watching = Watching(self.directory, model, self._reporter, self._steps)
        self._look(self._watching.begin)

    def checkpoint(self, model: Any, step: int | None = None) -> Path:
        """Save the weights of a torch module, or a state dict, as safetensors; returns the file.

        Raises BadInput for anything else, OSError.
        """
        state = model.state_dict() if hasattr(model, "state_dict") else model
        if not isinstance(state, Mapping) or not all(hasattr(v, "detach") for v in state.values()):
            raise BadInput.at("model", "must be a torch module or its flat state dict of tensors.")
        tensors = {
            str(name): value.detach().cpu().contiguous().clone() for name, value in state.items()
        }
        with self._lock:
            self._flush()
            at = self._last.step if step is None else int(step)
            meta = {"method": METHOD, "state": {}, "cost": list(self._last._replace(step=at))}
        place = self.directory.save_checkpoint(at, tensors, meta)
        self._checkpoint = at
        return place

    @property
    def should_stop(self) -> bool:
        """Return True once somebody asked the run to stop on its page: end the loop then."""
        return self._beat.request is not None

    def figure(self, *paths: str) -> Any:
        """Draw curves or a picture as they are now, as `basin.open(RUN).figure`."""
        from basin.reading import OpenRun

        self._guarded(self._flush_all)
        return OpenRun(self.directory).figure(*paths)

    # ------------------------------------------------------------------ its end

    def finish(self) -> None:
        """End the run: the last look at its energy, its final figures, and its last word.

        `stopped` where somebody asked for that, else `finished`. Ends once.
        """
        if self._beat.request is not None:
            self._end(outcome.ended_by("stop", self._last.step, False))
            return
        if self._is_open and self._watching is not None:
            self._beat.progress.doing = FIGURES
            self._look(self._watching.judge)
        self._end(Outcome("finished"))

    def fail(self, error: BaseException) -> None:
        """End the run as failed, with the traceback of an error; an interrupted one is stopped."""
        if isinstance(error, KeyboardInterrupt):
            self._end(Outcome("stopped", f"Interrupted after step {self._last.step:,}."))
            return
        trace = "".join(traceback.format_exception(error))
        self._guarded(lambda: self.directory.write_trace(trace))
        message = outcome.sentence(error)
        reason = f"Failed after step {self._last.step:,}: {message}"
        problem = {"field": "", "message": message, "step": self._last.step}
        self._end(Outcome("failed", reason, problem))

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
        else:
            self.fail(error)

    def _end(self, ended: Outcome) -> None:
        if not self._is_open or os.getpid() != self._pid:
            return
        self._is_open = False
        _open.discard(self)
        self._beat.progress.doing = CLOSING
        with self._stack:
            self._guarded(self._flush)
            self._guarded(
                lambda: self._emitter.text(
                    "run/ended", ended.reason or "Finished.", self._last, ended.level
                )
            )
            self._beat.stop()
            self._guarded(self._emitter.close)
            self._guarded(self.directory.clear_request)
            self._guarded(
                lambda: self.directory.write_status(
                    **{
                        **self._facts(),
                        "fraction": 1.0 if ended.status == "finished" else self._fraction(),
                    },
                    status=ended.status,
                    reason=ended.reason,
                    problem=ended.problem,
                    ended=time.time(),
                    seconds_left=None,
                    doing="",
                )
            )
            self._guarded(self.directory.compact)

    # ------------------------------------------------------------------ how it is written

    def _emit(self, event: Event) -> None:
        if self._is_open:
            with self._lock:
                self._flush()
                self._guarded(lambda: self._reporter.emit([event], self._last))

    def _flush(self) -> None:
        """Hand rows over as one block, `loss` under the name that charts know."""
        with self._lock:
            self._next_flush = time.perf_counter() + FLUSH_SECONDS
            if not self._rows:
                return
            rows, self._rows = np.array(self._rows, np.float32), []
            paths = [_CHART if path == _LOSS else path for path in self._paths]
            first, last = self._first, self._last
        for column in np.flatnonzero(~np.isfinite(rows).all(0)):
            path = paths[column]
            if self._alarms.add(f"{NOT_FINITE}/{path}", f"`{path}` is not finite.", last.step):
                self._emitter.remark(f"{NOT_FINITE}/{path}", f"`{path}` is not finite.", last)
        self._guarded(lambda: self._reporter.emit_rows(paths, rows, first, last))

    def _flush_all(self) -> None:
        self._flush()
        self._emitter.flush()

    def _look(self, look: Callable[[Cost], None]) -> None:
        """Look at the energy between two steps; what goes wrong is said, and training goes on."""
        self._flush()
        start = time.perf_counter()
        with self._beat.progress.during(LOOKING):
            self._guarded(lambda: look(self._last))
        self._looked += time.perf_counter() - start

    def _guarded(self, act: Callable[[], Any]) -> None:
        """Act; a record that cannot be written is said once, and is no error of the training."""
        try:
            act()
        except (CannotWrite, OSError) as error:
            if not self._trouble:
                self._trouble = True
                warnings.warn(f"Basin no longer records {self.id}: {error}", stacklevel=4)

    def _fraction(self) -> float:
        return min(self._last.step / self._steps, 1.0) if self._steps else 0.0

    def _facts(self) -> dict[str, Any]:
        """Return the fields of the status that follow the training."""
        return {
            "step": self._last.step,
            "seconds": self._last.seconds,
            "observe_seconds": self._looked,
            "checkpoint_step": self._checkpoint,
            "alarms": self._alarms.listed(),
            **({} if self._steps is None else {"fraction": self._fraction()}),
            **self._reporter.summary(),
        }


# ---------------------------------------------------------------------- scripts that just end

_before = sys.excepthook


def _record(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    for run in list(_open):
        run.fail(error)
    _before(kind, error, trace)


sys.excepthook = _record


@atexit.register
def _finish_open() -> None:
    for run in list(_open):
        run.finish()
