"""The reading of a sampler's draws: whether its figures may be compared, and why not. No torch.

One rule, asked by the run itself: it stands in the run's table `chains/diagnostics`, where pages
and the command line find it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backend.metric_names import ERRORS

ROW = "verdict"
"""First cell of the reading's row in `chains/diagnostics`; its verdict and words follow."""
SOUND, WRONG, OPEN = "sound", "wrong", "not judged"
MIXED = 1.05
"""Largest R-hat of chains that agree."""
FLOORS = 4.0
"""An error of more floors than this is the draws' own: independent draws miss by about one."""
FEWEST_DRAWS = 8
"""Draws of a chain below which nothing is known of how they hang together."""


class Reading(NamedTuple):
    """Judgement of a sampler's draws, which its rates stand or fall with."""

    verdict: str
    """SOUND, WRONG or OPEN"""
    words: str
    """the reason, never empty"""


def reading(figures: Mapping[str, float], unknown: str = "") -> Reading:
    """Judge draws by the last value of each path; a figure that is not a number speaks against.

    unknown: why there is no R-hat, for people. An error counts against the floor that as many
    independent draws would have; only those with a floor do.
    """
    r_hat = figures.get("sampler/r_hat")
    if r_hat is not None and not math.isfinite(r_hat):
        return Reading(WRONG, "the draws are not finite, or do not move: there is no R-hat")
    if r_hat is not None and r_hat > MIXED:
        return Reading(WRONG, f"chains disagree: R-hat {r_hat:.3g} is above {MIXED:g}")
    pairs = [(path, figures.get(path), figures.get(f"{path}/floor")) for path in ERRORS]
    judged = [(path, error, floor) for path, error, floor in pairs if error is not None and floor]
    if judged:
        # what is not a number is wrong without bound
        times = {p: e / floor if math.isfinite(e) else math.inf for p, e, floor in judged}
        worst = max(times, key=times.__getitem__)
        what = worst.rpartition("/")[2].replace("_", " ")
        words = f"{what} {times[worst]:.2g} times what independent draws miss by"
        wrong = times[worst] > FLOORS
        return Reading(WRONG, f"wrong draws: {words}") if wrong else Reading(SOUND, words)
    if r_hat is None:
        return Reading(OPEN, f"not judged: {unknown or 'there is no R-hat'}")
    if any(error is not None for _, error, _ in pairs):
        return Reading(SOUND, "chains agree; what independent draws would miss by is not known")
    return Reading(SOUND, "chains agree; the truth is not known")


def of_table(rows: Sequence[Sequence[Any]]) -> Reading | None:
    """The reading in the rows of `chains/diagnostics`; None where a run wrote none."""
    for row in rows:
        if len(row) == 3 and row[0] == ROW:
            return Reading(str(row[1]), str(row[2]))
    return None


def warming_up(num_taken: int, num_warm_up: int, ended: bool) -> Reading:
    """The reading of draws of a warm-up, which are none."""
    share = f"{num_taken:,} of {num_warm_up:,} steps"
    if ended:
        return Reading(OPEN, f"not judged: the budget ended in the warm-up ({share})")
    return Reading(OPEN, f"not judged yet: in the warm-up ({share})")
