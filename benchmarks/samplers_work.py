"""Work that all subjects of the sampler benchmark share, and how a worker is spoken to.

Needs numpy alone, so that it runs in Basin's environment and in the peers' alike.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CENTRES, RADIUS, SD = 8, 2.0, 0.3
BARRIER, WELL = 4.0, 2.0
WALL = 0.05
DIMENSION, CONDITION = 100, 1e3
NUM_LEAPFROG = 10


@dataclass(frozen=True)
class Case:
    """One sampler on one energy."""

    sampler: str
    """ula, hmc, nuts or mala"""
    energy: str
    """mixture, double_well, mlp, conv or gaussian"""
    num_chains: int
    num_steps: int
    step_size: float
    """a in x − a E′ of ula and mala, ε of hmc; where nuts starts to tune"""
    num_warm_up: int = 0
    keep_every: int = 0
    """every so many-th draw of each chain is kept; 0 keeps the last alone"""

    @property
    def name(self) -> str:
        size = f"{self.num_chains:,} x {self.num_steps:,}"
        return f"{self.sampler} {self.energy.replace('_', ' ')}, {size}"


@dataclass
class Outcome:
    """Result of one subject in one round."""

    seconds: float
    """of CPU, all threads; of the clock on a GPU"""
    gradients: float
    """evaluations of ∇E over the whole batch of chains, finished ones included; steps of leapfrog
    where the sampler is hmc"""
    file: str
    """draws, raw float32"""
    shape: tuple[int, ...]
    """(draws, chains, *event_shape)"""
    warm_up_seconds: float = 0.0
    warm_up_gradients: int = 0


class Subject(Protocol):
    """A case set up in one library: `warm_up`, then `draw`; both can be called again and again."""

    def warm_up(self, seed: int) -> int:
        """From the start through the warm-up; gradient evaluations."""

    def draw(self, seed: int) -> tuple[Any, int]:
        """The steps that count: draws as an array, and gradient evaluations."""


def pin(core: int | None) -> None:
    """Keep this process and its threads on one core, where the system can."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})


def serve(
    set_up: Callable[[str, Case, Path], Subject],
    clock: Callable[[], float] = time.process_time,
    as_array: Callable[[Any], np.ndarray] = np.asarray,
) -> None:
    """Answer lines of JSON until they end: a case is set up, then measured as often as asked."""
    # what libraries print must not come between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    subjects: dict[str, Subject] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        folder, case = Path(asked["folder"]), Case(**asked["case"])
        key = f"{asked['subject']}, {case.name}"
        try:
            if key not in subjects:
                subjects[key] = set_up(asked["subject"], case, folder)
                _measure(subjects[key], case, folder, asked["seed"], clock, as_array)
            outcome = _measure(subjects[key], case, folder, asked["seed"], clock, as_array)
            reply = asdict(outcome)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers, flush=True)


def _measure(
    subject: Subject,
    case: Case,
    folder: Path,
    seed: int,
    clock: Callable[[], float],
    as_array: Callable[[Any], np.ndarray],
) -> Outcome:
    began = clock()
    warm_up_gradients = subject.warm_up(seed)
    warm = clock()
    draws, gradients = subject.draw(seed)
    # work of milliseconds is done a few times, so that one hiccup is not the whole figure
    times = 1 if case.keep_every else 4
    for number in range(1, times):
        draws, more = subject.draw(seed + 1000 * number)
        gradients += more
    seconds = (clock() - warm) / times
    array = as_array(draws).astype(np.float32)
    file = folder / f"draws-{os.getpid()}"
    array.tofile(file)
    warm_up_seconds = warm - began
    return Outcome(
        seconds, gradients / times, str(file), array.shape, warm_up_seconds, warm_up_gradients
    )


def centres() -> np.ndarray:
    """Means (8, 2) of the mixture."""
    angles = np.arange(CENTRES) * (2 * math.pi / CENTRES)
    return (RADIUS * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)


def well_sd() -> float:
    return WELL / math.sqrt(8 * BARRIER)


def spectrum() -> np.ndarray:
    """Variances (100,) of the Gaussian along its axes, from 1/condition to 1."""
    return np.logspace(-math.log10(CONDITION), 0, DIMENSION)


def axes() -> np.ndarray:
    """Axes (100, 100) of the Gaussian, one a column: in no coordinate does it look simple."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((DIMENSION, DIMENSION)))[0]


def precision() -> np.ndarray:
    """Precision (100, 100) of the Gaussian."""
    return (axes() / spectrum()) @ axes().T
