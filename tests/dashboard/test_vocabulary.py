"""The words that Python and JavaScript share are written down once."""

from __future__ import annotations

import json

from backend.metric_names import COMPANIONS, HEADLINES, chart_of
from dashboard import vocabulary
from jobs.records.status import FAILURE, OVER, RESUMABLE, WORDS


def test_the_panels_read_the_words_of_today() -> None:
    written = json.loads(vocabulary.FILE.read_text())
    assert written == vocabulary.vocabulary(), "run `python -m dashboard.vocabulary`"


def test_words_of_status_are_told_apart() -> None:
    assert set(WORDS) >= OVER | RESUMABLE | FAILURE
    assert RESUMABLE <= OVER and FAILURE <= OVER


def test_a_headline_is_a_chart_or_one_of_its_series() -> None:
    for path in [path for paths in HEADLINES.values() for path in paths]:
        tail = path.rpartition("/")[2]
        assert chart_of(path) == path or not COMPANIONS[tail].reference
