"""What the runs of a recipe say: figures variant by variant, claims with their verdicts.

Plain data in and out; reads run directories, imports no torch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

from backend.claims.recipe import Claim, CurvePicture, Recipe, SweepPicture, Term
from backend.claims.verdict import SIGNS, Holds, Reading, judge, paired, reading
from backend.errors import BadInput, NotAvailable
from jobs.records import run_store
from jobs.records.status import OVER, Status

DELETED = "deleted"
ENDED = OVER - {"paused"} | {DELETED}
"""Words of runs that will not go on by themselves."""
COUNTED = frozenset({"finished", "failed", "diverged"})
"""Words of runs that say something of their seed."""

Runs = Mapping[tuple[str, int], "Seen"]


@dataclass(frozen=True)
class Seen:
    """A run as a reproduction sees it."""

    id: str
    status: Status | None
    """None when it was deleted"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def word(self) -> str:
        return DELETED if self.status is None else self.status.status

    @property
    def is_over(self) -> bool:
        return self.word in ENDED

    @property
    def counts(self) -> bool:
        """Whether its seed can be judged: stopped, lost and deleted runs say nothing."""
        return self.word in COUNTED

    @property
    def fraction(self) -> float:
        return self.status.fraction if self.status else 0.0

    @property
    def seconds(self) -> float:
        return self.status.seconds if self.status else 0.0

    def reading(self, seed: int, path: str) -> Reading:
        """The metric under `path`, or why there is none."""
        if self.word != "finished":
            return Reading(seed=seed, note=self.word)
        return reading(seed, self.metrics.get(path), f"gives no `{path}`")


class FigureFound(BaseModel):
    """One figure of one variant over the seeds."""

    variant: str
    figure: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    readings: list[Reading]
    median: float | None
    min: float | None
    max: float | None
    floor: float | None
    """median over the seeds of what fresh real data gives"""
    baselines: dict[str, float | None]
    """medians of what trivial models give, by path"""


class ClaimFound(BaseModel):
    """One claim with its verdict."""

    index: int
    """in the recipe"""
    text: str
    kind: Literal["acceptance", "paper"]
    deciding: bool
    target: str
    """in words, such as "ratio ≤ 0.5" """
    holds: Holds
    reason: str
    readings: list[Reading]
    """seed by seed: the value, ratio or difference"""
    num_met: int
    median: float | None
    min: float | None
    max: float | None


class SweepPoint(BaseModel):
    """One variant's figure at one x of the picture."""

    x: float
    readings: list[Reading]
    floor: float | None


class Findings(BaseModel):
    """All that the runs of a reproduction say."""

    holds: Holds
    """the verdict of the deciding claim"""
    reason: str
    claims: list[ClaimFound]
    """acceptance claims that do not hold first, then as in the recipe"""
    figures: list[FigureFound]
    sweep: dict[str, list[SweepPoint]] = Field(default_factory=dict)
    """by variant, for pictures that are sweeps"""
    num_runs: int
    num_counted: int
    """runs that say something of their seed"""
    seconds: float
    """of training, all runs together"""
    joules: float | None
    joules_source: str | None
    devices: list[str]
    ended: float | None
    """unix seconds, of the last run"""
    notes: list[str] = Field(default_factory=list)
    """what went wrong in runs, a sentence each"""

    def acceptance_holds(self) -> bool:
        """Whether what says that the implementation is right holds, all of it."""
        return all(claim.holds == "holds" for claim in self.claims if claim.kind == "acceptance")

    def deciding(self) -> ClaimFound:
        return next(claim for claim in self.claims if claim.deciding)

    def figure(self, variant: str, figure: str) -> FigureFound | None:
        chosen = (item for item in self.figures if (item.variant, item.figure) == (variant, figure))
        return next(chosen, None)


def seen(run_id: str) -> Seen:
    """A run as it stands now."""
    try:
        directory = run_store.open_run(run_id)
        return Seen(run_id, directory.status(), directory.metrics())
    except (BadInput, NotAvailable):
        return Seen(run_id, None)


def find(recipe: Recipe, seeds: Sequence[int], runs: Runs) -> Findings:
    """Figures and verdicts of the runs that have ended."""
    deciding = recipe.deciding()
    claims = [
        _claim(recipe, index, claim, claim is deciding, seeds, runs)
        for index, claim in enumerate(recipe.claims)
    ]
    claims.sort(key=lambda claim: claim.kind != "acceptance" or claim.holds == "holds")
    chosen = next(claim for claim in claims if claim.deciding)
    statuses = [run.status for run in runs.values() if run.status is not None]
    joules = [status.joules for status in statuses if status.joules is not None]
    return Findings(
        holds=chosen.holds,
        reason=chosen.reason,
        claims=claims,
        figures=_figures(recipe, seeds, runs),
        sweep=_sweep(recipe, seeds, runs),
        num_runs=len(runs),
        num_counted=sum(run.counts for run in runs.values()),
        seconds=sum(status.seconds for status in statuses),
        joules=sum(joules) if joules and len(joules) == len(runs) else None,
        joules_source=next((status.joules_source for status in statuses), None),
        devices=sorted({status.device for status in statuses if status.is_over}),
        ended=max((status.ended or 0.0 for status in statuses), default=0.0) or time.time(),
        notes=_notes(recipe, runs),
    )


