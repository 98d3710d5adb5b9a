"""Sample sets of a comparison: which are asked for and there, and their figures with intervals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from backend.errors import BasinError
from backend.metric_names import FIGURES
from dashboard import comparison
from dashboard.comparison import Group, Row
from dashboard.elements import count
from jobs.queueing import sample_jobs
from jobs.records import sample_sets
from jobs.records.sample_sets import SampleSet

NUM_DRAWN = 500
"""Samples of a set that is drawn to be compared."""
FLOOR = "/floor"


class Question(NamedTuple):
    """Samples that are wanted of each group."""

    seed: int
    steps: int | None
    """of the sampler; None leaves them to each run"""
    each_class: bool
    """samples of all classes in turn"""
    runs: tuple[str, ...]
    """those that stand for groups of several seeds"""


@dataclass
class Drawn:
    """Sample sets of groups, as far as they are."""

    question: Question | None = None
    sets: dict[int, SampleSet] = field(default_factory=dict)
    """by the place of the group"""
    failed: dict[int, str] = field(default_factory=dict)
    """why none can be drawn, by the place of the group"""

    @property
    def are_settled(self) -> bool:
        """Tell if nothing is being drawn any more."""
        return all(each.state in ("done", "failed") for each in self.sets.values())


def draw(groups: list[Group], question: Question, known: dict[Any, str]) -> Drawn:
    """Have a set drawn of each group, or open the one that is there.

    known: ids of sets by what was asked; a run that goes on is not drawn again at every look.
    """
    drawn = Drawn(question)
    for place, run in enumerate(runs_of(groups, question.runs)):
        key = (run, question.seed, question.steps, question.each_class)
        try:
            if key not in known:
                known[key] = samples(run, question).id
            drawn.sets[place] = sample_sets.open_set(known[key])
        except (BasinError, OSError) as error:
            known.pop(key, None)
            drawn.failed[place] = str(error)
    return drawn


def samples(run_id: str, question: Question) -> SampleSet:
    """Have a sample set drawn of a run, as the Studio and `basin samples` draw.

    Raises BadInput, NotAvailable.
    """
    config: dict[str, Any] = {"num": NUM_DRAWN}
    if question.steps is not None:
        config["num_steps"] = question.steps
    if question.each_class:
        config["label"] = "each"
    return sample_jobs.draw([sample_jobs.request(run_id, config, seed=question.seed)])[0]


def runs_of(groups: list[Group], named: tuple[str, ...]) -> list[str]:
    """Find the run that stands for each group: its first, unless another one is named."""
    members = [[member.id for member in group.members] for group in groups]
    return [next((run for run in runs if run in named), runs[0]) for runs in members]


# ---------------------------------------------------------------------- sets that a link names


def open_sets(ids: list[str]) -> tuple[list[Group], Drawn, list[str]]:
    """Open the sets of a link: a group each, in order, with a sentence for each that is missing."""
    groups: list[Group] = []
    drawn, missing = Drawn(), []
    sets = []
    for set_id in dict.fromkeys(ids[: comparison.MOST_RUNS]):
        try:
            sets.append(sample_sets.open_set(set_id))
        except BasinError as error:
            missing.append(str(error))
    titles = titles_of(sets)
    for each, title in zip(sets, titles, strict=True):
        members, reasons = comparison.load([each.run])
        if reasons:
            missing.append(f"The run of the sample set {each.id}: {reasons[0]}")
            continue
        drawn.sets[len(groups)] = each
        groups.append(Group(title, members, asked=fields_of(each), sample_set=each.id))
    return comparison.with_names_of_data(groups), drawn, missing


def fields_of(each: SampleSet) -> dict[str, Any]:
    """Flatten what a set was asked for, by field."""
    settings = comparison.flat(each.settings or each.config, "samples.")
    return {
        "samples.of": "real data" if each.source == "held_out" else each.ability or "the model",
        "samples.step": each.step,
        "samples.seed": each.seed,
        **settings,
    }


def titles_of(sets: list[SampleSet]) -> list[str]:
    """Title sets by their names; those of one name by what differs between them, too."""
    num = Counter(each.title for each in sets)
    titles = []
    for each in sets:
        alike = [fields_of(other) for other in sets if other.title == each.title]
        own = fields_of(each)
        names = [name for name in own if len({str(other.get(name)) for other in alike}) > 1]
        words = [f"{name.removeprefix('samples.')} {own[name]}" for name in names] or [each.id]
        titles.append(each.title if num[each.title] == 1 else ", ".join([each.title, *words]))
    return titles


# ---------------------------------------------------------------------- figures


def figures(groups: list[Group], drawn: Drawn) -> list[Row]:
    """Gather figures of the sets of groups that learned the same data, those with a floor: `values`
    are the ends of the interval about each with itself between them, or itself where it has none.
    """
    done = {place: each for place, each in drawn.sets.items() if each.state == "done"}
    names = dict.fromkeys(
        name.removesuffix(FLOOR)
        for each in done.values()
        for name in each.figures
        if name.endswith(FLOOR)
    )
    # held-out data of another number are another reference
    is_one = len({(each.num, repr(each.data)) for each in done.values()}) < 2
    rows = []
    for name in names:
        about = FIGURES.get(f"quality/{name}")
        values = [_values(done.get(place), name) for place in range(len(groups))]
        floors = [each.figures.get(f"{name}{FLOOR}") for each in done.values()]
        known = [value for value in floors if value is not None]
        floor = median(known) if known else None
        better = about.better if about and is_one else ""
        rows.append(
            Row(
                name,
                about.title if about else name.replace("_", " "),
                values,
                floor,
                comparison.best(values, better, floor),
            )
        )
    return rows


def numbers(drawn: Drawn) -> str:
    """Write how many samples the sets hold."""
    sizes = sorted({each.num for each in drawn.sets.values() if each.state == "done"})
    return " or ".join(count(size) for size in sizes)


def _values(each: SampleSet | None, name: str) -> list[float]:
    value = each.figures.get(name) if each else None
    if each is None or value is None:
        return []
    low, high = each.intervals.get(name, (value, value))
    return [value] if low == high else [low, value, high]


def part(groups: list[Group], drawn: Drawn, some: list[Group]) -> Drawn:
    """Take the sets of some of the groups, at their places among them."""
    places = [next(at for at, group in enumerate(groups) if group is each) for each in some]
    return Drawn(
        drawn.question,
        {at: drawn.sets[place] for at, place in enumerate(places) if place in drawn.sets},
        {at: drawn.failed[place] for at, place in enumerate(places) if place in drawn.failed},
    )


def as_json(groups: list[Group], drawn: Drawn) -> dict[str, Any]:
    """Write for the page which set is of which group: by its run, or the set that is the group."""
    question = drawn.question
    runs = runs_of(groups, question.runs if question else ())
    keys = [group.sample_set or run for group, run in zip(groups, runs, strict=True)]
    asked = question._asdict() if question else {}
    return {
        **{name: asked.get(name) for name in ("seed", "steps", "each_class")},
        "sets": {keys[place]: each.id for place, each in drawn.sets.items()},
        "failed": {keys[place]: reason for place, reason in drawn.failed.items()},
        "settled": drawn.are_settled,
    }
