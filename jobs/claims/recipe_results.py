"""Results of a recipe's runs: figures variant by variant, claims with their verdicts.

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
from backend.claims.verdict import SIGNS, Holds, Reading, averaged, judge, paired, rates, reading
from backend.errors import BadInput, NotAvailable
from jobs.records import run_store
from jobs.records.status import OVER, Status

DELETED = "deleted"
ENDED = OVER - {"paused"} | {DELETED}
"""States of runs that will not go on by themselves."""
COUNTED = frozenset({"finished", "failed", "diverged"})
"""States of runs that say something of their seed."""

Runs = Mapping[tuple[str, int], "RunResult"]


@dataclass(frozen=True)
class RunResult:
    """State and final metrics of one run of a reproduction."""

    id: str
    status: Status | None
    """None when it was deleted"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """State of its status, or `deleted`."""
        return DELETED if self.status is None else self.status.status

    @property
    def is_over(self) -> bool:
        """Return True when the run will not go on by itself."""
        return self.state in ENDED

    @property
    def counts(self) -> bool:
        """Return True when its seed can be judged: stopped, lost and deleted runs say nothing."""
        return self.state in COUNTED

    @property
    def fraction(self) -> float:
        """Share of its budget used, 0 to 1."""
        return self.status.fraction if self.status else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return self.status.seconds if self.status else 0.0

    def reading(self, seed: int, path: str) -> Reading:
        """Read the metric under `path`, or why there is none."""
        if self.state != "finished":
            return Reading(seed=seed, note=self.state)
        return reading(seed, self.metrics.get(path), f"gives no `{path}`")


class FigureResult(BaseModel):
    """Figure of one variant over the seeds."""

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
    """median over the seeds of the figure of fresh real data"""
    baselines: dict[str, float | None]
    """medians of the figures of trivial models, by path"""


class ClaimResult(BaseModel):
    """Claim with its verdict."""

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
    """Figure of one variant at one x of the picture."""

    x: float
    readings: list[Reading]
    floor: float | None


class Findings(BaseModel):
    """Findings of a reproduction: figures, claims and their verdicts."""

    holds: Holds
    """the verdict of the deciding claim"""
    reason: str
    claims: list[ClaimResult]
    """acceptance claims that do not hold first, then as in the recipe"""
    figures: list[FigureResult]
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
        """Return True when every acceptance claim holds: the implementation is right."""
        return all(claim.holds == "holds" for claim in self.claims if claim.kind == "acceptance")

    def deciding(self) -> ClaimResult:
        """Return the claim whose verdict is that of the recipe."""
        return next(claim for claim in self.claims if claim.deciding)

    def figure(self, variant: str, figure: str) -> FigureResult | None:
        """Return the figure of a variant; None where the recipe has none of that name."""
        matches = (
            item for item in self.figures if (item.variant, item.figure) == (variant, figure)
        )
        return next(matches, None)


def run_result(run_id: str) -> RunResult:
    """Read the state and the final metrics of a run as they are now."""
    try:
        directory = run_store.open_run(run_id)
        return RunResult(run_id, directory.status(), directory.metrics())
    except (BadInput, NotAvailable):
        return RunResult(run_id, None)


def evaluate(recipe: Recipe, seeds: Sequence[int], runs: Runs) -> Findings:
    """Judge the claims and gather the figures of the runs that have ended."""
    deciding = recipe.deciding()
    claims = [
        _claim(recipe, index, claim, claim is deciding, seeds, runs)
        for index, claim in enumerate(recipe.claims)
    ]
    claims.sort(key=lambda claim: claim.kind != "acceptance" or claim.holds == "holds")
    verdict = next(claim for claim in claims if claim.deciding)
    statuses = [run.status for run in runs.values() if run.status is not None]
    joules = [status.joules for status in statuses if status.joules is not None]
    return Findings(
        holds=verdict.holds,
        reason=verdict.reason,
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
    results = [(seed, runs.get((variant, seed))) for seed in seeds]
    return [run.reading(seed, path) for seed, run in results if run is not None and run.counts]


def _median(readings: Sequence[Reading]) -> float | None:
    values = [each.value for each in readings if each.value is not None]
    return statistics.median(values) if values else None


def _floor(variant: str, path: str | None, seeds: Sequence[int], runs: Runs) -> float | None:
    return _median(_readings(variant, path, seeds, runs)) if path else None


def _figures(recipe: Recipe, seeds: Sequence[int], runs: Runs) -> list[FigureResult]:
    figures = []
    for variant in recipe.variants:
        for name, figure in recipe.figures.items():
            readings = _readings(variant, figure.path, seeds, runs)
            values = [each.value for each in readings if each.value is not None]
            figures.append(
                FigureResult(
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
    return figures


def _claim(
    recipe: Recipe, index: int, claim: Claim, deciding: bool, seeds: Sequence[int], runs: Runs
) -> ClaimResult:
    def of(term: Term) -> list[Reading]:
        figure = recipe.figures[term.figure]
        parts = [_readings(variant, figure.path, seeds, runs) for variant in term.variants]
        if not term.along:
            return averaged(parts)
        if figure.floor:
            floors = [_readings(variant, figure.floor, seeds, runs) for variant in term.variants]
            parts = [paired(*each, "difference") for each in zip(parts, floors, strict=True)]
        return rates(parts, term.along)

    readings, how = of(claim.value), claim.compares
    if claim.other is not None and how is not None:
        readings = paired(readings, of(claim.other), how)
    verdict = judge(readings, claim.relation, claim.target, claim.tolerance, how)
    return ClaimResult(
        index=index,
        text=claim.text,
        kind=claim.kind,
        deciding=deciding,
        target=target_in_words(claim),
        **verdict.model_dump(),
    )


def target_in_words(claim: Claim) -> str:
    """Format the target of a claim, such as "ratio ≤ 0.5"."""
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
    """Write a sentence for each run that did not finish."""
    notes = []
    for (variant, seed), run in runs.items():
        if run.is_over and run.state != "finished":
            why = run.status.reason if run.status else ""
            title = recipe.variants[variant].title
            notes.append(f"{title}, seed {seed} {_ended_as(run.state)}. {why}".strip())
    return notes


def _ended_as(state: str) -> str:
    return state if state in ("failed", "diverged") else f"was {state}"


def curves(recipe: Recipe, runs: Runs) -> dict[str, dict[int, tuple[list[float], list[float]]]]:
    """Read cost and value by variant and seed, for pictures that are curves.

    Of the runs that are still there.
    """
    picture = recipe.picture
    by_variant: dict[str, dict[int, tuple[list[float], list[float]]]] = {}
    if not isinstance(picture, CurvePicture):
        return by_variant
    for (variant, seed), run in runs.items():
        if variant not in recipe.pictured() or run.status is None:
            continue
        series = run_store.open_run(run.id).scalars().get(picture.path)
        if series is not None:
            cost = series.step if picture.cost == "steps" else getattr(series, picture.cost)
            by_variant.setdefault(variant, {})[seed] = (cost.tolist(), series.value.tolist())
    return by_variant
