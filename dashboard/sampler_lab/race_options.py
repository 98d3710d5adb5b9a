"""Race options: targets, racers that fit, and the data of the Sampler Lab's page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from backend.metric_names import ERRORS, FIGURES
from dashboard.comparison import Group, Member
from dashboard.elements import figure
from dashboard.forms.data_chooser import FILE
from dashboard.forms.form_fields import difference
from dashboard.forms.schemas import Values, defaults, kinds_of, resolved
from jobs import races
from jobs.races import METHOD

FIRST_TARGET = "ring"
FIRST_RACERS = ("langevin", "mala", "nuts", "parallel_tempering")
"""Who races for a first visitor, as far as they are here: biased, exact, and across barriers."""
FIRST_DISCRETE = ("gibbs", "gibbs_with_gradients", "discrete_mala", "block_gibbs")
FIRST_BUDGET = {"gradients": 20_000}
MOST_RACERS = 10
KNOBS = ("step_size", "temperature")
KNOB_REACH = 100.0
"""How many times smaller or larger a knob can make what the run started with."""
ERROR_WORDS = {
    "error/mode_weights": "mode weights",
    "error/mean": "mean",
    "error/variance": "variance",
    "error/log_z": "log Z",
    "error/energy": "mean energy",
}
_CHARTS = {
    "error/mode_weights": ("Error of the mode weights", "total variation"),
    "error/mean": ("Error of the mean", "target sd, worst coordinate"),
    "error/variance": ("Error of the variance", "share, worst coordinate"),
    "error/log_z": ("Error of log Z", "nats"),
    "error/energy": ("Error of the mean energy", "nats"),
}
_serial = count()


@dataclass
class Entry:
    """Racer on the form."""

    kind: str
    values: Values
    """the sampler's own fields, all of them"""
    key: int = field(default_factory=lambda: next(_serial))
    """keeps its fields apart from those of another racer of the kind"""


def targets(catalogue: dict[str, Any]) -> list[str]:
    """List the data sets that may be raced on: all but those known to have no density."""
    return [
        name
        for name, item in catalogue["datasets"].items()
        if name not in (FILE, "image_folder") and item["is_target"]
    ]


def misfit(sampler: dict[str, Any], target: dict[str, Any], *, trained: bool = False) -> str:
    """Explain why a sampler cannot race on a target, or ""; unknowns count in its favour.

    trained: the target is a trained energy over the data, which has a gradient.
    """
    discrete = target.get("discrete")
    if discrete and not sampler["discrete"]:
        return "Moves in continuous space; this target is discrete."
    if sampler["discrete"] and not discrete:
        return "For discrete targets."
    if not trained and target.get("gradient") is False and needs_gradient(sampler):
        return "Follows the gradient, and this target has none."
    return ""


def needs_gradient(sampler: dict[str, Any]) -> bool:
    """Return True for a sampler that follows gradients, as all do unless the catalogue denies
    it."""
    return not sampler["discrete"] and bool(sampler.get("gradient", True))


