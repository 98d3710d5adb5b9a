"""Test of two runs of a comparison: asked once a visit, its answer kept with the first run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from backend.errors import BasinError
from dashboard.comparison import Group
from jobs.queueing import enqueue

ABILITY = "differ"
SEED = 0


class Pair(NamedTuple):
    """Ids of two runs."""

    first: str
    second: str


def pair_of(groups: list[Group], text: str) -> Pair | None:
    """Read the pair that a link names; None where it is none of these runs."""
    ids = text.split(",")
    known = {member.id for group in groups for member in group.members}
    return Pair(*ids) if len(set(ids)) == len(ids) == 2 and set(ids) <= known else None


def ask(pair: Pair, waiting: Callable[[float], None]) -> dict[str, Any]:
    """Ask a run for its difference from another; returns the answer's id, or the reason for none.

    waiting: called about once a second.
    """
    config = {"runs": [pair.second]}
    try:
        answer = enqueue.ask_run(pair.first, ABILITY, config, seed=SEED, waiting=waiting)
    except BasinError as error:
        return {"answer": "", "reason": str(error)}
    return {"answer": str(answer["id"]), "reason": ""}
