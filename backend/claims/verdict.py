"""Verdicts: does a claim hold? Pure functions of figures read seed by seed.

A seed meets a claim when its value (or its ratio or difference to another variant under the same
seed) reaches the target. A seed agrees when it meets the claim or, for a comparison, when it at
least favours it: a ratio on the claim's side of 1, a difference on its side of 0.

    holds       every seed agrees and the median meets the target
    fails       every seed misses the target
    undecided   anything else, and always with fewer than two seeds

A seed without a value (a run that diverged or failed) misses and does not agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

Holds = Literal["holds", "fails", "undecided"]
Relation = Literal["<=", ">="]
Comparison = Literal["ratio", "difference"]
SIGNS = {"<=": "≤", ">=": "≥"}
_NEUTRAL = {"ratio": 1.0, "difference": 0.0}


class Reading(BaseModel):
    """Reading of one seed: a finite value, or None with the reason in a note."""

    model_config = ConfigDict(frozen=True)

    seed: int
    value: float | None = None
    note: str = ""


class Verdict(BaseModel):
    """A judgement, with what it was made of."""

    model_config = ConfigDict(frozen=True)

    holds: Holds
    reason: str
    """one sentence with the numbers"""
    readings: list[Reading]
    """seed by seed: the value, ratio or difference"""
    num_met: int
    median: float | None = None
    min: float | None = None
    max: float | None = None


def reading(seed: int, value: float | None, note: str = "") -> Reading:
    """A seed's reading; what is not finite is no value."""
    if value is None or not math.isfinite(value):
        return Reading(seed=seed, note=note or "gives no number")
    return Reading(seed=seed, value=float(value))


def paired(values: Sequence[Reading], others: Sequence[Reading], how: Comparison) -> list[Reading]:
    """Ratios or differences of the seeds that both have, in the order of `values`."""
    by_seed = {other.seed: other for other in others}
    return [_pair(value, by_seed[value.seed], how) for value in values if value.seed in by_seed]


def averaged(parts: Sequence[Sequence[Reading]]) -> list[Reading]:
    """Means over several readings of the seeds that all of them have, in the order of the first."""
    return _combined(parts, statistics.fmean)


def rates(parts: Sequence[Sequence[Reading]], along: Sequence[float]) -> list[Reading]:
    """Rates r of value ∝ size^−r, by least squares of logarithms, of the seeds that all parts have.

    A seed with a value that is not above 0 has none.

    >>> [each.value for each in rates([[reading(0, 8.0)], [reading(0, 2.0)]], [1.0, 4.0])]
    [1.0]
    """
    sizes = [math.log(size) for size in along]

    def rate(values: list[float]) -> float:
        if min(values) <= 0:
            return math.nan
        return -statistics.linear_regression(sizes, [math.log(each) for each in values]).slope

    return _combined(parts, rate)


def _combined(
    parts: Sequence[Sequence[Reading]], how: Callable[[list[float]], float]
) -> list[Reading]:
    by_seed = [{each.seed: each for each in part} for part in parts]
    combined = []
    for seed in by_seed[0]:
        if not all(seed in part for part in by_seed):
            continue
        of_seed = [part[seed] for part in by_seed]
        values = [each.value for each in of_seed if each.value is not None]
        if len(values) == len(of_seed):
            combined.append(reading(seed, how(values)))
        else:
            note = next(each.note for each in of_seed if each.value is None)
            combined.append(Reading(seed=seed, note=note))
    return combined


def _pair(value: Reading, other: Reading, how: Comparison) -> Reading:
    if value.value is None or other.value is None:
        return Reading(seed=value.seed, note=value.note or other.note)
    if how == "difference":
        return reading(value.seed, value.value - other.value)
    if other.value <= 0:
        note = f"has no ratio to {other.value:.3g}"
        return Reading(seed=value.seed, note=note)
    return reading(value.seed, value.value / other.value)


def meets(value: float | None, relation: Relation, target: float, tolerance: float = 0.0) -> bool:
    """True where a value reaches a target; None never does."""
    if value is None:
        return False
    return value <= target + tolerance if relation == "<=" else value >= target - tolerance


def judge(
    readings: Sequence[Reading],
    relation: Relation,
    target: float,
    tolerance: float = 0.0,
    how: Comparison | None = None,
) -> Verdict:
    """The verdict on readings of values or, with `how`, of ratios or differences."""
    bounds = (relation, target, tolerance)
    values = [each.value for each in readings if each.value is not None]
    num_met = sum(meets(each.value, *bounds) for each in readings)
    agree = all(_agrees(each.value, bounds, how) for each in readings)
    middle = statistics.median(values) if values else None
    if len(readings) < 2:
        holds: Holds = "undecided"
    elif num_met == 0:
        holds = "fails"
    elif agree and meets(middle, *bounds):
        holds = "holds"
    else:
        holds = "undecided"
    return Verdict(
        holds=holds,
        reason=_reason(readings, num_met, how),
        readings=list(readings),
        num_met=num_met,
        median=middle,
        min=min(values, default=None),
        max=max(values, default=None),
    )


def _agrees(
    value: float | None, bounds: tuple[Relation, float, float], how: Comparison | None
) -> bool:
    if value is None or how is None:
        return meets(value, *bounds)
    neutral = _NEUTRAL[how]
    favours = value < neutral if bounds[0] == "<=" else value > neutral
    return favours or meets(value, *bounds)


def _reason(readings: Sequence[Reading], num_met: int, how: Comparison | None) -> str:
    if not readings:
        return "No seed has ended yet."
    kind = how or "value"
    parts = [f"Met in {num_met} of {len(readings)} seeds"]
    values = sorted(each.value for each in readings if each.value is not None)
    if len(values) > 1:
        spread = f"{values[0]:.3g} to {values[-1]:.3g}"
        parts.append(f"median {kind} {statistics.median(values):.3g} ({spread})")
    elif values:
        parts.append(f"{kind} {values[0]:.3g}")
    parts += [f"seed {each.seed} {each.note}" for each in readings if each.value is None]
    sentence = "; ".join(parts) + "."
    return sentence if len(readings) > 1 else f"One seed is never a verdict. {sentence}"
