"""Contracts of fields: each says what it is, has bounds, and changes something."""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from torch import Tensor

from backend import catalogue
from backend.config import Config, turnable
from backend.events import Scalar
from backend.method import SampleRequest
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.requests.predicting import PredictingMethod, think
from jobs.contracts import Unkept, need
from jobs.contracts.small_runs import (
    PROGRESS,
    fitting_spec,
    prepared,
    preset_config,
    same,
    weights,
)
from jobs.models.method_setup import Prepared


def fields_describe_themselves(name: str, config: type[BaseModel]) -> None:
    """A sentence for every field, and bounds for every number."""
    for field_name, field in config.model_fields.items():
        if field_name == "kind":
            continue
        where = f"{name}.{field_name}"
        need(field.description, f"`{where}` has no sentence.")
        ends = (field.description or "").rstrip().endswith((".", "…"))
        need(ends, f"the sentence of `{where}` has no full stop.")
        if field.annotation in (int, float):
            bounds = {type(item).__name__ for item in field.metadata}
            need(bounds & {"Ge", "Gt"}, f"`{where}` has no least value: `ge` or `gt`.")
            need(bounds & {"Le", "Lt"}, f"`{where}` has no greatest value: `le` or `lt`.")


def leaves(config: BaseModel, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name == "kind":
            continue
        if isinstance(value, BaseModel):
            yield from leaves(value, (*where, name))
        else:
            yield (*where, name), (field, value)


def altered(field: FieldInfo, value: Any) -> Any:
    """Another value the field takes, far from the one it has."""
    return next(iter(alternatives(field, value)), None)


def alternatives(field: FieldInfo, value: Any) -> list[Any]:
    """Other values the field takes, far from the one it has; small ones first."""
    if isinstance(value, bool):
        return [not value]
    if typing.get_origin(field.annotation) is typing.Literal:
        return [other for other in typing.get_args(field.annotation) if other != value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        # small enough for a clip to bite, unless it must not be so small; or a share of steps that
        # reaches the second one
        others = ((value or 1.0) * 1e-3, 1.5 * value, 0.5)
        return [v for v in others if v != value and _is_valid(field, v)]
    return []


def _is_valid(field: FieldInfo, value: Any) -> bool:
    annotated: Any = typing.Annotated[(field.annotation, *field.metadata)]
    try:
        TypeAdapter(annotated).validate_python(value)
    except ValidationError:
        return False
    return True


def inert(config: BaseModel, name: str) -> bool:
    """True where the settings themselves say that a field is idle."""
    return isinstance(config, Config) and config.derived().get(name, "").startswith("No effect")


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def holder(config: BaseModel, path: tuple[str, ...]) -> BaseModel:
    for name in path[:-1]:
        config = getattr(config, name)
    return config


def fingerprint(run: Prepared) -> list[float]:
    """Numbers a person sees of a run: its curves, its energies, its samples."""
    seen = []
    for progress in PROGRESS:
        seen += [float(value) for value in run.method.advance(progress).values()]
    rows = run.data.held_out_rows(slice(0, 16))
    if run.method.has_energy:
        with torch.no_grad():
            seen += run.method.energy()(rows.x).tolist()
    else:
        own = run.method.observe(generator_of("observe", 0))
        seen += [event.value for event in own if isinstance(event, Scalar)]
    if not run.method.draws:
        log_probs = run.method.class_log_probs(rows.x)
        if log_probs is None:
            raise Unkept("neither draws nor gives `class_log_probs`.")
        seen += log_probs.flatten().tolist()
    elif not run.method.has_energy:
        given = {name: rows.given[name] for name in run.method.needs}
        request = SampleRequest(len(rows.x), given=given)
        drawn = conditional_sampling.draw(run.method, request, generator_of("draw", 0)).position
        seen += drawn.flatten().tolist()
        if isinstance(run.method, PredictingMethod):
            thought = think(run.method.predictor(), given, generator_of("think", 0))
            seen += thought.last.flatten().tolist()
    samples = run.method.train_time_samples(16, generator_of("samples", 0))
    if samples is not None:
        seen += samples.flatten().tolist()
    return seen


def active(config: BaseModel) -> set[str]:
    """Fields that are not idle, and what kind each part is of."""
    counting = set()
    for path, (_, value) in leaves(config):
        if not inert(holder(config, path), path[-1]) and value is not None:
            counting.add(".".join(path))
    for name in type(config).model_fields:
        part = getattr(config, name)
        if isinstance(part, BaseModel):
            counting |= {f"{name}.{item}" for item in active(part)}
        elif name == "kind":
            counting.add(f"kind {part}")
    return counting


ELSEWHERE_VARIED = ("waves_up_to", "most_steps", "goal", "exploration")
"""Fields that count by the coordinates of the data, or after many updates alone: tested where
waves, curricula and policies are."""
FORGETFUL = ("rbm", "reinit_rate")
"""A pass through hidden bits of small weights forgets where it began: restarts count after many
updates alone, and are tested where Boltzmann machines are."""


def telling_presets(method: str) -> Iterator[str]:
    """Presets, of those for a CPU, in which something counts that did not in those before."""
    before: list[set[str]] = []
    for preset, item in catalogue.methods()[method].presets.items():
        if not item.wants_gpu:
            counts = active(preset_config(method, preset))
            if not any(counts <= each for each in before):
                before.append(counts)
                yield preset


def no_field_changes_nothing(method: str, preset: str, fields: dict[str, Any]) -> None:
    """Another value of any field shows in the curves, the energies or the samples."""
    base = prepared(method, preset, **fields)
    config = copy.deepcopy(base.config)
    before = fingerprint(base)
    idle = []
    for path, (field, value) in leaves(config):
        if (field.json_schema_extra or {}).get("group") in ("Budget", "Arithmetic"):
            continue  # when a run ends is tested where runs end, what changes speed alone below
        if path[-1] in ELSEWHERE_VARIED or (preset, path[-1]) == FORGETFUL:
            continue
        others = alternatives(field, value)
        if not isinstance(value, float):
            others = others[:1]
        if not others or inert(holder(config, path), path[-1]):
            continue
        fitting_ones = (
            changed
            for changed in (catalogue.merge(fields, nested(path, other)) for other in others)
            if fitting_spec(method, preset, **changed) is not None  # else refused on these data
        )
        prints = (fingerprint(prepared(method, preset, **changed)) for changed in fitting_ones)
        first = next(prints, None)
        if first is not None and all(each == before for each in (first, *prints)):
            idle.append(f"`{'.'.join(path)}` ({value!r}, and {others!r})")
    need(not idle, f"these fields change nothing: {', '.join(idle)}.")


def after_a_step(run: Prepared) -> dict[str, Tensor]:
    """State of a method that took one step near the end of its budget."""
    run.method.advance(0.95)
    return weights(run.method)


def turned_to(name: str, rule: dict[str, Any]) -> float:
    """Another value of a setting, whose effect one step shows."""
    if name.endswith("gradient_clip"):
        return 1e-6  # energies are flat at first
    if name.endswith("temperature"):
        return 1e-3  # so flat that no spin notices half as much again
    if rule.get("le") == 1:
        return 1.0
    return float(rule["value"] + 1 if rule["whole"] else 1.5 * rule["value"] or 0.5)


def turned_field_counts_as_launched(method: str, preset: str, fields: dict[str, Any]) -> None:
    """A field turned before the first step counts as if the run had been launched with it."""
    base = prepared(method, preset, **fields)
    settings = turnable(base.config)
    need(settings or not base.method.trains, "no field can be turned: mark some `turnable`.")
    before = after_a_step(base)
    for name, rule in settings.items():
        other = turned_to(name, rule)
        changed = catalogue.merge(fields, nested(tuple(name.split(".")), other))
        if fitting_spec(method, preset, **changed) is None:
            continue  # refused on these data
        run = prepared(method, preset, **fields)
        run.method.turn({name: other})
        turned = after_a_step(run)
        if same(before, turned):  # weights that are 0 have nothing to lose before the next step
            still = prepared(method, preset, **fields)
            after_a_step(still)
            need(
                not same(after_a_step(still), after_a_step(run)),
                f"`{name}` turned changes nothing.",
            )
        # chains that only sample were set up by the value before
        if run.method.trains:
            need(
                same(turned, after_a_step(prepared(method, preset, **changed))),
                f"`{name}` turned differs from a launch with it: read it anew at every step.",
            )
