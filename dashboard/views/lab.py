"""Sampler Lab page: several samplers on one target with one budget, watched side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from backend.errors import BasinError, NotAvailable
from dashboard import comparison
from dashboard.comparison import Member
from dashboard.elements import count, empty, figure, head, plural, status_word
from dashboard.forms import cost_lines
from dashboard.live_view import live_element
from dashboard.sampler_lab import race_options
from dashboard.sampler_lab.race_form import show_form
from dashboard.security import access
from jobs import races
from jobs.formatting import duration
from jobs.queueing import control, redis_store

_STARTS = {"noise": "from noise", "data": "from the data", "one_mode": "all in one mode"}
_UNITS = {"gradients": "gradient evaluations", "joules": "joules", "step": "steps"}


def main() -> None:
    """Draw the page."""
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        catalogue = {}
        reason = str(error)
    run_ids = [run for run in st.query_params.get("runs", "").split(",") if run]
    members, missing = comparison.load(run_ids)
    members = [member for member in members if member.status.method == races.METHOD]
    for sentence in missing:
        st.warning(sentence)
    if members:
        _show_race(members, catalogue)
    elif catalogue:
        show_form(catalogue)
    else:
        head("Sampler Lab")
        empty(f"{reason} This page shows what the workers can run; it looks again when reloaded.")


# ---------------------------------------------------------------------- the race


def _show_race(members: list[Member], catalogue: dict[str, Any]) -> None:
    groups = comparison.groups(members)
    axis, budget = race_options.budget_of(members)
    title, acts = st.columns([5, 4], vertical_alignment="top")
    with title:
        head(_title(members[0], catalogue), _status_words(members), _facts(members, axis, budget))
    with acts:
        _acts(members)
    event = live_element(
        "lab",
        key="lab_live",
        height=760,
        groups=race_options.lanes(groups, catalogue),
        axis=axis,
        budget=budget,
        workers=cost_lines.num_workers(),
        trained=bool(members[0].spec.get("config.energy_of")),
        figures=race_options.figures(catalogue),
        errors=race_options.errors(),
        statuses=",".join(member.status.status for group in groups for member in group.members),
        on_statuses_change=lambda: None,
        on_turned_change=lambda: None,
    )
    if event.turned:
        _turn(event.turned, members)


def _title(member: Member, catalogue: dict[str, Any]) -> str:
    spec = member.directory.spec()
    if energy_of := spec.config.get("energy_of"):
        return f"The energy of run {energy_of}"
    name = member.status.data
    return str(catalogue.get("datasets", {}).get(name, {}).get("title", name))


def _status_words(members: list[Member]) -> str:
    """Describe `2 running, 1 queued`, each with its sign and colour."""
    counts = Counter(member.status.status for member in members)
    words = [
        status_word(word).replace(f" {word}<", f" {number} {word}<")
        for word, number in counts.items()
    ]
    return " ".join(words)


def _facts(members: list[Member], axis: str, budget: float | None) -> list[str]:
    first = members[0]
    seeds = len({member.status.seed for member in members})
    facts = [plural(len(members) // max(seeds, 1), "sampler")]
    if seeds > 1:
        facts.append(plural(seeds, "seed"))
    if chains := first.spec.get("config.num_chains"):
        facts.append(f"{count(chains)} chains each")
    facts.append(f"chains start {_STARTS[first.spec.get('config.chains', 'noise')]}")
    if budget is not None:
        amount = duration(budget) if axis == "seconds" else f"{count(budget)} {_UNITS[axis]}"
        facts.append(f"equal budget: {amount} each")
    if error := first.spec.get("config.stop_at_error"):
        facts.append(f"ends at an error of {figure(error)}")
    return facts


def _acts(members: list[Member]) -> None:
    ids = ",".join(member.id for member in members)
    going = [member for member in members if member.status.status in ("running", "queued")]
    with st.container(horizontal=True, horizontal_alignment="right"):
        if going and st.button(
            "Stop all" if len(going) > 1 else "Stop",
            icon=":material/stop:",
            help="Ends those that run and takes the others off the queue",
        ):
            _each(control.stop, reversed(going))
            st.rerun()
        cut_off = [m for m in members if m.status.status in ("lost", "paused", "stopped")]
        if cut_off and st.button(
            f"Resume {plural(len(cut_off), 'racer')}",
            icon=":material/play_arrow:",
            help="Go on from their last checkpoints: "
            + ", ".join(member.status.reason or member.status.status for member in cut_off),
        ):
            _each(control.resume, cut_off)
            st.rerun()
        st.link_button("Compare", f"compare?runs={ids}", icon=":material/compare:")
        st.link_button("New race", f"lab?from={ids}", icon=":material/add:")


def _each(act: Callable[[str], None], members: Iterable[Member]) -> None:
    """Do something to each run, and say what is refused.

    Those that end are ended from the last in the queue, so that none starts meanwhile.
    """
    for member in members:
        try:
            act(member.id)
        except (BasinError, OSError) as error:
            st.toast(str(error), icon=":material/warning:")


def _turn(event: dict[str, Any], members: list[Member]) -> None:
    """Change a live setting of one racer, in each of its seeds that runs."""
    known = {member.id: member for member in members}
    setting, value = str(event.get("setting", "")), event.get("value")
    if setting not in {f"sampler.{name}" for name in race_options.KNOBS}:
        return
    for run in event.get("runs", []):
        if run not in known or known[run].status.status != "running":
            continue
        try:
            control.turn(run, {setting: value}, access.identity())
        except (BasinError, OSError) as error:
            st.toast(str(error), icon=":material/warning:")


main()
