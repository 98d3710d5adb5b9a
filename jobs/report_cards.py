"""Report cards: what a run, or a comparison, cost and reached, as Markdown to paste into a paper.

Joules are those of training as they were measured, with the source; what nothing measured is said
to be so. A fork's card counts what it paid itself: what its parent paid stands on the parent's.
CO₂ stands there only with a factor of one's own grid in BASIN_GRID_CO2. Imports no torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.errors import BadInput, BasinError
from backend.metric_names import COMPANIONS, FIGURES, HEADLINES, chart_of
from backend.system.about import version
from jobs.formatting import duration
from jobs.records import run_store, sample_sets
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status, hostname
from jobs.system import devices
from jobs.system.joule_meter import ESTIMATE

GRID = "BASIN_GRID_CO2"
"""Grams of CO₂ a kilowatt-hour of one's own grid."""
JOULES_A_KWH = 3.6e6
MOST_FIGURES = 4
NOT_MEASURED = "not measured"
_TELLING = ("quality/", "error/", "prediction/", "classification/", "density/log_likelihood")


def grid_factor() -> float | None:
    """Read the grams of CO₂ a kilowatt-hour that a person gives; None without. Raises BadInput."""
    given = os.environ.get(GRID, "")
    if not given:
        return None
    try:
        factor = float(given)
    except ValueError:
        factor = math.nan
    if not 0 <= factor <= 5000:
        raise BadInput.at(
            GRID, f"must be the grams of CO₂ a kWh of your grid, 0 to 5,000, got {given!r}."
        )
    return factor


@dataclass(frozen=True)
class Reached:
    """Figure that a run has come to, and what it cost."""

    title: str
    value: float
    floor: float | None
    goal: float | None
    first: float | None
    """the first that was measured; of a fork the one that it began with"""
    gain_a_kilojoule: float | None
    """how much better than `first` for every kilojoule of training"""
    goal_after: tuple[float, float | None] | None
    """seconds and joules of training at which the goal was first met; none where a fork began with
    it met"""


def reached(directory: RunDirectory) -> list[Reached]:
    """List the figures that say how good a run is: at most MOST_FIGURES, the most telling first."""
    last = {**directory.latest(_TELLING), **_final(directory)}
    chosen = [path for path in _in_order(last) if math.isfinite(last[path])]
    return [_reached(directory, path, last) for path in chosen[:MOST_FIGURES]]


def _final(directory: RunDirectory) -> dict[str, float]:
    return {path: value for path, value in directory.metrics().items() if value is not None}


def _in_order(last: dict[str, float]) -> list[str]:
    """Order the paths that have a better end, a chart's long-run figure for all of it."""
    charts = dict.fromkeys(map(chart_of, (*HEADLINES["compare"], *HEADLINES["run"], *last)))
    paths = []
    for chart in charts:
        if chart in FIGURES and FIGURES[chart].better and chart.startswith(_TELLING):
            paths += [path for path in (chart, f"{chart}/long_run") if path in last][:1]
    return paths


def _reached(directory: RunDirectory, path: str, last: dict[str, float]) -> Reached:
    chart = chart_of(path)
    sign = 1.0 if FIGURES[chart].better == "higher" else -1.0
    value, goal = last[path], last.get(f"{chart}/goal")
    tail = path.rpartition("/")[2]
    title = FIGURES[chart].title + (f", {COMPANIONS[tail].title}" if tail in COMPANIONS else "")
    unit = FIGURES[chart].unit
    first = gain = goal_after = None
    curve = directory.scalars().get(path)
    if curve is not None and len(curve.step):
        status = directory.written_status()
        before, joules = status.inherited, status.own.joules
        # a fork's curve begins with its parent's: its own with the last point of that
        begin = max(int((curve.step <= before.step).sum()) - 1, 0)
        values = curve.value[begin:]
        first = float(values[0])
        if joules and len(values) > 1 and math.isfinite(first):
            gain = sign * (float(values[-1]) - first) / (joules / 1000)
        if goal is not None:
            met = (sign * (values - goal) >= 0).nonzero()[0]
            if len(met):
                seconds = max(float(curve.seconds[begin:][met[0]]) - before.seconds, 0.0)
                spent = float(curve.joules[begin:][met[0]]) - (before.joules or 0.0)
                goal_after = (seconds, max(spent, 0.0) if math.isfinite(spent) else None)
    title = f"{title}, {unit}" if unit else title
    return Reached(title, value, last.get(f"{chart}/floor"), goal, first, gain, goal_after)


