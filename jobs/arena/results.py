"""Results of an arena: what a vote reveals, the ranking with what samples cost, export."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from jobs.arena import arenas, votes
from jobs.arena.arenas import Arena
from jobs.arena.ranking import FIRST, SECOND, TIE, Comparison, rank
from jobs.arena.votes import BAD, LEFT, RIGHT, SKIP, Ballot
from jobs.records import run_store
from jobs.records.sample_sets import SampleSet

REAL = "real data"
_OUTCOMES = {LEFT: FIRST, RIGHT: SECOND, votes.TIE: TIE, BAD: TIE}
"""Both bad is no preference either; how often it was said is told beside the score."""
COLUMNS = (
    "ballot",
    "left",
    "right",
    "left_name",
    "right_name",
    "choice",
    "second",
    "void",
    "viewer",
    "asked",
    "voted",
)


def contestant(each: SampleSet) -> dict[str, Any]:
    """Describe a sample set by name, with what its samples cost as it was measured."""
    if each.source == "held_out":
        return {"set": each.id, "name": REAL, "about": "held out, seen by no model", "run": ""}
    figures = {name: value for name, value in each.figures.items() if value is not None}
    return {
        "set": each.id,
        "name": each.run_name or f"{each.method.replace('_', ' ')}, {each.run[-4:]}",
        "about": f"{each.method.replace('_', ' ')}, step {each.step:,}",
        "run": each.run if _is_there(each.run) else "",
        "joules": each.joules_per_sample,
        "joules_from": each.joules_from,
        "seconds": each.seconds_per_sample,
        "figures": figures,
        "caveat": each.caveat,
    }


def _is_there(run_id: str) -> bool:
    return run_id in run_store.run_names()


def standings(arena: Arena, sets: Sequence[SampleSet]) -> dict[str, Any]:
    """Rank the contestants by their blind votes and by those that were thought over.

    `rows`, the best first: `contestant` and `score`, `low`, `high`, `num`, `bad` (share of votes
    that found both bad), and `informed` with score, low, high of the second votes, null without.
    `num` votes by `viewers` people, of `decided` thought over `changed`, and `void` that do not
    count. Raises NotAvailable.
    """
    known = tuple(votes.ballots(arena))
    order = tuple(each.id for each in sets)
    ranked = _ranked(order, known)
    rows = [{**contestant(each), **ranked["by_set"][each.id]} for each in sets]
    rows.sort(key=lambda row: -row["score"])
    return {"rows": rows, **ranked["totals"]}


@lru_cache(8)
def _ranked(order: tuple[str, ...], known: tuple[Ballot, ...]) -> dict[str, Any]:
    counted = [each for each in known if each.counts and {each.left, each.right} <= set(order)]
    decided = [each for each in counted if each.second]
    blind = rank(_comparisons(order, ((each, each.choice) for each in counted)), len(order))
    informed = rank(_comparisons(order, ((each, each.second) for each in decided)), len(order))
    by_set = {}
    for place, name in enumerate(order):
        mine = [each for each in counted if name in (each.left, each.right)]
        by_set[name] = {
            "score": float(blind.scores[place]),
            "low": _finite(blind.low[place]),
            "high": _finite(blind.high[place]),
            "num": len(mine),
            "bad": sum(each.choice == BAD for each in mine) / len(mine) if mine else None,
            "informed": {
                "score": float(informed.scores[place]),
                "low": _finite(informed.low[place]),
                "high": _finite(informed.high[place]),
            }
            if informed.num[place]
            else None,
        }
    totals = {
        "num": len(counted),
        "viewers": len({each.viewer for each in counted}),
        "decided": len(decided),
        "changed": sum(each.second != each.choice for each in decided),
        "void": sum(bool(each.void) for each in known),
    }
    return {"by_set": by_set, "totals": totals}


def _comparisons(order: Sequence[str], chosen: Iterable[tuple[Ballot, str]]) -> list[Comparison]:
    places = {name: place for place, name in enumerate(order)}
    return [
        Comparison(places[each.left], places[each.right], _OUTCOMES[choice])
        for each, choice in chosen
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def exported(arena: Arena) -> list[dict[str, Any]]:
    """List every ballot that was answered, with names: those that are open stay blind.

    Raises NotAvailable.
    """
    sets, _ = arenas.sets_of(arena)
    names = {each.id: contestant(each)["name"] for each in sets}
    return [
        {
            "ballot": each.id,
            "left": each.left,
            "right": each.right,
            "left_name": names.get(each.left, ""),
            "right_name": names.get(each.right, ""),
            "choice": each.choice,
            "second": each.second,
            "void": each.void,
            "viewer": each.viewer,
            "asked": each.asked,
            "voted": each.voted,
        }
        for each in votes.ballots(arena)
        if each.choice and each.choice != SKIP
    ]


def as_csv(arena: Arena) -> str:
    """Write the answered ballots as a table. Raises NotAvailable."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in exported(arena):
        writer.writerow([_word(row[name]) for name in COLUMNS])
    return text.getvalue()


def _word(value: Any) -> Any:
    """Quote a name that a spreadsheet would take for a formula."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value
