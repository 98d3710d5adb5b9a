"""Comparison of runs: which belong together, where their specs differ, their figures side by
side."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any

from backend.errors import BasinError, NotAvailable
from backend.metric_names import COMPANIONS, FIGURES, NUM_SAMPLES, chart_of
from backend.spec import merge
from dashboard.elements import count, data_of, figure, name_of
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

MOST_RUNS = 30
REACHED = ("quality/", "error/")
"""Charts whose floor is what perfect draws have; those of others cost no training."""
_LABELS = frozenset({"name", "tags", "notes", "seed"})
_SIZES = frozenset({"data.num", "data.num_held_out"})
"""Fields of data that say how many are drawn of one law."""


@dataclass(frozen=True)
class Member:
    """Run of a comparison."""

    directory: RunDirectory
    status: Status
    spec: dict[str, Any]
    """flat: value by dotted field"""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Flat: value by dotted field, with those that the preset or a default gave."""
        return {**self.spec, **flat(settings_of(self.directory))}

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.directory.id

    @property
    def law(self) -> dict[str, str]:
        """Settings of the data but for their number: what was learned."""
        return {
            name: _shown(value)
            for name, value in self.settings.items()
            if name.startswith("data.") and name not in _SIZES
        }

    @property
    def work(self) -> tuple[tuple[str, str], ...]:
        """Identity of the work, but for the seed: runs that share it are seeds of one thing."""
        return tuple(
            (name, repr(value)) for name, value in sorted(self.spec.items()) if name not in _LABELS
        )


@dataclass(frozen=True)
class Group:
    """Runs of the same work under several seeds."""

    title: str
    members: list[Member]
    data: str = ""
    """name of the data: with their settings where others of that name differ in them"""
    sample_set: str = ""
    """id of the set that is compared, where it is one set rather than runs"""
    asked: dict[str, Any] = field(default_factory=dict)
    """flat: what that set was asked for"""


def labels(runs: list[Status]) -> dict[str, str]:
    """Name every run in words, by id: with its seed, its state where it has not finished, and the
    end of its id where another reads the same."""
    words = {}
    for run in runs:
        state = "" if run.status == "finished" else f" · {run.status}"
        words[run.id] = f"{name_of(run)} · seed {run.seed}{state}"
    num = Counter(words.values())
    return {run: f"{text} · {run[-4:]}" if num[text] > 1 else text for run, text in words.items()}


def trained_runs(catalogue: dict[str, Any]) -> dict[str, str]:
    """List the runs that can be asked and have a checkpoint, newest first: label by id."""
    asked = {name for name, item in catalogue["methods"].items() if item["is_asked"]}
    runs = run_store.list_runs()
    known = labels(runs)
    return {
        run.id: known[run.id]
        for run in runs
        if run.method in asked and run.checkpoint_step is not None
    }


def load(ids: list[str]) -> tuple[list[Member], list[str]]:
    """Open the runs that are there, in order, with a sentence for each that is not."""
    members: list[Member] = []
    missing = []
    for run_id in dict.fromkeys(ids[:MOST_RUNS]):
        try:
            directory = run_store.open_run(run_id)
            spec = flat(directory.spec().model_dump(mode="json", exclude_none=True))
            status = directory.status()
            members.append(Member(directory, status, spec | _done_since(directory, status)))
        except (BasinError, OSError) as error:
            missing.append(str(error))
    return members, missing


def _done_since(directory: RunDirectory, status: Status) -> dict[str, Any]:
    """Collect by field what makes a run differ from others of its spec: where it was forked, and
    its turns."""
    fields: dict[str, Any] = {}
    if origin := status.forked_from:
        at = f"step {count(origin['step'])}"
        fields["forked from"] = f"{origin['run']} at {at}, whose curves it has before that"
    for turn in directory.turns():
        at = f"from step {count(turn.step)}"
        fields |= {f"config.{name} {at}": new for name, (_, new) in turn.fields.items()}
    return fields


