"""RunSpec: one piece of work, said completely; JSON and YAML."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import BadInput, Problem
from backend.events import Cost
from backend.system import yaml_reader

TAG = "kind:"
"""Prefix of the tags of tagged unions inside pydantic's error locations."""
Word = Annotated[str, Field(coerce_numbers_to_str=True)]
"""Text that may have been written as a bare number."""
_LONGEST_SHOWN = 120


class Budget(BaseModel):
    """End of a run: the first limit reached. Schedules run over the fraction used."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int | None = Field(None, ge=1, le=100_000_000, description="Optimiser steps.")
    gradients: int | None = Field(
        None,
        ge=1,
        le=10**15,
        description="Evaluations of the energy's gradient in x, each over a batch.",
    )
    seconds: float | None = Field(None, gt=0, le=1e9, description="Wall seconds of training.")
    joules: float | None = Field(
        None, gt=0, le=1e15, description="Joules, where they are measured."
    )

    def is_empty(self) -> bool:
        return not any((self.steps, self.gradients, self.seconds, self.joules))

    def share_of(self, other: Budget) -> float:
        """The least share of a limit of `other` that this gives; ∞ where no limit is of both.

        >>> Budget(steps=30).share_of(Budget(steps=3000, seconds=60))
        0.01
        """
        limits = ((getattr(self, name), getattr(other, name)) for name in Budget.model_fields)
        return min((own / its for own, its in limits if own and its), default=math.inf)

    def fraction_used(self, cost: Cost) -> float:
        """The largest share of a limit used so far; the run ends at 1.

        >>> Budget(steps=100, seconds=10).fraction_used(Cost(step=20, seconds=5.0))
        0.5
        """
        shares = [0.0]
        if self.steps:
            shares.append(cost.step / self.steps)
        if self.gradients:
            shares.append(cost.gradients / self.gradients)
        if self.seconds:
            shares.append(cost.seconds / self.seconds)
        if self.joules and cost.joules is not None:
            shares.append(cost.joules / self.joules)
        return max(shares)


class Question(BaseModel):
    """Something asked of a run when its training is done; the figures stand in its metrics as
    `answers/<name>/<figure>`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9_.-]{1,60}$", description="What the answer is filed under.")
    ability: str = Field(description="Id of the ability, as `basin abilities` lists it.")
    config: dict[str, Any] = Field(default_factory=dict, description="The ability's own fields.")


class RunSpec(BaseModel):
    """Method, data, settings, budget, seed and device of one run.

    `config` holds the method's own fields over the preset's; `backend.catalogue.resolve` turns it
    into the method's typed Config.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Word = Field("", max_length=120, description="What the run is called in lists.")
    method: str = Field(
        max_length=120, description="Id of the method, as `basin methods` lists it."
    )
    preset: str = Field(
        "default", max_length=120, description="A named set of defaults the method declares."
    )
    data: dict[str, Any] = Field(description="`name` of the data set and its own fields.")
    config: dict[str, Any] = Field(default_factory=dict, description="The method's own fields.")
    budget: Budget = Field(default_factory=lambda: Budget())
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seeds every random draw of the run.")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$", description="auto, cpu, cuda or cuda:N."
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the rows of every batch; on GPUs, one device each.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Arithmetic of the energy network; bfloat16 is for GPUs."
    )
    questions: list[Question] = Field(
        default_factory=list, max_length=60, description="Asked when the training is done."
    )
    tags: list[Annotated[Word, Field(max_length=60)]] = Field(default_factory=list, max_length=20)
    notes: Word = Field("", max_length=10_000)

    def work_hash(self) -> str:
        """Twelve hex digits that identify the work: name, tags and notes do not count."""
        work = self.model_dump(mode="json", exclude={"name", "tags", "notes"})
        if not self.questions:
            del work["questions"]
        if self.processes == 1:
            del work["processes"]
        return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:12]

    def step_hash(self) -> str:
        """Twelve hex digits of what decides how much work a step is: the seed, the budget and the
        device do not count."""
        names = {"method", "preset", "data", "config", "precision", "processes"}
        work = self.model_dump(mode="json", include=names)
        return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        return yaml_reader.dump(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Plain data. A null stays where it is a setting; limits that nobody gave are left out."""
        return {**self.model_dump(mode="json"), "budget": self.budget.model_dump(exclude_none=True)}


def parse(text: str) -> RunSpec:
    """A RunSpec from YAML or JSON text. Raises BadInput with every problem found."""
    return from_dict(yaml_reader.load(text))


def from_dict(raw: object) -> RunSpec:
    """A RunSpec from plain data. Raises BadInput with every problem found."""
    if not isinstance(raw, dict):
        raise BadInput.at("", "a run specification is a mapping with `method` and `data`.")
    yaml_reader.check(raw)
    try:
        return RunSpec.model_validate(raw)
    except ValidationError as error:
        raise BadInput(*problems_of(error)) from error


def problems_of(error: ValidationError, prefix: str = "") -> list[Problem]:
    """Pydantic's errors as problems: field, rule and value in one sentence each."""
    problems = []
    for entry in error.errors(include_url=False):
        field = ".".join(filter(None, [prefix, *_written_path(entry)]))
        problems.append(Problem(field, _sentence(entry, field)))
    return problems


def _written_path(entry: Any) -> list[str]:
    """The error's location without the tags of tagged unions, which nobody wrote there."""
    parts = [str(part) for part in entry["loc"]]
    return [part for part in parts if not part.startswith(TAG)]


def _sentence(entry: Any, field: str) -> str:
    kind, value, context = entry["type"], entry.get("input"), entry.get("ctx", {})
    written = repr(value) if not isinstance(value, dict) else "a mapping"
    if len(written) > _LONGEST_SHOWN:
        written = f"{written[:_LONGEST_SHOWN]}…"
    bounds = {
        "greater_than": ("gt", ">"),
        "greater_than_equal": ("ge", "≥"),
        "less_than": ("lt", "<"),
        "less_than_equal": ("le", "≤"),
    }
    if kind in bounds:
        key, sign = bounds[kind]
        return f"must be {sign} {context[key]:g}, got {written}."
    if kind == "extra_forbidden":
        name = field.rpartition(".")[2]
        return f"there is no field `{name}` here. Remove it, or see `basin methods` for the fields."
    if kind == "missing":
        return "is required and was not given."
    message = entry["msg"]
    if kind == "string_type":
        return f"must be text, got {written}. Put quotes around it."
    if kind == "union_tag_invalid":
        known = context["expected_tags"].replace(TAG, "").replace("'", "`")
        return f"must be one of {known}, got `{context['tag'].removeprefix(TAG)[:60]}`."
    if kind == "union_tag_not_found":
        return f"must be a mapping with a `kind`, got {written}."
    if kind == "value_error":
        return str(context.get("error", message))
    return f"{message[0].lower()}{message[1:]}, got {written}."


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, mapping by mapping; another `kind` replaces the whole mapping."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and _same_kind(old, value):
            value = merge(old, value)
        merged[key] = value
    return merged


def _same_kind(old: dict[str, Any], value: dict[str, Any]) -> bool:
    return "kind" not in value or value["kind"] == old.get("kind")
