"""Ranking of paired comparisons with ties: Bradley-Terry scores as Davidson has them (1970).

P(i beats j) = e^(s_i/2 − s_j/2) / D and P(tie) = ν / D, with D their sum over both orders: without
ties these are the scores of Bradley & Terry (1952), in nats. A wide Gaussian prior on every score
keeps those of who won, or lost, every vote finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FIRST, SECOND, TIE = 0, 1, 2
"""Outcomes of a comparison."""
PRIOR_SD = 5.0
NUM_BOOTSTRAP = 400
LEVEL = 0.95
_MOST_STEPS = 60
_LONGEST_STEP = 2.0


class Comparison(NamedTuple):
    """One judgement of two items, by index."""

    first: int
    second: int
    outcome: int
    """FIRST or SECOND is better, or TIE"""


@dataclass(frozen=True)
class Ranking:
    """Scores of all items, whose mean is 0, with intervals from a bootstrap over comparisons."""

    scores: Floats
    """(items,) nats"""
    low: Floats
    high: Floats
    tie: float
    """ν: odds of a tie between equals, times 2"""
    num: npt.NDArray[np.int64]
    """(items,) comparisons of each"""


def rank(
    comparisons: Sequence[Comparison],
    num_items: int,
    *,
    seed: int = 0,
    num_bootstrap: int = NUM_BOOTSTRAP,
) -> Ranking:
    """Rank items by their comparisons; all scores are 0, with no bounds, where there are none."""
    pairs, counts = _counts(comparisons, num_items)
    num = np.zeros(num_items, np.int64)
    for first, second, _ in comparisons:
        num[first] += 1
        num[second] += 1
    if not len(comparisons):
        endless = np.full(num_items, np.inf)
        return Ranking(np.zeros(num_items), -endless, endless, 1.0, num)
    fitted = _fit(pairs, counts[None], num_items)[0]
    total = int(counts.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, counts.ravel() / total, size=num_bootstrap)
    resampled = _fit(pairs, drawn.reshape(num_bootstrap, *counts.shape).astype(float), num_items)[
        :, :-1
    ]
    margin = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(resampled, [margin, 100 - margin], axis=0)
    return Ranking(fitted[:-1], low, high, float(np.exp(fitted[-1])), num)


def _counts(
    comparisons: Sequence[Comparison], num_items: int
) -> tuple[list[tuple[int, int]], Floats]:
    """Count the outcomes of every pair that was compared: (pairs, 3)."""
    by_pair: dict[tuple[int, int], list[float]] = {}
    for first, second, outcome in comparisons:
        assert first != second and min(first, second) >= 0 and max(first, second) < num_items
        swapped = first > second
        key = (second, first) if swapped else (first, second)
        place = {FIRST: SECOND, SECOND: FIRST}.get(outcome, TIE) if swapped else outcome
        by_pair.setdefault(key, [0.0, 0.0, 0.0])[place] += 1
    return list(by_pair), np.array(list(by_pair.values())).reshape(-1, 3)


def _fit(pairs: list[tuple[int, int]], counts: Floats, num_items: int) -> Floats:
    """Fit (batch, items + 1), the log of ν last, to counts (batch, pairs, 3), by Newton's method.

    The penalised likelihood is concave; steps that are too long are shortened.
    """
    features = np.zeros((len(pairs), 3, num_items + 1))
    for row, (first, second) in enumerate(pairs):
        features[row, FIRST, [first, second]] = 0.5, -0.5
        features[row, SECOND, [first, second]] = -0.5, 0.5
        features[row, TIE, num_items] = 1.0
    num = counts.sum(-1)
    precision = PRIOR_SD**-2
    parameters = np.zeros((len(counts), num_items + 1))
    for _ in range(_MOST_STEPS):
        logits = np.einsum("pok,bk->bpo", features, parameters)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        residual = counts - num[..., None] * shares
        gradient = np.einsum("bpo,pok->bk", residual, features) - precision * parameters
        mean = np.einsum("bpo,pok->bpk", shares, features)
        second = np.einsum("bp,bpo,pok,pol->bkl", num, shares, features, features, optimize=True)
        curvature = second - np.einsum("bp,bpk,bpl->bkl", num, mean, mean, optimize=True)
        curvature += precision * np.eye(num_items + 1)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        longest = np.abs(step).max(-1, keepdims=True)
        parameters = parameters + step * np.minimum(
            1.0, _LONGEST_STEP / np.maximum(longest, 1e-300)
        )
        if longest.max() < 1e-9:
            break
    return parameters
