"""`basin turn`, `fork`, `keep`: other settings in flight, or in a new run from a moment kept."""

from __future__ import annotations

import sys
from typing import Any

import click

from backend.config import TurnRules
from backend.errors import BadInput
from jobs.cli import launch
from jobs.cli.common import DONE, FAILED, json_command, number, show, table, user
from jobs.queueing import control, forking
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
    taken = control.turn(directory.id, wanted, user())
    text = ", ".join(f"{name} = {value:g}" for name, value in taken.items())
    show({"id": directory.id, "settings": taken}, as_json, f"{directory.id}: asked for {text}")


@click.command()
@click.argument("run")
@click.argument("settings", nargs=-1, metavar="[FIELD=VALUE...]")
@click.option(
    "--step", type=click.IntRange(0), help="Step to begin at, one that is kept; else the newest."
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Its budget in steps, counted from the beginning of RUN, in place of other limits.",
)
@click.option("--inline", is_flag=True, help="Run it in this process, without Redis.")
@json_command
def fork(
    run: str,
    settings: tuple[str, ...],
    step: int | None,
    steps: int | None,
    inline: bool,
    as_json: bool,
) -> None:
    """Make a new run that begins with the state of RUN at a step that it keeps.

    RUN is an id, the start of one, or `latest`; `basin show RUN` lists the steps. It stays as it
    is. The new run goes on from there, with other settings where some are given, such as
    `learning_rate=0.001`: those that `basin turn RUN` lists, `budget.seconds` and the like,
    `name`, `notes` and `tags`.
    """
    changes = read_settings(settings)
    if steps is not None:
        if given := [name for name in changes if name.startswith("budget.")]:
            raise BadInput.at(given[0], "is given beside --steps. Give one of them.")
        changes |= dict.fromkeys(("budget.gradients", "budget.seconds", "budget.joules"))
        changes["budget.steps"] = steps
    plan = forking.plan(run, changes, step=step, by=user())
    if inline:
        directory = forking.make(plan)
        launch.train_new(directory, quiet=as_json)
    else:
        directory = run_store.open_run(forking.launch(plan))
    status = directory.status()
    origin = {"run": plan.parent.id, "step": plan.step}
    value: dict[str, Any] = {**launch.summary(directory, status), "forked_from": origin}
    words = f"{directory.id}: {status.status}, forked from {plan.parent.id} at step {plan.step:,}"
    show(value, as_json, words)
    sys.exit(FAILED if inline and status.status != "finished" else DONE)


@click.command()
@click.argument("run")
@click.option("--step", type=click.IntRange(0), help="Another step that is still there.")
@json_command
def keep(run: str, step: int | None, as_json: bool) -> None:
    """Keep the moment that RUN is at for good, so that forks may begin there.

    RUN is an id, the start of one, or `latest`. Of a run that is over: its newest checkpoint.
    """
    directory = run_store.open_run(run)
    at = forking.keep(directory.id, step)
    text = "keeps the present moment" if at is None else f"keeps step {at:,}"
    show({"id": directory.id, "step": at}, as_json, f"{directory.id}: {text}")


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
        settings[name] = launch.value_of(name, text)
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