def sharers(status: Status, runs: Iterable[Status]) -> list[Status]:
    """List the runs that trained, or may have, while a run did and whose work its counter counted.

    An estimate counts the run's own process alone.
    """
    if status.joules is None or status.joules_source == ESTIMATE or not status.joules_of:
        return []
    parts = set(status.joules_of.split(", "))
    begin, end = _span(status)
    shared = []
    for other in runs:
        if other.id == status.id or other.host != status.host or other.started is None:
            continue
        its_begin, its_end = _span(other)
        if its_begin < end and begin < its_end and parts & set(other.joules_of.split(", ")):
            shared.append(other)
    return shared


def _span(status: Status) -> tuple[float, float]:
    return status.started or 0.0, status.ended or status.updated


def joules_in_words(status: Status, runs: Iterable[Status] = ()) -> str:
    """Describe the joules of a run's training, what they are of, and who shared the counter."""
    spent = status.own.joules
    if spent is None:
        return NOT_MEASURED
    text = f"{joules(spent)}, {status.joules_source}"
    if status.joules_of:
        text += f" ({status.joules_of})"
    others = sharers(status, runs)
    if others:
        names = ", ".join(f"`{other.id}`" for other in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        text += f"; shared at times with {names}{more}, whose work it counts too"
    return text


def joules(value: float) -> str:
    """Format joules with their unit.

    >>> joules(0.4123), joules(4123), joules(5.2e6)
    ('412 mJ', '4.12 kJ', '5.2 MJ')
    """
    for scale, unit in ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ")):
        if abs(value) >= scale:
            return f"{_number(value / scale)} {unit}"
    return f"{_number(value)} J"


@dataclass(frozen=True)
class Drawn:
    """Cost of drawing samples of a run."""

    num: int
    seconds: float
    """a sample"""
    joules: float | None
    """a sample; None where nothing measured them"""
    source: str


def of_samples(directory: RunDirectory) -> Drawn | None:
    """Find what the newest sample set of a run cost, else the newest samples asked of it."""
    for each in sample_sets.list_sets(directory.id):
        if each.state == "done" and each.seconds_per_sample is not None:
            spent = each.joules_per_sample
            return Drawn(each.num, each.seconds_per_sample, spent, each.joules_from)
    for answer in directory.answers():
        num = answer["config"].get("num")
        if answer["ability"] == "sample" and isinstance(num, int) and num > 0 and "took" in answer:
            spent = answer.get("joules")
            a_sample = None if spent is None else spent / num
            return Drawn(num, answer["took"] / num, a_sample, answer.get("joules_source") or "")
    return None


def card(run_id: str) -> str:
    """Write the report card of a run, as Markdown. Raises BadInput, NotAvailable."""
    directory = run_store.open_run(run_id)
    status = directory.status()
    lines = [f"### {_cell(status.name) or status.id}", "", *costs(directory)]
    if figures := reached(directory):
        lines += ["", *_figures(figures)]
    return "\n".join([*lines, "", f"Basin {version()}.", ""])


def costs(directory: RunDirectory) -> list[str]:
    """Write the lines of a table of what a run is and what it cost. Raises BadInput."""
    status, grid = directory.status(), grid_factor()
    budget = ", ".join(f"{value:,} {name}" for name, value in status.budget.items())
    paid = status.own
    rows = [
        ("run", f"`{status.id}`, {status.status}"),
        ("method", f"{status.method}, preset {status.preset}"),
        ("data", status.data),
        ("seed", str(status.seed)),
        ("device", _device(status)),
        ("budget", budget),
        ("training", f"{paid.step:,} steps, {paid.gradients:,} gradient evaluations"),
        ("time of training", _time(paid.seconds)),
        ("joules of training", joules_in_words(status, run_store.list_runs())),
    ]
    if status.forked_from is not None:
        rows.append(("not counted", _of_the_parent(status)))
    if grid is not None:
        rows.append(("CO₂ of training", _carbon(paid.joules, grid)))
    if (drawn := of_samples(directory)) is not None:
        rows.append(("joules a sample", f"{_a_sample(drawn)}; {drawn.num:,} drawn at once"))
        rows.append(("time a sample", f"{_number(1000 * drawn.seconds)} ms"))
    return table(("", ""), rows)


def _of_the_parent(status: Status) -> str:
    """Write what a fork goes on from, which its parent has paid."""
    assert status.forked_from is not None
    before = status.inherited
    spent = "" if before.joules is None else f", {joules(before.joules)}"
    cost = f"{duration(before.seconds)}, {before.gradients:,} gradient evaluations{spent}"
    return f"{cost} until step {before.step:,}, paid by `{status.forked_from['run']}`"


def _figures(figures: Sequence[Reached]) -> list[str]:
    head = ("figure", "reached", "floor", "goal", "goal first met after", "first", "gained a kJ")
    return table(
        head,
        [
            (
                each.title,
                _number(each.value),
                _number(each.floor),
                _number(each.goal),
                _after(each),
                _number(each.first),
                _number(each.gain_a_kilojoule),
            )
            for each in figures
        ],
    )


def _after(each: Reached) -> str:
    if each.goal_after is None:
        return "–" if each.goal is None else "not met"
    seconds, spent = each.goal_after
    if not seconds:
        return "met from the start"
    return ", ".join(filter(None, [duration(seconds), "" if spent is None else joules(spent)]))


def comparison_card(run_ids: Sequence[str]) -> str:
    """Write the report card of a comparison, a row for each run. Raises BadInput, NotAvailable."""
    directories = [run_store.open_run(run_id) for run_id in run_ids]
    runs, grid = run_store.list_runs(), grid_factor()
    figures = [{each.title: each for each in reached(directory)} for directory in directories]
    titles = list(dict.fromkeys(title for one in figures for title in one))[:MOST_FIGURES]
    head = ["run", "method", "data", "seed", "device", "time", "joules", "source"]
    head += [] if grid is None else ["CO₂"]
    gains = [title for title in titles if any(_gain(one.get(title)) is not None for one in figures)]
    for title in titles:
        head += [title, "gained a kJ"] if title in gains else [title]
    head += ["joules a sample"]
    rows, notes = [], []
    for directory, its in zip(directories, figures, strict=True):
        status = directory.status()
        drawn = of_samples(directory)
        paid = status.own
        row = [
            f"{status.name} (`{status.id}`)" if status.name else f"`{status.id}`",
            f"{status.method}, {status.preset}",
            status.data,
            str(status.seed),
            _device(status),
            _time(paid.seconds),
            NOT_MEASURED if paid.joules is None else joules(paid.joules),
            "–" if paid.joules is None else status.joules_source or "–",
        ]
        row += [] if grid is None else [_carbon(paid.joules, grid)]
        for title in titles:
            each = its.get(title)
            row.append(_number(None if each is None else each.value))
            row += [_number(_gain(each))] if title in gains else []
        rows.append([*row, _a_sample(drawn)])
        if status.forked_from is not None:
            notes.append(f"- `{status.id}`, not counted: {_of_the_parent(status)}.")
        if sharers(status, runs):
            notes.append(f"- `{status.id}`: {joules_in_words(status, runs)}.")
    lines = ["### Comparison", "", *table(head, rows)]
    return "\n".join([*lines, *([""] if notes else []), *notes, "", f"Basin {version()}.", ""])


def _a_sample(drawn: Drawn | None) -> str:
    if drawn is None or drawn.joules is None:
        return NOT_MEASURED
    return f"{joules(drawn.joules)}, {drawn.source}"


def _gain(each: Reached | None) -> float | None:
    return None if each is None else each.gain_a_kilojoule


def _carbon(spent: float | None, grid: float) -> str:
    if spent is None:
        return "not known: joules were not measured"
    return f"{_number(spent / JOULES_A_KWH * grid)} g at {grid:g} g/kWh"


def _device(status: Status) -> str:
    """Name the device, with its model where it is of this machine."""
    model = devices.model_of(status.device) if status.host == hostname() else status.host
    return f"{status.device} ({model})" if model else status.device


def _time(seconds: float) -> str:
    return f"{duration(seconds)} ({_number(seconds / 3600)} h)"


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write the lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def _cell(text: str) -> str:
    """Write text so that it stays in its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def of_runs(run_ids: Sequence[str]) -> str:
    """Write the card of one run, or of the comparison of several. Raises BasinError."""
    return card(run_ids[0]) if len(run_ids) == 1 else comparison_card(run_ids)


def or_reason(run_ids: Sequence[str]) -> str:
    """Write the card, or in its place why there is none, for a page."""
    try:
        return of_runs(run_ids)
    except (BasinError, OSError) as error:
        return f"No card: {error}"
