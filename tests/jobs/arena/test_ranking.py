"""The ranking: the likelihood's own maximum, right where voters of known preference vote."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from jobs.arena.ranking import FIRST, SECOND, TIE, Comparison, rank


def voted(
    scores: list[float], tie: float, num: int, rng: np.random.Generator
) -> Iterator[Comparison]:
    """Votes of somebody of known preference, on pairs in turn."""
    pairs = list(itertools.combinations(range(len(scores)), 2))
    for at in range(num):
        first, second = pairs[at % len(pairs)]
        if rng.random() < 0.5:
            first, second = second, first
        half = (scores[first] - scores[second]) / 2
        weights = np.array([np.exp(half), np.exp(-half), tie])
        yield Comparison(first, second, int(rng.choice(3, p=weights / weights.sum())))


def test_two_items_without_ties_have_the_log_of_their_odds() -> None:
    votes = [Comparison(0, 1, FIRST)] * 300 + [Comparison(1, 0, FIRST)] * 100
    ranking = rank(votes, 2)
    assert ranking.scores[0] - ranking.scores[1] == pytest.approx(np.log(3), rel=0.005)
    assert ranking.scores.sum() == pytest.approx(0, abs=1e-9)
    assert ranking.tie < 0.05 and list(ranking.num) == [400, 400]


def test_ties_count_for_both_and_for_neither() -> None:
    votes = [Comparison(0, 1, FIRST)] * 100 + [Comparison(0, 1, SECOND)] * 100
    votes += [Comparison(1, 0, TIE)] * 50
    ranking = rank(votes, 2)
    assert ranking.scores == pytest.approx([0, 0], abs=1e-9)
    assert ranking.tie == pytest.approx(0.5, rel=0.01)


def test_it_is_the_maximum_of_davidsons_likelihood() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    votes = list(voted([1.0, 0.2, -0.3, -0.9], 0.7, 900, rng))

    def loss(free: np.ndarray) -> float:
        scores, log_tie = np.append(free[:-1], -free[:-1].sum()), free[-1]
        total = 0.0
        for first, second, outcome in votes:
            half = (scores[first] - scores[second]) / 2
            logits = np.array([half, -half, log_tie])
            total -= logits[outcome] - np.logaddexp.reduce(logits)
        return total

    best = optimize.minimize(loss, np.zeros(4), method="BFGS").x
    ranking = rank(votes, 4)
    assert ranking.scores[:3] == pytest.approx(best[:3], abs=0.01)
    assert np.log(ranking.tie) == pytest.approx(best[3], abs=0.01)


def test_two_voters_of_known_preference_are_recovered_by_intervals_that_cover() -> None:
    truth = [1.2, 0.4, -0.3, -1.3]
    covered = ordered = 0
    for repeat in range(25):
        rng = np.random.default_rng(repeat)
        votes = [*voted(truth, 0.3, 100, rng), *voted(truth, 1.2, 100, rng)]
        ranking = rank(votes, 4, seed=repeat)
        covered += int(((ranking.low <= truth) & (truth <= ranking.high)).sum())
        ordered += list(np.argsort(-ranking.scores)) == [0, 1, 2, 3]
        assert ranking.scores[0] > ranking.scores[2] and ranking.scores[1] > ranking.scores[3]
    assert covered >= 0.88 * 25 * 4, "of 95 % intervals"
    assert ordered >= 20


def test_who_wins_every_vote_has_a_finite_score_and_who_has_none_an_endless_interval() -> None:
    ranking = rank([Comparison(0, 1, FIRST)] * 20, 2)
    assert 1 < ranking.scores[0] < 20 and ranking.low[0] > 0
    nobody = rank([], 3)
    assert list(nobody.scores) == [0, 0, 0] and np.isinf(nobody.high).all()
