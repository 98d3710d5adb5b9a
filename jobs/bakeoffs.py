"""Bakeoffs: several methods on the same data for equal seconds, judged by held-out nats.

A bakeoff is nothing but its runs, which share a tag, and `verdict`, a function of how they ended.
Imports no torch.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.errors import BadInput, NotAvailable
from backend.metric_names import BASELINES
from backend.spec import Budget, RunSpec
from jobs import proposals
from jobs.claims.recipe_results import RunResult, run_result
from jobs.proposals import Contestant, Kind
from jobs.queueing import enqueue, spec_paths
from jobs.records import run_store

TAG = "bakeoff:"
"""Prefix of the tag that names a run's bakeoff."""
DENSITY = "density/log_likelihood"
SECONDS = 60.0
"""Seconds of training of every run, unless others are asked for."""
LEAST_GAP = 0.02
"""nats a point below which two methods are not told apart, however alike their seeds are"""
_SEARCHED_RUNS = 500


@dataclass(frozen=True)
class Bakeoff:
    """Methods to be tried on some data, each for the same seconds."""

    data: dict[str, Any]
    """`name` of the data set and its own fields"""
    contestants: tuple[Contestant, ...]
    seconds: float = SECONDS
    num_seeds: int = 1
    seed: int = 0
    device: str = "auto"

    def specs(self) -> list[RunSpec]:
        """Build a run for each method and seed: each method has run once before any runs again."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        tag = f"{TAG}{stamp}-{secrets.token_hex(2)}"
        return [
            RunSpec(
                name=f"{self.data['name']}, {each.method.replace('_', ' ')}"[:120],
                method=each.method,
                preset=each.preset,
                data=dict(self.data),
                budget=Budget(seconds=self.seconds),
                seed=seed,
                device=self.device,
                tags=[tag],
            )
            for seed in range(self.seed, self.seed + self.num_seeds)
            for each in self.contestants
        ]


def bakeoff_of(
    data: dict[str, Any], kind: Kind, seconds: float = SECONDS, num_seeds: int = 1, **fields: Any
) -> Bakeoff:
    """Build the bakeoff of the methods that are sensible for data of a kind.

    Raises BadInput for data whose methods cannot be told apart by held-out nats.
    """
    contestants = proposals.contestants(kind)
    if len(contestants) < 2:
        proposed = proposals.proposal(kind)
        raise BadInput.at(
            "data",
            "held-out nats are measured of points of real numbers alone. Launch "
            f"`{proposed.contestant.method}` with the preset `{proposed.contestant.preset}`: "
            f"{proposed.reason}",
        )
    return Bakeoff(data, contestants, seconds, num_seeds, **fields)


@dataclass(frozen=True)
class Standing:
    """Standing of one method over its seeds, in nats a point of held-out data: more is better."""

    contestant: Contestant
    runs: tuple[str, ...]
    mean: float | None
    """None where no run knows it"""
    low: float | None
    """mean less two standard errors: of the held-out points, log Z and the seeds together"""
    high: float | None
    spread: float
    """between the seeds' largest and smallest"""
    seconds: float
    note: str
    """what speaks against it; "" for nothing"""


@dataclass(frozen=True)
class Verdict:
    """Standings, the best first, and what follows from them."""

    standings: tuple[Standing, ...]
    baselines: Mapping[str, float] = field(default_factory=dict)
    """nats of those of BASELINES, and `truth` where it is known"""
    proposed: Contestant | None = None
    reason: str = ""


def verdict(runs: Sequence[RunResult]) -> Verdict:
    """Judge the runs of one bakeoff that have ended so far."""
    groups: dict[Contestant, list[RunResult]] = {}
    for run in runs:
        if run.status is not None:
            contestant = Contestant(run.status.method, run.status.preset)
            groups.setdefault(contestant, []).append(run)
    standings = [_standing(contestant, group) for contestant, group in groups.items()]
    order = sorted(
        standings, key=lambda item: -math.inf if item.mean is None else item.mean, reverse=True
    )
    baselines = _baselines(runs)
    proposed, reason = _choice(order, baselines)
    return Verdict(tuple(order), baselines, proposed, reason)


