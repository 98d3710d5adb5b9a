"""Comparing runs: which belong together, where their specs differ, their figures side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from backend.errors import BasinError
from backend.metric_names import COMPANIONS, FIGURES, chart_of
from dashboard.elements import figure, name_of
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

MOST_RUNS = 30
_LABELS = frozenset({"name", "tags", "notes", "seed"})


@dataclass(frozen=True)
class Member:
    """One run of a comparison."""

    directory: RunDirectory
    status: Status
    spec: dict[str, Any]
    """flat: value by dotted field"""

    @property
    def id(self) -> str:
        return self.directory.id

    @property
    def work(self) -> tuple[tuple[str, str], ...]:
        """What was asked, but for the seed: runs that share it are seeds of one thing."""
        return tuple(
            (name, repr(value)) for name, value in sorted(self.spec.items()) if name not in _LABELS
        )


@dataclass(frozen=True)
class Group:
    """Runs of the same work under several seeds."""

    title: str
    members: list[Member]

    @property
    def data(self) -> str:
        return self.members[0].status.data


def load(ids: list[str]) -> tuple[list[Member], list[str]]:
    """The runs that are there, in order, and a sentence for each that is not."""
    members: list[Member] = []
    missing = []
    for run_id in dict.fromkeys(ids[:MOST_RUNS]):
        try:
            directory = run_store.open_run(run_id)
            spec = flat(directory.spec().model_dump(mode="json", exclude_none=True))
            members.append(Member(directory, directory.status(), spec))
        except (BasinError, OSError) as error:
            missing.append(str(error))
    return members, missing


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted fields.

    >>> flat({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            found |= flat(value, f"{path}.")
        else:
            found[path] = value
    return found


def groups(members: list[Member]) -> list[Group]:
    """Members that differ in nothing but their seed together, in the order of the first of each."""
    by_work: dict[tuple[tuple[str, str], ...], list[Member]] = {}
    for member in members:
        by_work.setdefault(member.work, []).append(member)
    found = []
    for together in by_work.values():
        title = name_of(together[0].status)
        if len(together) > 1:
            title = f"{title} ({len(together)} seeds)"
        found.append(Group(title, together))
    titles = [group.title for group in found]
    return [
        Group(f"{group.title} · {group.members[0].id[-4:]}", group.members)
        if titles.count(group.title) > 1
        else group
        for group in found
    ]


def differences(found: list[Group]) -> list[tuple[str, list[str]]]:
    """(field, value of each group) of every field of the spec in which the groups differ."""
    specs = [group.members[0].spec for group in found]
    fields = dict.fromkeys(name for spec in specs for name in spec if name not in _LABELS)
    rows = []
    for name in fields:
        values = [_shown(spec.get(name)) for spec in specs]
        if len(set(values)) > 1:
            rows.append((name, values))
    return rows


def _shown(value: Any) -> str:
    if value is None:
        return "preset's"
    if isinstance(value, bool):
        return "on" if value else "off"
    return figure(float(value)) if isinstance(value, (int, float)) else str(value)


@dataclass(frozen=True)
class Row:
    """One figure of every group, with its floor."""

    path: str
    title: str
    values: list[list[float]]
    """by group, one a seed that has it"""
    floors: dict[str, float]
    """by data set"""
    best: list[int]
    """groups whose median is best; none where no side is better or the data differ"""


def figures(found: list[Group]) -> list[Row]:
    """Final figures (or, of a run that goes on, the latest) of all groups, by path."""
    known = [[last_figures(member) for member in group.members] for group in found]
    paths = dict.fromkeys(path for group in known for run in group for path in run)
    rows = []
    for path in sorted(paths):
        companion = COMPANIONS.get(path.rpartition("/")[2])
        if companion and companion.reference:
            continue
        values = [[run[path] for run in group if path in run] for group in known]
        chart = chart_of(path)
        about = FIGURES.get(chart)
        title = about.title if about else chart
        if companion:
            title = f"{title}, {companion.title}"
        better = about.better if about else ""
        floors: dict[str, list[float]] = {}
        for group, runs in zip(found, known, strict=True):
            have = [
                run[f"{chart}/floor"] for run in runs if path in run and f"{chart}/floor" in run
            ]
            floors.setdefault(group.data, []).extend(have)
        shown = {data: median(have) for data, have in floors.items() if have}
        compared = best(values, better) if len(floors) == 1 else []
        rows.append(Row(path, title, values, shown, compared))
    return rows


def last_figures(member: Member) -> dict[str, float]:
    """Final metrics of a run that ended, else the last value of every quality curve."""
    metrics = member.directory.metrics()
    if metrics:
        return {path: value for path, value in metrics.items() if value is not None}
    last = member.directory.latest(("quality/", "sampler/"))
    return {path: value for path, value in last.items() if math.isfinite(value)}


def best(values: list[list[float]], better: str) -> list[int]:
    """Indices of the groups with the best median.

    >>> best([[0.2], [0.1, 0.1], []], "lower")
    [1]
    """
    medians = [median(group) if group else None for group in values]
    present = [value for value in medians if value is not None]
    if better not in ("lower", "higher") or len(present) < 2:
        return []
    target = min(present) if better == "lower" else max(present)
    return [index for index, value in enumerate(medians) if value == target]


def written(values: list[float]) -> str:
    """A group's figure: the value, or the median with its range, all to one last digit:
    two significant ones of the range.

    >>> written([0.0123]), written([0.011, 0.0123, 0.02])
    ('0.0123', '0.0123 (0.0110 to 0.0200)')
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
