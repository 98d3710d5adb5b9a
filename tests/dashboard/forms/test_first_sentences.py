"""First sentences: remembered by what a page began with, the newest hundred."""

from __future__ import annotations

import pytest

from dashboard.forms import first_sentences


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_sentences, "_sentences", {})


def test_sentences_belong_to_what_was_begun_with() -> None:
    first_sentences.remember({"data": {"name": "ring"}, "seed": 0}, "about the ring")
    assert first_sentences.recall({"seed": 0, "data": {"name": "ring"}}, "") == "about the ring"
    assert first_sentences.recall({"data": {"name": "ring"}, "seed": 1}, "none") == "none"


def test_the_newest_hundred_are_remembered() -> None:
    for number in range(102):
        first_sentences.remember(number, number)
        first_sentences.remember(0, 0)  # the newest again
    known = [number for number in range(102) if first_sentences.recall(number, None) is not None]
    assert known == [0, *range(3, 102)]