def _standing(contestant: Contestant, group: Sequence[RunResult]) -> Standing:
    values = [value for run in group if (value := _finite(run, DENSITY)) is not None]
    errors = [_finite(run, f"{DENSITY}_error") or 0.0 for run in group]
    mean = statistics.fmean(values) if values else None
    of_seeds = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    error = math.hypot(max(errors, default=0.0), of_seeds)
    return Standing(
        contestant,
        tuple(run.id for run in group),
        mean,
        None if mean is None else mean - 2 * error,
        None if mean is None else mean + 2 * error,
        max(values) - min(values) if values else 0.0,
        sum(run.seconds for run in group),
        _note(group),
    )


def _note(group: Sequence[RunResult]) -> str:
    lost = [run.state for run in group if run.state != "finished"]
    unknown = sum(run.state == "finished" and _finite(run, DENSITY) is None for run in group)
    parts = [f"{len(lost)} {' or '.join(sorted(set(lost)))}"] if lost else []
    if unknown:
        parts.append(f"log-likelihood of {unknown} not known")
    alarmed = sum(bool(run.status and run.status.alarms) for run in group)
    if alarmed:
        parts.append(f"alarms in {alarmed} of {len(group)}")
    return ", ".join(parts)


def _baselines(runs: Sequence[RunResult]) -> dict[str, float]:
    """Read the baselines off the first run that has them: all runs have the same data."""
    for run in runs:
        values = {
            name: value
            for name in (*BASELINES, "truth")
            if (value := _finite(run, f"{DENSITY}/{name}")) is not None
        }
        if values:
            return values
    return {}


def _choice(
    standings: Sequence[Standing], baselines: Mapping[str, float]
) -> tuple[Contestant | None, str]:
    """Choose the best method, and say how sure that is."""
    judged = [item for item in standings if item.mean is not None]
    if not judged or judged[0].mean is None:
        return None, "No method has a log-likelihood that is known: nothing is proposed."
    best = judged[0]
    sentence = f"{_title(best).capitalize()} has {best.mean:.3f} nats a held-out point"
    alike = [
        _title(item)
        for item in judged[1:]
        if judged[0].mean - (item.mean or 0.0) <= max(LEAST_GAP, best.spread, item.spread)
    ]
    if alike:
        sentence += f"; {' and '.join(alike)} cannot be told from it"
    names = [name for name in BASELINES if name in baselines]
    if not names:
        return best.contestant, f"{sentence}."
    strongest = max(names, key=lambda name: baselines[name])
    gain = judged[0].mean - baselines[strongest]
    if judged[0].mean < baselines.get("gaussian", -math.inf):
        return (
            None,
            f"{sentence}, less than one Gaussian ({baselines['gaussian']:.3f}). Try longer.",
        )
    compared = f"{BASELINES[strongest]} {baselines[strongest]:.3f}"
    if gain < -LEAST_GAP:
        return best.contestant, (
            f"{sentence}. Nothing here beats {compared}: take that, or train longer."
        )
    return best.contestant, f"{sentence}; the best baseline is {compared}."


def _title(item: Standing) -> str:
    words = item.contestant.method.replace("_", " ")
    preset = item.contestant.preset
    return words if preset == "default" else f"{words} ({preset.replace('_', ' ')})"


def _finite(run: RunResult, path: str) -> float | None:
    value = run.metrics.get(path) if run.state == "finished" else None
    return value if value is not None and math.isfinite(value) else None


# -------------------------------------------------------------------------- its runs


def launch(bakeoff: Bakeoff, origin: spec_paths.Origin = "cli", by: str = "") -> list[str]:
    """Queue its runs; returns their ids. Raises BadInput, NotAvailable."""
    return enqueue.launch_many(bakeoff.specs(), origin=origin, by=by)


def results(run_ids: Sequence[str]) -> list[RunResult]:
    """Read how its runs are now."""
    return [run_result(run_id) for run_id in run_ids]


def newest_of(data: Mapping[str, Any]) -> list[str]:
    """Find the runs of the newest bakeoff of some data, in their order; none without one.

    data: `name` and its own fields, paths absolute, as a RunSpec holds them.
    """
    tagged: dict[str, list[str]] = {}
    for status in run_store.list_runs()[:_SEARCHED_RUNS]:
        tag = next((tag for tag in status.tags if tag.startswith(TAG)), None)
        if tag is not None and status.data == data.get("name"):
            tagged.setdefault(tag, []).append(status.id)
    for ids in tagged.values():
        try:
            if run_store.open_run(ids[0]).spec().data == dict(data):
                return sorted(ids)
        except (BadInput, NotAvailable, OSError):
            continue
    return []
