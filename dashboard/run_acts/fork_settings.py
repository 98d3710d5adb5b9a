"""Fork of a run on its page: where it begins, its settings and budget; and the runs beside it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError
from backend.events import Cost
from dashboard.elements import Fact, count, name_of
from dashboard.run_acts.turn_settings import changed_fields, setting_fields, show_refusal
from dashboard.security import access
from jobs.models import forks
from jobs.queueing import forking
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

MOST_FORKS = 4
"""Forks named in the head of a run."""


def open_fork(directory: RunDirectory, near: int | None = None) -> None:
    """Open the dialog that forks a run, at the last moment it keeps until a step, or at all."""
    moments = directory.checkpoints()
    earlier = [step for step in moments if near is None or step <= near]
    _dialog(directory, (earlier or moments or [0])[-1 if earlier else 0], near)


@st.dialog("Fork this run", width="large")
def _dialog(directory: RunDirectory, at: int, near: int | None) -> None:
    moments = directory.checkpoints()[::-1]
    if not moments:
        st.markdown(
            "It keeps no moment yet. The first one is kept some seconds after its training has "
            "begun."
        )
        return
    st.markdown(
        "A new run begins with the weights, chains and random state that this one had at a step "
        "it keeps, and goes on with what is set here. This one stays as it is."
    )
    place = moments.index(at) if at in moments else 0
    left, right = st.columns(2)
    with left:
        step = st.selectbox("Begins at step", moments, place, format_func=count)
        if near is not None and near not in moments:
            st.caption(f"Step {count(near)} itself is not kept.")
    name = right.text_input("Name", directory.written_status().name)
    rules = directory.turnable(step)
    key = f"fork {directory.id} {step}"
    with st.form(key, border=False):
        budget = _budget_fields(directory, step, key)
        texts = setting_fields(key, rules) if rules else {}
        if st.form_submit_button("Fork", icon=":material/fork_right:", type="primary"):
            changes = {"name": name, **budget, **changed_fields(texts, rules)}
            try:
                fork = forking.plan(directory.id, changes, step=step, by=access.identity())
                child = forking.launch(fork)
            except BadInput as error:
                show_refusal(error, rules)
            except (BasinError, OSError) as error:
                st.error(str(error))
            else:
                st.query_params["id"] = child
                st.rerun()


def _budget_fields(directory: RunDirectory, step: int, key: str) -> dict[str, str]:
    """Draw a field for each limit of the budget, of more than what was used by a step."""
    cost = Cost(*directory.checkpoint_meta(step)["cost"])
    used = dict(zip(("steps", "gradients", "seconds", "joules"), cost, strict=True))
    limits = directory.spec().budget.model_dump(exclude_none=True)
    texts = {}
    for column, (name, limit) in zip(st.columns(max(len(limits), 1)), limits.items(), strict=True):
        spent = used[name] or 0
        texts[f"budget.{name}"] = column.text_input(
            f"{name.capitalize()} in all",
            f"{limit if limit > spent else limit + spent:.12g}",
            help=f"It begins with {spent:,.6g} of them.",
            key=f"{key} {name}",
        ).strip()
    return texts


def related_runs(status: Status) -> list[Fact]:
    """Write what a run was forked from, and its forks, with their addresses."""
    facts: list[Fact] = []
    if status.forked_from is not None:
        facts.append(_parent(**status.forked_from))
    children = forks.children_of(status.id)
    facts += [
        (
            f"forked at step {count(child.forked_from['step'])}: {child.id[-4:]}",
            f"run?id={child.id}",
        )
        for child in children[-MOST_FORKS:]
        if child.forked_from
    ]
    if len(children) > MOST_FORKS:
        facts.append(f"{len(children) - MOST_FORKS} earlier forks")
    return facts


def _parent(run: str, step: int, **_: Any) -> Fact:
    at = f"at step {count(step)}"
    try:
        parent = run_store.open_run(run).written_status()
    except BasinError:
        return f"forked {at} from {run}, since deleted"
    return f"forked {at} from {name_of(parent)} {run[-4:]}", f"run?id={run}"


def fork_marks(status: Status) -> list[dict[str, Any]]:
    """List the moments at which other runs were forked from one, as its own texts would have
    them."""
    return [
        {"last": origin["cost"], "meta": {"message": f"Forked: {child.id[-4:]}", "level": "info"}}
        for child in forks.children_of(status.id)
        if (origin := child.forked_from) and len(origin["cost"]) == len(Cost._fields)
    ]
