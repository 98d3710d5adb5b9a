"""Verdicts: when a claim holds, fails, or is undecided."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from backend.claims.verdict import Reading, averaged, judge, meets, paired, rates, reading


def seeds(*values: float | None) -> list[Reading]:
    return [reading(seed, value, "diverged") for seed, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((0.1, 0.2, 0.3), "holds"),
        ((0.1, 0.2, 0.5), "holds"),  # the target itself meets it
        ((0.1, 0.2, 0.6), "undecided"),
        ((0.1, 0.6, 0.7), "undecided"),
        ((0.6, 0.7, 0.8), "fails"),
        ((0.1, 0.2, None), "undecided"),
        ((0.6, 0.7, None), "fails"),
        ((None, None), "fails"),
    ],
)
def test_a_value_must_meet_the_target_under_every_seed(
    values: tuple[float | None, ...], holds: str
) -> None:
    assert judge(seeds(*values), "<=", 0.5).holds == holds
    mirrored = [None if value is None else -value for value in values]
    assert judge(seeds(*mirrored), ">=", -0.5).holds == holds


@pytest.mark.parametrize("values", [(), (0.1,), (0.9,), (None,)])
def test_one_seed_is_never_a_verdict(values: tuple[float | None, ...]) -> None:
    verdict = judge(seeds(*values), "<=", 0.5)
    assert verdict.holds == "undecided"
    if values:
        assert verdict.reason.startswith("One seed is never a verdict.")


@pytest.mark.parametrize(
    ("ratios", "holds"),
    [
        ((0.3, 0.4, 0.8), "holds"),  # all below 1, and the median meets the target
        ((0.3, 0.4, 1.1), "undecided"),  # one favours the other side
        ((0.3, 0.6, 0.8), "undecided"),  # all favour it, the median misses
        ((0.6, 0.7, 0.8), "fails"),
        ((1.2, 1.3, 1.4), "fails"),
        ((0.3, 0.4, None), "undecided"),
    ],
)
def test_a_ratio_agrees_when_it_lies_on_the_claims_side_of_one(
    ratios: tuple[float | None, ...], holds: str
) -> None:
    assert judge(seeds(*ratios), "<=", 0.5, how="ratio").holds == holds
    inverse = [None if ratio is None else 1 / ratio for ratio in ratios]
    assert judge(seeds(*inverse), ">=", 2.0, how="ratio").holds == holds


def test_a_difference_agrees_when_it_lies_on_the_claims_side_of_zero() -> None:
    assert judge(seeds(0.1, 0.4, 0.5), ">=", 0.3, how="difference").holds == "holds"
    assert judge(seeds(-0.1, 0.4, 0.5), ">=", 0.3, how="difference").holds == "undecided"
    assert judge(seeds(0.1, 0.4, 0.5), ">=", 0.3).holds == "undecided"


def test_a_target_beyond_no_difference_is_met_by_all_that_reach_it() -> None:
    """ "At most a fifth worse": 1.1 is on the wrong side of 1 and yet agrees."""
    assert judge(seeds(1.1, 1.15, 0.9), "<=", 1.2, how="ratio").holds == "holds"
    assert judge(seeds(1.1, 1.15, 1.3), "<=", 1.2, how="ratio").holds == "undecided"


def test_tolerance_lies_past_the_target() -> None:
    assert not meets(0.51, "<=", 0.5) and meets(0.51, "<=", 0.5, 0.02)
    assert not meets(0.49, ">=", 0.5) and meets(0.49, ">=", 0.5, 0.02)
    assert judge(seeds(0.51, 0.5), "<=", 0.5, tolerance=0.02).holds == "holds"


def test_what_is_not_finite_is_no_value_and_meets_nothing() -> None:
    for value in (math.nan, math.inf, -math.inf, None):
        assert reading(3, value) == Reading(seed=3, note="gives no number")
    assert not meets(None, "<=", 1e9) and not meets(None, ">=", -1e9)


def test_seeds_are_paired_by_their_number_not_by_their_place() -> None:
    ours = [reading(1, 6.0), reading(2, 8.0), reading(3, 1.0)]
    theirs = [reading(2, 2.0), reading(1, 3.0)]
    assert paired(ours, theirs, "ratio") == [reading(1, 2.0), reading(2, 4.0)]
    assert paired(ours, theirs, "difference") == [reading(1, 3.0), reading(2, 6.0)]


def test_a_pair_without_both_values_says_why_it_has_none() -> None:
    ours = [Reading(seed=0, note="diverged"), reading(1, 1.0), reading(2, 1.0)]
    theirs = [reading(0, 1.0), Reading(seed=1, note="failed"), reading(2, 0.0)]
    found = paired(ours, theirs, "ratio")
    assert [each.note for each in found] == ["diverged", "failed", "has no ratio to 0"]
    verdict = judge(found, "<=", 0.5, how="ratio")
    assert (verdict.holds, verdict.median, verdict.min) == ("fails", None, None)
    assert "seed 0 diverged; seed 1 failed; seed 2 has no ratio to 0" in verdict.reason


def test_a_mean_over_several_is_of_the_seeds_that_all_have() -> None:
    means = averaged([seeds(1.0, 2.0, 3.0), seeds(3.0, None, 5.0, 7.0)])
    assert [(each.seed, each.value, each.note) for each in means] == [
        (0, 2.0, ""),
        (1, None, "diverged"),
        (2, 4.0, ""),
    ]


def test_the_reason_gives_the_numbers() -> None:
    verdict = judge(seeds(0.3, 0.1, 0.7), "<=", 0.5, how="ratio")
    assert verdict.reason == "Met in 2 of 3 seeds; median ratio 0.3 (0.1 to 0.7)."
    assert (verdict.num_met, verdict.median, verdict.min, verdict.max) == (2, 0.3, 0.1, 0.7)
    assert [each.value for each in verdict.readings] == [0.3, 0.1, 0.7]


def test_every_pattern_of_meeting_and_missing_has_the_verdict_of_the_rule() -> None:
    levels = {"meets": 0.4, "favours": 0.8, "opposes": 1.5, "gone": None}
    for pattern in itertools.product(levels, repeat=3):
        verdict = judge(seeds(*(levels[each] for each in pattern)), "<=", 0.5, how="ratio")
        num_met = pattern.count("meets")
        if num_met == 0:
            expected = "fails"
        elif num_met >= 2 and set(pattern) <= {"meets", "favours"}:
            expected = "holds"  # the median is one that meets it
        else:
            expected = "undecided"
        assert verdict.holds == expected, pattern


def test_the_rate_of_a_power_law_is_its_exponent_seed_by_seed() -> None:
    """Of three sizes off a line, that of least squares by hand; of what is at its floor, none."""
    sizes = [1.0, 2.0, 8.0]
    exact = [
        seeds(*(scale * size**-power for scale, power in ((3, 0.5), (7, -0.2)))) for size in sizes
    ]
    assert [each.value for each in rates(exact, sizes)] == pytest.approx([0.5, -0.2], abs=1e-12)
    x, y = np.log(sizes), np.log([4.0, 1.0, 1.5])
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    [off] = rates([seeds(4.0), seeds(1.0), seeds(1.5)], sizes)
    assert off.value == pytest.approx(-slope, rel=1e-12)
    at_floor = rates([seeds(4.0, 1.0), seeds(0.0, 1.0), seeds(1.5, 1.0)], sizes)
    assert at_floor[0].value is None and "no number" in at_floor[0].note
    assert at_floor[1].value == pytest.approx(0.0, abs=1e-12)