def sampler_schema(catalogue: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the schema of a sampler's settings."""
    return dict(catalogue["samplers"][kind]["schema"])


def entry(catalogue: dict[str, Any], kind: str, fields: Values | None = None) -> Entry:
    """Build a racer with every field of its sampler, those given over the defaults."""
    schema = sampler_schema(catalogue, kind)
    own = {key: value for key, value in (fields or {}).items() if key != "kind"}
    return Entry(kind, {**defaults(schema, schema), **own, "kind": kind})


def first_entries(catalogue: dict[str, Any], fitting: Iterable[str], discrete: bool) -> list[Entry]:
    """Choose the racers of a new form: those of the first that fit."""
    fits = list(fitting)
    wanted = FIRST_DISCRETE if discrete else FIRST_RACERS
    kinds = [kind for kind in wanted if kind in fits] or fits[:3]
    return [entry(catalogue, kind) for kind in kinds]


def as_racer(catalogue: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Build the sampler of a RunSpec: its kind, and what differs from its defaults."""
    schema = sampler_schema(catalogue, entry.kind)
    own = {key: value for key, value in entry.values.items() if key != "kind"}
    return {"kind": entry.kind, **difference(own, defaults(schema, schema))}


def titles(racers: list[dict[str, Any]], catalogue: dict[str, Any]) -> list[str]:
    """Title racers by their sampler, with the fields in which two of one kind differ."""
    schemas = catalogue.get("samplers", {})
    result = []
    for racer in racers:
        kind = racer["kind"]
        title = schemas.get(kind, {}).get("title", races.kind_in_words(racer))
        same = [other for other in racers if other["kind"] == kind]
        if len(same) > 1:
            schema = schemas.get(kind, {}).get("schema", {})
            base = defaults(schema, schema)
            fields = [name for name in _fields(same) if len(_held(same, name, base)) > 1]
            own = [
                f"{name.replace('_', ' ')} {_shown(racer.get(name, base.get(name)))}"
                for name in fields
            ]
            title = ", ".join([title, *own])
        result.append(title)
    return result


def _fields(racers: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for racer in racers for name in racer if name != "kind"))


def _held(racers: list[dict[str, Any]], name: str, base: Values) -> set[str]:
    return {repr(racer.get(name, base.get(name))) for racer in racers}


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return figure(float(value))


# ---------------------------------------------------------------------- a race's page


def lanes(groups: list[Group], catalogue: dict[str, Any]) -> list[dict[str, Any]]:
    """Build what the page's element needs of each racer."""
    racers = [races.sampler_of(group.members[0].directory.spec()) for group in groups]
    return [
        {
            "title": title,
            "runs": [member.id for member in group.members],
            "exact": catalogue.get("samplers", {}).get(racer["kind"], {}).get("exact"),
            "bias": catalogue.get("samplers", {}).get(racer["kind"], {}).get("bias", ""),
            "knobs": knobs(racer, catalogue),
        }
        for group, racer, title in zip(groups, racers, titles(racers, catalogue), strict=True)
    ]


def knobs(racer: dict[str, Any], catalogue: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Find `value`, `low` and `high` of each setting that can change while a racer runs."""
    schema = catalogue.get("samplers", {}).get(racer["kind"], {}).get("schema", {})
    settings = {}
    for name in KNOBS:
        part = resolved(schema.get("properties", {}).get(name, {}), schema)
        value = racer.get(name, part.get("default"))
        if not part or not isinstance(value, (int, float)) or value <= 0:
            continue
        low = max(value / KNOB_REACH, part.get("minimum", 0.0), part.get("exclusiveMinimum", 0.0))
        high = min(value * KNOB_REACH, part.get("maximum", part.get("exclusiveMaximum", 1e12)))
        if 0 < low < high:
            settings[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return settings


def budget_of(members: list[Member]) -> tuple[str, float | None]:
    """Return the cost that a race's budget counts, as the curves call it, and how much of it."""
    spent = members[0].directory.spec().budget
    for cost in races.COSTS:
        amount = getattr(spent, cost)
        if amount is not None:
            return ("step" if cost == "steps" else cost), float(amount)
    return "step", None


def errors() -> list[dict[str, str]]:
    """List the errors a race may show, the most telling first."""
    return [{"path": path, "short": ERROR_WORDS[path]} for path in ERRORS]


def figures(catalogue: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return title, unit and axis of the curves."""
    own = {
        path: {"title": title, "unit": unit, "log": True} for path, (title, unit) in _CHARTS.items()
    }
    infos = {
        path: {"title": item.title, "unit": item.unit, "log": item.log}
        for path, item in FIGURES.items()
    }
    return own | infos | catalogue.get("figures", {})


def race_schema(catalogue: dict[str, Any]) -> dict[str, Any]:
    """Return the fields all racers share, by name: `SamplingConfig` without its sampler."""
    schema = catalogue["methods"][METHOD]["schema"]
    return {
        name: resolved(part, schema)
        for name, part in schema["properties"].items()
        if not kinds_of(resolved(part, schema), schema)
    }
