"""Commands on runs that are there: `basin ls`, `show`, `stop`, `pause`, `resume`, `dismiss` and
`reindex`, and their report `card`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import click

from backend.config import turn_in_words
from backend.metric_names import COMPANIONS
from jobs import report_cards
from jobs.cli import launch
from jobs.cli.common import DONE, FAILED, json_command, number, show, table, user
from jobs.formatting import duration
from jobs.models import fingerprints, forks
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.requests import Turn
from jobs.records.run_store import RunDirectory
from jobs.records.status import Status, went_on_in_words

FLOOR, GOAL = "floor", "goal"


@click.command()
@click.option("--status", "wanted", help="Only runs of this status.")
@click.option("-n", "num", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@json_command
def ls(wanted: str | None, num: int, as_json: bool) -> None:
    """List runs, newest first."""
    runs = [s for s in run_store.list_runs() if wanted in (None, s.status)][:num]
    rows = [
        (
            s.id,
            s.status,
            f"{100 * s.fraction:.0f} %",
            s.method,
            s.data,
            s.name,
            "" if not s.headline else f"{s.headline['path']} {number(s.headline['value'])}",
            duration(s.seconds),
        )
        for s in runs
    ]
    columns = ("run", "status", "done", "method", "data", "name", "figure", "time")
    empty = "No runs yet. `basin run SPEC.yaml` launches one, as does the Launch page."
    waits = [f"{s.id} waits: {s.reason}" for s in runs if s.status == "queued" and s.reason]

    def in_words() -> str:
        return "\n".join([table(columns, rows), *waits]) if rows else empty

    show([plain(s) for s in runs], as_json, in_words)


@click.command("show")
@click.argument("run")
@json_command
def show_run(run: str, as_json: bool) -> None:
    """Say what a run is, how it stands, and its figures beside their floors.

    RUN is an id, the start of one, or `latest`.
    """
    directory = run_store.open_run(run)
    status, spec, figures = directory.status(), directory.spec(), figures_of(directory)
    value = {
        "status": plain(status),
        "spec": spec.model_dump(mode="json", exclude_none=True),
        "figures": figures,
        "metrics": directory.metrics(),
        "turns": [turn._asdict() for turn in directory.turns()],
        "checkpoints": directory.checkpoints(),
        "forks": [
            {"id": s.id, "step": s.forked_from["step"]}
            for s in forks.children_of(directory.id)
            if s.forked_from
        ],
        "plugins": fingerprints.read(directory).get("plugins", []),
        "directory": str(directory.path),
    }
    show(value, as_json, lambda: _in_words(directory, status, spec.to_yaml(), figures))


def plain(status: Status) -> dict[str, Any]:
    """Convert a status to plain JSON, with what it has ahead in words."""
    return status.with_words()


def figures_of(directory: RunDirectory) -> list[dict[str, Any]]:
    """List the last value of every figure: chart, series, value, and the chart's floor and goal.

    Final metrics stand in for the curves where there are some.
    """
    last: dict[str, float | None] = {**directory.latest(), **directory.metrics()}
    charts: dict[str, dict[str, float | None]] = {}
    for path, value in last.items():
        head, _, tail = path.rpartition("/")
        chart, series = (head, tail) if tail in COMPANIONS else (path, "")
        charts.setdefault(chart, {})[series] = value
    return [
        {
            "chart": chart,
            "series": name,
            "value": _finite(value),
            "floor": companions.get(FLOOR),
            "goal": companions.get(GOAL),
        }
        for chart, companions in sorted(charts.items())
        for name, value in sorted(companions.items())
        if name not in (FLOOR, GOAL)
    ]


def _finite(value: float | None) -> float | None:
    """Replace NaN and infinity by None: JSON has neither."""
    return value if value is not None and math.isfinite(value) else None


def _in_words(
    directory: RunDirectory, status: Status, spec: str, figures: list[dict[str, Any]]
) -> str:
    facts = f"{status.method}/{status.preset} on {status.data}, seed {status.seed}, {status.device}"
    if status.products:
        facts += f", linear layers by {status.products}"
    progress = f"{100 * status.fraction:.0f} % of the budget, step {status.step:,}"
    if status.ahead:
        progress += f", {status.ahead}"
    costs = f"{duration(status.seconds)} of training"
    if status.gradients:
        costs = f"{status.gradients:,} gradients, {costs}"
    lines = [
        f"{status.id}  {status.name}".rstrip(),
        f"  {status.status}: {progress}, {costs}",
        f"  {facts}",
        f"  {directory.path}",
    ]
    if status.reason:
        lines.insert(2, f"  {status.reason}")
    if status.went_on:
        lines.append(f"  {went_on_in_words(status)}")
    if status.forked_from:
        lines.append(f"  {forks.in_words(status)}")
    if steps := directory.checkpoints():
        lines.append(f"  kept at steps {', '.join(f'{step:,}' for step in steps)}")
    lines += [f"  {forked_at(child)}" for child in forks.children_of(status.id)]
    if status.damage:
        lines.append(f"  damaged: {status.damage} See `basin doctor`.")
    for origin, since in fingerprints.plugins_in_words(fingerprints.read(directory)):
        lines.append(f"  {origin} {since}".rstrip())
    lines += [f"  turned at {turned_at(turn)}" for turn in directory.turns()]
    lines += [f"  alarm at step {a['step']}: {a['message']}" for a in status.alarms]
    lines += [f"  {dismissed_in_words(a)}" for a in status.dismissed]
    if figures:
        rows = [
            (
                f["chart"],
                f["series"],
                _in_figures(f["value"]),
                number(f["floor"]),
                number(f["goal"]),
            )
            for f in figures
        ]
        lines += ["", table(("figure", "series", "last", "floor", "goal"), rows)]
    return "\n".join([*lines, "", spec.rstrip()])


def _in_figures(value: float | None) -> str:
    return "not finite" if value is None else number(value)


def _act(name: str, act: Callable[[str], None], about: str, after: str) -> click.Command:
    """Build a command that does one thing to one or several runs."""

    @click.command(name, help=f"{about}\n\nRUN is an id, the start of one, or `latest`.")
    @click.argument("runs", nargs=-1, required=True, metavar="RUN...")
    @json_command
    def command(runs: tuple[str, ...], as_json: bool) -> None:
        directories = [run_store.open_run(run) for run in runs]
        for directory in directories:
            act(directory.id)
        value = [{"id": d.id, "status": d.status().status} for d in directories]
        show(value, as_json, "\n".join(f"{d.id}: {after}" for d in directories))

    return command


stop = _act(
    "stop",
    control.stop,
    "End runs; a running one writes a checkpoint first.",
    "asked to stop",
)
pause = _act(
    "pause",
    control.pause,
    "Stop runs so that they can go on: a checkpoint, and the worker is free.",
    "asked to pause",
)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--anyway", is_flag=True, help="Also where its data are not what they were.")
@click.option("--inline", is_flag=True, help="Go on in this process, without Redis.")
@json_command
def resume(runs: tuple[str, ...], anyway: bool, inline: bool, as_json: bool) -> None:
    """Go on with runs that were paused, stopped, lost or failed, from their last checkpoint.

    RUN is an id, the start of one, or `latest`. Inline they go on one after the other; one that
    is stopped by hand is the last.
    """
    directories = [run_store.open_run(run) for run in runs]
    if inline:
        _resume_here(directories, anyway, as_json)
    for directory in directories:
        control.resume(directory.id, anyway=anyway)
    value = [{"id": d.id, "status": d.status().status} for d in directories]
    show(value, as_json, "\n".join(f"{d.id}: first in the queue" for d in directories))


def _resume_here(directories: list[RunDirectory], anyway: bool, as_json: bool) -> NoReturn:
    """Go on with runs in this process, and end it as `basin run --inline` does."""
    ended: list[Status] = []
    for directory in directories:
        launch.train_here(control.take_up(directory.id, anyway=anyway), quiet=as_json)
        ended.append(directory.status())
        if ended[-1].status == "stopped":
            break
    value = [{"id": s.id, "status": s.status, "reason": s.reason} for s in ended]
    show(value, as_json, "\n".join(f"{s.id}: {s.status} {s.reason}".rstrip() for s in ended))
    good = len(ended) == len(directories) and all(s.status == "finished" for s in ended)
    sys.exit(DONE if good else FAILED)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_command
def card(runs: tuple[str, ...], as_json: bool) -> None:
    """Write the report card of a run, or of the comparison of several, as Markdown for a paper.

    Joules of training and of a sample as measured, hours, device, what was reached. RUN is an id,
    the start of one, or `latest`. BASIN_GRID_CO2, the grams of CO₂ a kWh of your grid, adds CO₂.
    """
    ids = list(dict.fromkeys(run_store.open_run(run).id for run in runs))
    text = report_cards.of_runs(ids)
    show({"runs": ids, "markdown": text}, as_json, text.rstrip())


def turned_at(turn: Turn) -> str:
    """Write when what was turned, and by whom.

    >>> turned_at(Turn(1200, {"train.learning_rate": (0.01, 0.001)}, "ada", 0.0, ""))
    'step 1,200: Learning rate 0.01 → 0.001, by ada.'
    """
    return f"step {turn.step:,}: {turn_in_words(turn.fields, turn.by)}"


def forked_at(child: Status) -> str:
    """Write which run was forked from one, and at which step.

    >>> forked_at(Status("20260101-000000-abcd", forked_from={"run": "a", "step": 1200}))
    'forked at step 1,200: 20260101-000000-abcd'
    """
    assert child.forked_from is not None
    return f"forked at step {child.forked_from['step']:,}: {child.id}"


def dismissed_in_words(alarm: dict[str, Any]) -> str:
    """Write an alarm that was dismissed, with the word of whoever did."""
    by = f" by {alarm['by']}" if alarm["by"] else ""
    when = time.strftime("%d %b %Y, %H:%M", time.localtime(alarm["when"]))
    return f"dismissed{by}, {when}: {alarm['why']} ({alarm['message']})"


@click.command()
@click.argument("run")
@click.argument("alarm")
@click.argument("why")
@json_command
def dismiss(run: str, alarm: str, why: str, as_json: bool) -> None:
    """Dismiss an alarm of a run with a word, which is kept in its record.

    RUN is an id, the start of one, or `latest`; ALARM a name as `basin show --json` has it, such as
    `mixing`; WHY the reason, in quotes. It then stands in no list of what needs a look.
    """
    directory = run_store.open_run(run)
    paths = [alarm, f"alarm/{alarm}"]
    known = {item["path"] for item in directory.status().alarms}
    path = next((path for path in paths if path in known), alarm)
    directory.dismiss(path, why, user())
    value = {"id": directory.id, "alarm": path}
    show(value, as_json, f"{directory.id}: {path} dismissed")


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@json_command
def reindex(runs: tuple[str, ...], as_json: bool) -> None:
    """Make the tables of runs again from their logs; of all that are not running when none is
    named."""
    entries = [
        {"id": directory.id, "paths": len(directory.scalars())}
        for directory in run_store.reindex(runs or None)
    ]
    text = "\n".join(f"{entry['id']}: {entry['paths']} curves" for entry in entries)
    show(entries, as_json, text or "No runs to index.")