def settings_of(directory: RunDirectory) -> dict[str, Any]:
    """Read `config` and `data` of a run with every field: as the run wrote them, else as the
    workers' catalogue has them. Raises BadInput."""
    settings, spec = directory.settings(), directory.spec()
    with contextlib.suppress(NotAvailable):
        methods = redis_store.catalogue().get("methods", {})
        preset = methods.get(spec.method, {}).get("presets", {}).get(spec.preset, {})
        settings["config"] = merge(preset.get("config", {}), settings["config"])
    return settings


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted fields.

    >>> flat({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            fields |= flat(value, f"{path}.")
        else:
            fields[path] = value
    return fields


def groups(members: list[Member]) -> list[Group]:
    """Group members that differ in nothing but their seed, in the order of the first of each."""
    by_work: dict[tuple[tuple[str, str], ...], list[Member]] = {}
    for member in members:
        by_work.setdefault(member.work, []).append(member)
    result = []
    for together in by_work.values():
        title = name_of(together[0].status)
        if len(together) > 1:
            title = f"{title} ({len(together)} seeds)"
        result.append(Group(title, together))
    titles = [group.title for group in result]
    return with_names_of_data(
        [
            replace(group, title=f"{group.title} · {group.members[0].id[-4:]}")
            if titles.count(group.title) > 1
            else group
            for group in result
        ]
    )


def with_names_of_data(compared: list[Group]) -> list[Group]:
    """Give each group the name of its data, the same for the same law alone."""
    names = _names_of_data([group.members[0] for group in compared])
    return [replace(group, data=name) for group, name in zip(compared, names, strict=True)]


def _names_of_data(members: list[Member]) -> list[str]:
    """Name what each learned, the same for the same law alone."""
    names = []
    for member in members:
        name, law = data_of(member.status), member.law
        others = [other.law for other in members if data_of(other.status) == name]
        fields = {field: None for other in others for field in {**law, **other}}
        differing = [
            f"{field.removeprefix('data.')} {law.get(field, '–')}"
            for field in fields
            if len({other.get(field) for other in others}) > 1
        ]
        names.append(", ".join([name, *differing]))
    return names


def by_data(compared: list[Group]) -> dict[str, list[Group]]:
    """Part groups by what they learned: figures of one law say nothing about another."""
    parts: dict[str, list[Group]] = {}
    for group in compared:
        parts.setdefault(group.data, []).append(group)
    return parts


def as_csv(compared: list[Group]) -> str:
    """Write every figure of every run at full precision, a line each: data, model, run, seed,
    figure in words, its path, value, floor."""
    lines: list[list[Any]] = [
        ["data", "model", "run", "seed", "figure", "path", "value", "floor"],
    ]
    for row in figures(compared):
        for group in compared:
            for member in group.members:
                measured = last_figures(member)
                if row.path in measured:
                    floor = measured.get(f"{chart_of(row.path)}/floor", "")
                    who = [group.data, group.title, member.id, member.status.seed]
                    lines.append([*who, row.title, row.path, measured[row.path], floor])
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


def differences(compared: list[Group]) -> list[tuple[str, list[str]]]:
    """List (field, value of each group) for every field in which the groups differ, whoever gave
    it: the spec, the preset or a default."""
    specs = [group.members[0].settings | group.asked for group in compared]
    fields = dict.fromkeys(name for spec in specs for name in spec if name not in _LABELS)
    rows = []
    for name in fields:
        values = [_shown(spec.get(name)) for spec in specs]
        if len(set(values)) > 1:
            rows.append((name, values))
    return rows


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return figure(float(value)) if isinstance(value, (int, float)) else str(value)


@dataclass(frozen=True)
class Row:
    """Figure of every group, with its floor."""

    path: str
    title: str
    values: list[list[float]]
    """by group, one a seed that has it"""
    floor: float | None
    """median of those that the runs were measured beside"""
    best: list[int]
    """the group that is better than all others beyond its seeds and the floor, if any is"""


def known_figures() -> dict[str, dict[str, Any]]:
    """Return title, unit, log and better of figures by path; those of methods themselves are among
    them where workers have said which they know."""
    of_all = {path: asdict(item) for path, item in FIGURES.items()}
    try:
        return {**redis_store.catalogue().get("figures", {}), **of_all}
    except NotAvailable:
        return of_all


def figures(compared: list[Group]) -> list[Row]:
    """Gather final figures (or, of a run that goes on, the latest) of groups that learned the same
    data, by path."""
    measured = [[last_figures(member) for member in group.members] for group in compared]
    paths = dict.fromkeys(path for group in measured for run in group for path in run)
    rows, known = [], known_figures()
    for path in sorted(paths):
        companion = COMPANIONS.get(path.rpartition("/")[2])
        if (companion and companion.reference) or path == NUM_SAMPLES:
            continue
        values = [[run[path] for run in group if path in run] for group in measured]
        chart = chart_of(path)
        about = known.get(chart, {})
        title = about.get("title", chart)
        if companion:
            title = f"{title}, {companion.title}"
        floors = [
            run[f"{chart}/floor"]
            for runs in measured
            for run in runs
            if path in run and f"{chart}/floor" in run
        ]
        floor = median(floors) if floors else None
        better = about.get("better", "")
        if chart.startswith("quality/") and floor is not None:
            numbers = {
                run[NUM_SAMPLES]
                for group in measured
                for run in group
                if path in run and NUM_SAMPLES in run
            }
            words = " or ".join(count(number) for number in sorted(numbers))
            title = f"{title}, {words} samples" if words else title
            better = better if len(numbers) < 2 else ""
        reached = floor if chart.startswith(REACHED) else None
        rows.append(Row(path, title, values, floor, best(values, better, reached)))
    return rows


def last_figures(member: Member) -> dict[str, float]:
    """Read the final metrics of a run that ended, else the last value of every quality curve."""
    metrics = member.directory.metrics()
    if metrics:
        return {path: value for path, value in metrics.items() if value is not None}
    last = member.directory.latest(("quality/", "sampler/"))
    return {path: value for path, value in last.items() if math.isfinite(value)}


def best(values: list[list[float]], better: str, floor: float | None = None) -> list[int]:
    """Find the index of the group that is better than every other, whatever their seeds: where the
    ranges overlap, a group has one value alone or all others are within the floor, there is none.

    >>> best([[0.2, 0.3], [0.1, 0.15], []], "lower")
    [1]
    >>> best([[0.2], [0.1]], "lower"), best([[0.2, 0.3], [0.1, 0.25]], "lower")
    ([], [])
    >>> best([[0.2, 0.3], [0.1, 0.15]], "lower", floor=0.25)
    []
    """
    present = {index: group for index, group in enumerate(values) if group}
    if better not in ("lower", "higher") or len(present) < 2:
        return []
    if any(len(group) < 2 for group in present.values()):
        return []
    sign = 1.0 if better == "lower" else -1.0
    signed = {index: [sign * value for value in group] for index, group in present.items()}
    leader = min(signed, key=lambda index: median(signed[index]))
    others = min(min(group) for index, group in signed.items() if index != leader)
    bound = max(signed[leader])
    if floor is not None:
        bound = max(bound, sign * floor)
    return [leader] if others > bound else []


def written(values: list[float]) -> str:
    """Format a group's figure: the value, or the median with its range, all to one last digit.

    That is two significant digits of the range.
    """
    if not values:
        return "–"
    if len(values) == 1 or min(values) == max(values):
        return figure(values[0])
    spread = max(values) - min(values)
    digits = max(0, 1 - math.floor(math.log10(spread)))
    if digits > 6 or max(map(abs, values)) >= 1e4:
        low, middle, high = (figure(value) for value in (min(values), median(values), max(values)))
    else:
        low, middle, high = (
            f"{value:.{digits}f}" for value in (min(values), median(values), max(values))
        )
    return f"{middle} ({low} to {high})"
