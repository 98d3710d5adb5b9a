"""Vocabulary that pages in Python and panels in JavaScript share, written for the panels.

`python -m dashboard.vocabulary` writes `live/parts/vocabulary.json` from the tables that are their
home; a test finds out when it was not run.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.metric_names import ANSWERS, COMPANIONS, FIGURES, HEADLINES, NUM_SAMPLES
from backend.metric_names.pictures import PICTURES
from dashboard.elements import STATUS
from jobs.records.groups import BOOKKEEPING, GROUPS, RACE
from jobs.records.status import FAILURE, OVER, RESUMABLE, WORDS

FILE = Path(__file__).with_name("live") / "parts" / "vocabulary.json"


def vocabulary() -> dict[str, Any]:
    """Collect statuses with sign and colour, companions of a metric path, names of pictures and of
    figures of answers, Basin's tags, headline orders, and the path of the number of samples."""
    return {
        "statuses": {word: _status(word) for word in WORDS},
        "companions": {name: asdict(companion) for name, companion in COMPANIONS.items()},
        "pictures": {path: asdict(picture) for path, picture in PICTURES.items()},
        "figures": figure_names(),
        "tags": {"groups": list(GROUPS), "bookkeeping": [*BOOKKEEPING, RACE]},
        "headlines": {page: list(paths) for page, paths in HEADLINES.items()},
        "numSamples": NUM_SAMPLES,
    }


def figure_names() -> dict[str, str]:
    """Name the figures and pictures of answers: those of quality as a run has them."""
    quality = {
        path.removeprefix("quality/"): item.title
        for path, item in FIGURES.items()
        if path.startswith("quality/")
    }
    return {**quality, **ANSWERS}


def _status(word: str) -> dict[str, Any]:
    sign, colour = STATUS[word]
    return {
        "sign": sign,
        "colour": colour,
        "over": word in OVER,
        "resumable": word in RESUMABLE,
        "failure": word in FAILURE,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vocabulary(), indent=2, ensure_ascii=False) + "\n")
