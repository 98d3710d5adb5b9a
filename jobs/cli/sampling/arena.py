"""`basin arena`: the arenas there are, who leads in them at what cost, and every vote."""

from __future__ import annotations

from typing import Any

import click

from backend.errors import BadInput, NotAvailable
from jobs.arena import arenas, results, votes
from jobs.arena.arenas import Arena
from jobs.cli.common import json_command, number, show, table


@click.group("arena")
def arena_command() -> None:
    """List arenas, rank who takes part, and export the votes. Votes are cast on the page Arena.

    ARENA is an id, the start of one, or `latest`.
    """


@arena_command.command("list")
@json_command
def list_command(as_json: bool) -> None:
    """List arenas, newest first, without naming who takes part."""
    value = [
        {
            "id": each.id,
            "address": f"/arena?id={each.id}",
            "data": each.data,
            "contestants": len(each.sets),
            "votes": sum(ballot.counts for ballot in votes.ballots(each)),
            "created": each.created,
        }
        for each in arenas.list_arenas()
    ]
    names = ("id", "data", "contestants", "votes", "address")
    rows = [[each[name] for name in names] for each in value]
    text = table(("arena", *names[1:]), rows) if rows else "There are no arenas: begin one there."
    show(value, as_json, text)


@arena_command.command()
@click.argument("arena")
@json_command
def ranking(arena: str, as_json: bool) -> None:
    """Rank the contestants of ARENA by Bradley-Terry scores, with what their samples cost."""
    known = _named(arena)
    value = {"id": known.id, **results.standings(known, arenas.sets_of(known)[0])}
    show(value, as_json, lambda: _in_words(value))


@arena_command.command()
@click.argument("arena")
@json_command
def export(arena: str, as_json: bool) -> None:
    """Print every answered ballot of ARENA, as CSV or as JSON."""
    known = _named(arena)
    show(results.exported(known), as_json, lambda: results.as_csv(known).rstrip())


def _named(start: str) -> Arena:
    known = arenas.list_arenas()
    fits = known[:1] if start == "latest" else [each for each in known if each.id.startswith(start)]
    if not fits:
        raise NotAvailable(f"There is no arena `{start}`; see `basin arena list`.")
    if len(fits) > 1:
        raise BadInput.at("arena", f"`{start}` fits {len(fits)} arenas, {fits[0].id} among them.")
    return fits[0]


def _in_words(value: dict[str, Any]) -> str:
    rows = [
        (
            row["name"],
            number(row["score"]),
            f"{number(row['low'])} to {number(row['high'])}",
            number(row["informed"] and row["informed"]["score"]),
            row["num"],
            number(row.get("joules")),
            number(row.get("seconds")),
        )
        for row in value["rows"]
    ]
    columns = (
        "contestant",
        "score",
        "interval",
        "thought over",
        "votes",
        "J a sample",
        "s a sample",
    )
    facts = [f"votes: {value['num']}", f"voters: {value['viewers']}", f"void: {value['void']}"]
    facts.append(f"changed once names were known: {value['changed']} of {value['decided']}")
    return f"{table(columns, rows)}\n{', '.join(facts)}"
