"""`basin turn`: settings of a run, turned while it trains."""

from __future__ import annotations

import getpass
from typing import Any

import click

from backend.config import TurnRules
from backend.errors import BadInput
from jobs.cli.common import json_command, number, show, table
from jobs.cli.launch import value_of
from jobs.queueing import control
from jobs.records import run_store


@click.command()
@click.argument("run")
@click.argument("settings", nargs=-1, metavar="[FIELD=VALUE...]")
@json_command
def turn(run: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Turn settings of a run while it trains, such as `learning_rate=0.001`.

    RUN is an id, the start of one, or `latest`. Without settings: lists those that can be turned.
    They are taken between two steps, a paused run takes them when it goes on, and every turn stands
    in the run's record.
    """
    directory = run_store.open_run(run)
    if not settings:
        rules = directory.turnable()
        show(rules, as_json, lambda: _listed(directory.id, rules))
        return
    wanted = read_settings(settings)
    taken = control.turn(directory.id, wanted, getpass.getuser())
    text = ", ".join(f"{name} = {value:g}" for name, value in taken.items())
    show({"id": directory.id, "settings": taken}, as_json, f"{directory.id}: asked for {text}")


def read_settings(given: tuple[str, ...]) -> dict[str, Any]:
    """Read words such as `a.b=1` into values by dotted field. Raises BadInput."""
    settings: dict[str, Any] = {}
    for words in given:
        name, equals, text = words.partition("=")
        if not equals or not name:
            example = "such as learning_rate=0.001"
            raise BadInput.at("settings", f"must be field=value, {example}, got {words!r}.")
        if name in settings:
            raise BadInput.at(name, "is given twice.")
        settings[name] = value_of(name, text)
    return settings


def _listed(run_id: str, rules: TurnRules) -> str:
    if not rules:
        return f"Nothing of {run_id} can be turned, or it has not been set up yet."
    rows = [(name, number(rule["value"]), _bounds(rule)) for name, rule in rules.items()]
    return table(("setting", "value", "may be"), rows)


def _bounds(rule: dict[str, Any]) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    parts = [f"{sign} {rule[key]:g}" for key, sign in signs.items() if key in rule]
    return ", ".join(parts)
