"""Recipe cost: the time that a launch from the Gallery takes, and how that is known."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import streamlit as st

from backend.claims.recipe import Recipe
from backend.errors import BasinError
from dashboard.elements import plural
from dashboard.forms import cost_lines, draft
from dashboard.forms.cost_lines import Wait
from dashboard.forms.draft import Answer
from jobs.claims import reproduction as reproductions
from jobs.formatting import duration


@dataclass(frozen=True)
class Expected:
    """Time of a launch: seconds of training of all runs, None where unknown, and the source."""

    seconds: float | None
    source: str


def expected(recipe: Recipe, scale: str, seeds: int) -> Expected | None:
    """Estimate from the last launch here or, without one, from what the check worker answers.

    Its answer rests on runs of the same work or, without any, on a few steps timed there. It is
    asked beside the page, whose clicks wait for nobody: None until it has answered.
    """
    seconds = reproductions.expected_seconds(recipe.name, scale, seeds)
    if seconds is not None:
        return Expected(seconds, "as its last launch here took")
    try:
        specs = reproductions.specs(recipe, scale, 1)
    except BasinError as error:
        return Expected(None, str(error))
    asked: dict[str, Future[list[Answer]]] = st.session_state.setdefault("recipe_checks", {})
    texts = [json.dumps(spec.as_dict(), sort_keys=True) for spec in specs.values()]
    key = "\n".join(texts)
    if key not in asked:
        asked[key] = _askers().submit(_answers, texts)
    if not asked[key].done():
        return None
    return _summed(asked[key].result(), seeds)


@st.cache_resource
def _askers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="recipe cost")


def _answers(texts: list[str]) -> list[Answer]:
    """Ask the check worker about specs as JSON, up to the first that it does not answer."""
    answers = []
    for text in texts:
        answers.append(draft.check(json.loads(text), text))
        if answers[-1].check is None:
            break
    return answers


def _summed(answers: list[Answer], seeds: int) -> Expected:
    """Sum the cost of each variant under so many seeds."""
    total, are_alike = 0.0, True
    for answer in answers:
        if answer.check is None:
            return Expected(None, answer.silence)
        each = answer.check.cost.get("seconds")
        if each is None:
            return Expected(None, "No runs here are like these.")
        total += each * seeds
        are_alike = are_alike and bool(answer.check.cost.get("from_runs"))
    return Expected(total, "from like runs" if are_alike else "from a few steps timed here")


def in_words(cost: Expected, wait: Wait | None = None) -> str:
    """Say the time of training, where it is known from, and what comes before.

    >>> in_words(Expected(90.0, "from like runs"), Wait(running=1, queued=1, workers=2))
    'About 1m 30s of training, from like runs; 45s on 2 workers. 2 runs come first.'
    >>> in_words(Expected(None, "The check worker is silent."), Wait())
    'How long it takes is not known. The check worker is silent.'
    """
    if cost.seconds is None:
        return f"How long it takes is not known. {cost.source}"
    now = wait or cost_lines.wait_now()
    words = f"About {duration(cost.seconds)} of training, {cost.source}"
    if now.workers > 1:
        words += f"; {duration(cost.seconds / now.workers)} on {now.workers} workers"
    before = now.running + now.queued
    first = (
        f" {plural(before, 'run')} {'comes' if before == 1 else 'come'} first." if before else ""
    )
    return f"{words}.{first}"