def _readings(variant: str, path: str, seeds: Sequence[int], runs: Runs) -> list[Reading]:
    chosen = [(seed, runs.get((variant, seed))) for seed in seeds]
    return [run.reading(seed, path) for seed, run in chosen if run is not None and run.counts]


def _median(readings: Sequence[Reading]) -> float | None:
    values = [each.value for each in readings if each.value is not None]
    return statistics.median(values) if values else None


def _floor(variant: str, path: str | None, seeds: Sequence[int], runs: Runs) -> float | None:
    return _median(_readings(variant, path, seeds, runs)) if path else None


def _figures(recipe: Recipe, seeds: Sequence[int], runs: Runs) -> list[FigureFound]:
    found = []
    for variant in recipe.variants:
        for name, figure in recipe.figures.items():
            readings = _readings(variant, figure.path, seeds, runs)
            values = [each.value for each in readings if each.value is not None]
            found.append(
                FigureFound(
                    variant=variant,
                    figure=name,
                    title=figure.title,
                    unit=figure.unit,
                    better=figure.better,
                    readings=readings,
                    median=_median(readings),
                    min=min(values, default=None),
                    max=max(values, default=None),
                    floor=_floor(variant, figure.floor, seeds, runs),
                    baselines={
                        path: _floor(variant, path, seeds, runs) for path in figure.baselines()
                    },
                )
            )
    return found


def _claim(
    recipe: Recipe, index: int, claim: Claim, deciding: bool, seeds: Sequence[int], runs: Runs
) -> ClaimFound:
    def of(term: Term) -> list[Reading]:
        return _readings(term.variant, recipe.figures[term.figure].path, seeds, runs)

    readings, how = of(claim.value), claim.compares
    if claim.other is not None and how is not None:
        readings = paired(readings, of(claim.other), how)
    verdict = judge(readings, claim.relation, claim.target, claim.tolerance, how)
    return ClaimFound(
        index=index,
        text=claim.text,
        kind=claim.kind,
        deciding=deciding,
        target=target_in_words(claim),
        **verdict.model_dump(),
    )


def target_in_words(claim: Claim) -> str:
    """The target of a claim, such as "ratio ≤ 0.5"."""
    words = [claim.compares or "", SIGNS[claim.relation], f"{claim.target:g}"]
    words += [f"(± {claim.tolerance:g})"] if claim.tolerance else []
    return " ".join(words).strip()


def _sweep(recipe: Recipe, seeds: Sequence[int], runs: Runs) -> dict[str, list[SweepPoint]]:
    picture = recipe.picture
    if not isinstance(picture, SweepPicture):
        return {}
    return {
        variant: [
            SweepPoint(
                x=x,
                readings=_readings(variant, picture.path_at(x), seeds, runs),
                floor=_floor(variant, picture.floor_at(x) or None, seeds, runs),
            )
            for x in picture.x
        ]
        for variant in recipe.pictured()
    }


def _notes(recipe: Recipe, runs: Runs) -> list[str]:
    """A sentence for each run that did not finish."""
    notes = []
    for (variant, seed), run in runs.items():
        if run.is_over and run.word != "finished":
            why = run.status.reason if run.status else ""
            title = recipe.variants[variant].title
            notes.append(f"{title}, seed {seed} {_ended_as(run.word)}. {why}".strip())
    return notes


def _ended_as(word: str) -> str:
    return word if word in ("failed", "diverged") else f"was {word}"


def curves(recipe: Recipe, runs: Runs) -> dict[str, dict[int, tuple[list[float], list[float]]]]:
    """Cost and value by variant and seed, for pictures that are curves: of the runs that are still
    there."""
    picture = recipe.picture
    found: dict[str, dict[int, tuple[list[float], list[float]]]] = {}
    if not isinstance(picture, CurvePicture):
        return found
    for (variant, seed), run in runs.items():
        if variant not in recipe.pictured() or run.status is None:
            continue
        series = run_store.open_run(run.id).scalars().get(picture.path)
        if series is not None:
            cost = series.step if picture.cost == "steps" else getattr(series, picture.cost)
            found.setdefault(variant, {})[seed] = (cost.tolist(), series.value.tolist())
    return found
