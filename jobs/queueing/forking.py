"""Forking of runs by people: what may be changed, from which step, and the new run in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import redis

from backend.config import TurnRules, check_turn, whole_name
from backend.errors import BadInput, NotAvailable, Problem
from backend.events import Cost
from backend.spec import Budget, RunSpec, from_dict
from jobs.models import forks
from jobs.queueing import enqueue, redis_store
from jobs.records import groups, run_store
from jobs.records.run_directory import RunDirectory

_OF_SPEC = ("name", "notes", "tags")
"""Fields of the RunSpec, beside the budget, that decide nothing about a step."""


class Plan(NamedTuple):
    """Fork that nothing speaks against."""

    parent: RunDirectory
    step: int
    spec: RunSpec
    settings: dict[str, float]
    """turned before its first step"""
    by: str


def plan(
    run_id: str,
    changes: Mapping[str, Any] | None = None,
    *,
    step: int | None = None,
    by: str = "",
) -> Plan:
    """Check a fork of a run before anything is made.

    changes: by field: settings that can be turned, `budget.steps` and the like, name, notes, tags.
    step: one that the run keeps, by default the newest. by: who forks. Raises BadInput,
    NotAvailable.
    """
    parent = run_store.open_run(run_id)
    if parent.written_status().is_tracked:
        raise BadInput.at(
            "run", f"`{parent.id}` is trained by its own script, which alone could go on from it."
        )
    at = _moment(parent, step)
    cost = Cost(*parent.checkpoint_meta(at)["cost"])
    spec, settings = _changed(parent, at, changes or {})
    _check_budget(parent, spec.budget, cost)
    return Plan(parent, at, spec, settings, by)


def keep(run_id: str, step: int | None = None) -> int | None:
    """Keep a moment of a run for good: the present one of a running run, its newest or that of a
    step; returns the step, None where the run has yet to come to it. Raises BadInput, OSError."""
    directory = run_store.open_run(run_id)
    status = directory.status()
    if step is None and status.status == "running":
        if status.is_tracked:
            raise BadInput.at(
                "run", f"`{run_id}` keeps what its script gives to `run.checkpoint`; nobody else's."
            )
        directory.ask_to_keep()
        return None
    at = _moment(directory, step)
    directory.keep_checkpoint(at)
    return at


def make(fork: Plan) -> RunDirectory:
    """Create the new run; nobody trains it yet. Raises NotAvailable."""
    return forks.create(fork.parent, fork.step, fork.spec, fork.settings, fork.by)


def launch(fork: Plan) -> str:
    """Create the new run and queue it; returns its id. Raises NotAvailable, leaving nothing."""
    connection = redis_store.connect()
    with redis_store.reaching():
        redis_store.need_own_home(connection)
    child = make(fork)
    try:
        enqueue.put(child.id, connection)
    except redis.RedisError as error:
        child.delete()
        raise NotAvailable(f"Nothing was launched. {redis_store.unreachable(error)}") from error
    return child.id


def _moment(parent: RunDirectory, step: int | None) -> int:
    """Choose the step to fork at among those that are kept. Raises BadInput."""
    steps = parent.checkpoints()
    if not steps:
        status = parent.status().status
        advice = (
            "Its first moment is kept some seconds after its training has begun; try again then."
            if status in ("queued", "running", "paused")
            else "Launch a copy instead."
        )
        raise BadInput.at("run", f"`{parent.id}` is {status} and keeps no moment. {advice}")
    if step is None:
        return steps[-1]
    if step not in steps:
        listed = ", ".join(f"{each:,}" for each in steps)
        raise BadInput.at("step", f"must be one that `{parent.id}` keeps: {listed}; got {step:,}.")
    return step


def _changed(
    parent: RunDirectory, step: int, changes: Mapping[str, Any]
) -> tuple[RunSpec, dict[str, float]]:
    """Apply changes: the RunSpec of the fork, and what it turns. Raises BadInput."""
    labels = parent.labels()
    raw = parent.spec().as_dict() | {
        "name": labels["name"],
        "notes": labels["note"],
        "tags": groups.of_user(labels["tags"]),
    }
    rules = parent.turnable(step)
    turned: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, value in changes.items():
        head, _, limit = field.partition(".")
        if field in _OF_SPEC:
            raw[field] = value
        elif head == "budget" and limit in Budget.model_fields:
            raw["budget"][limit] = value
        elif name := whole_name(rules, field):
            turned[name] = value
        else:
            problems.append(_fixed(field, rules))
    settings: dict[str, float] = {}
    try:
        settings = check_turn(rules, turned)
    except BadInput as error:
        problems += error.problems
    if problems:
        raise BadInput(*problems)
    return from_dict(raw), {n: new for n, new in settings.items() if new != rules[n]["value"]}


def _fixed(field: str, rules: TurnRules) -> Problem:
    names = ", ".join(f"`{name}`" for name in (*rules, "budget.steps", *_OF_SPEC))
    return Problem(
        field,
        "cannot change in a fork: the state that it begins with was made with it. "
        f"Launch a new run with it, or change one of {names}.",
    )


def _check_budget(parent: RunDirectory, budget: Budget, cost: Cost) -> None:
    """Raise BadInput where the state has used the budget up already."""
    for name, used in zip(Budget.model_fields, cost, strict=True):
        limit = getattr(budget, name)
        if limit and used is not None and used >= limit:
            raise BadInput.at(
                f"budget.{name}",
                f"must be more than {used:,.6g}, which `{parent.id}` had used by step "
                f"{cost.step:,}: a fork counts on from there. It is {limit:,.6g}.",
            )
