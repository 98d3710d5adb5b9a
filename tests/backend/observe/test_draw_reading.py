"""What a sampler's figures are worth: one rule, and always a reason."""

from __future__ import annotations

import pytest

from backend.observe.draw_reading import OPEN, SOUND, WRONG, of_table, reading, warming_up

NAN = float("nan")


@pytest.mark.parametrize(
    ("figures", "verdict", "words"),
    [
        (
            {"sampler/r_hat": 1.01, "error/mean": 0.03, "error/mean/floor": 0.02},
            SOUND,
            "mean 1.5 times",
        ),
        ({"sampler/r_hat": 1.01}, SOUND, "the truth is not known"),
        ({"sampler/r_hat": 1.01, "error/variance": 0.1}, SOUND, "chains agree"),
        ({"sampler/r_hat": 1.2, "error/mean": 0.0}, WRONG, "chains disagree: R-hat 1.2"),
        ({"sampler/r_hat": NAN}, WRONG, "not finite"),
        (
            {"error/variance": 0.5, "error/variance/floor": 0.1},
            WRONG,
            "wrong draws: variance 5 times",
        ),
        ({"error/mode_weights": NAN, "error/mode_weights/floor": 0.1}, WRONG, "mode weights inf"),
        ({"error/mean": 9.9}, OPEN, "not judged: 3 draws"),
        ({}, OPEN, "not judged: 3 draws"),
    ],
)
def test_a_rate_counts_only_where_chains_agree_and_draws_are_right(
    figures: dict[str, float], verdict: str, words: str
) -> None:
    judged = reading(figures, "3 draws of a chain, 8 are needed")
    assert judged.verdict == verdict and words in judged.words


def test_of_several_errors_the_worst_is_named() -> None:
    errors = {"error/mean": 0.5, "error/mean/floor": 0.1, "error/variance": 0.9}
    assert "variance 9 times" in reading(errors | {"error/variance/floor": 0.1}).words


def test_draws_of_a_warm_up_are_not_judged() -> None:
    assert warming_up(40, 500, ended=True).words == (
        "not judged: the budget ended in the warm-up (40 of 500 steps)"
    )
    assert warming_up(40, 500, ended=False).verdict == OPEN


def test_the_reading_stands_in_the_table_of_the_run() -> None:
    rows = [["sampler", "MALA", "exact"], ["verdict", *reading({"sampler/r_hat": 1.2})]]
    judged = of_table(rows)
    assert judged is not None and judged.verdict == WRONG
    assert of_table([["sampler", "MALA", "exact"]]) is None
