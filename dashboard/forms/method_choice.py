"""Method choice: a proposal for these data, by a rule or by a bakeoff of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from backend.errors import BasinError
from dashboard.elements import MINUS, plural
from dashboard.forms.draft import Answer, Source
from dashboard.forms.method_fields import purpose_of
from dashboard.security import access
from jobs import bakeoffs, proposals
from jobs.bakeoffs import Verdict
from jobs.claims.reproduction import progress_of
from jobs.formatting import duration
from jobs.proposals import Contestant, Kind

EVERY = 2.0
"""Seconds between two looks at a bakeoff that goes on."""
Begin = Callable[[Source], None]


def show(answer: Answer, catalogue: dict[str, Any], begin: Begin) -> None:
    """Draw what is proposed for the data of a draft, and the button that tries several methods.

    Nothing where what is proposed is for another purpose than the draft's method. begin: starts the
    form anew from a source.
    """
    try:
        spec = answer.spec()
        data, chosen = spec.data, Contestant(spec.method, spec.preset)
        ids = bakeoffs.newest_of(data)
    except (BasinError, OSError):
        return
    described = answer.check.data if answer.check is not None else {}
    dataset = catalogue["datasets"].get(data["name"], {})
    kind = proposals.kind_of(described, dataset)
    if not kind.event_shape and not kind.is_discrete:
        return  # nothing is known of them yet
    rule, methods = proposals.proposal(kind), catalogue["methods"]
    if purpose_of(methods[rule.contestant.method]) != purpose_of(methods[spec.method]):
        return
    with st.container(border=True, key="method_choice"):
        st.markdown("**Which method for these data?**")
        runs = bakeoffs.results(ids)
        if runs and not all(run.is_over for run in runs):
            st.fragment(_under_way, run_every=EVERY)(ids)
            return
        if runs:
            verdict = bakeoffs.verdict(runs)
            proposed, reason = verdict.proposed, verdict.reason
        else:
            proposed, reason = rule.contestant, rule.reason
        if proposed is not None:
            st.markdown(f"Proposed: **{_title(proposed, catalogue)}**")
        st.caption(reason.replace(" -", f" {MINUS}"))
        if proposed not in (None, chosen):
            _take(proposed, data, catalogue, begin)
        if runs:
            _standings(verdict, catalogue)
        _try(data, kind, again=bool(runs))


def _under_way(ids: list[str]) -> None:
    """Draw how far a bakeoff is; the page is drawn anew when it has ended."""
    progress = progress_of(bakeoffs.results(ids))
    if progress.is_over:
        st.rerun()
    left = progress.seconds_left
    st.progress(
        progress.fraction,
        f"{progress.done} of {progress.total} methods tried"
        + (f" · about {duration(left)} left" if left else ""),
    )
    st.page_link("views/runs.py", label="Watch them among the runs", icon=":material/list:")


def _standings(verdict: Verdict, catalogue: dict[str, Any]) -> None:
    """Draw every method and baseline by its held-out nats, the best first, folded away."""
    rows: list[tuple[float, str, str]] = []
    for item in verdict.standings:
        name = _title(item.contestant, catalogue)
        name = f"**{name}**" if item.contestant == verdict.proposed else name
        note = f" :gray[{item.note}]" if item.note else ""
        if item.mean is None or item.high is None:
            rows.append((float("-inf"), name + note, "not known"))
        else:
            half = item.high - item.mean
            rows.append((item.mean, name + note, f"{_nats(item.mean)}\u00a0±\u00a0{half:.3f}"))
    for key, nats in verdict.baselines.items():
        title = bakeoffs.BASELINES.get(key, "the true density")
        rows.append((nats, f":gray[{title}]", f":gray[{_nats(nats)}]"))
    rows.sort(key=lambda row: row[0], reverse=True)
    lines = ["| tried | nats a point |", "|:--|--:|"]
    with st.expander(f"Held-out nats of {plural(len(verdict.standings), 'method')}"):
        st.markdown("\n".join([*lines, *(f"| {name} | {nats} |" for _, name, nats in rows)]))
        st.caption("Mean log-likelihood of held-out points ± two standard errors; more is better.")


def _take(
    proposed: Contestant, data: Mapping[str, Any], catalogue: dict[str, Any], begin: Begin
) -> None:
    def take() -> None:
        values = {"method": proposed.method, "preset": proposed.preset, "data": dict(data)}
        begin(Source(values, "the proposal"))

    st.button(
        f"Take {_title(proposed, catalogue)}",
        key="take_proposal",
        icon=":material/check:",
        width="stretch",
        on_click=take,
    )


def _try(data: dict[str, Any], kind: Kind, again: bool) -> None:
    """Draw the button that tries the sensible methods, where held-out nats can judge them."""
    number = len(proposals.contestants(kind))
    if number < 2:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seconds = st.number_input(
            "Seconds each",
            5.0,
            86_400.0,
            bakeoffs.SECONDS,
            format="%g",
            width=150,
            key="bakeoff_seconds",
            help=f"Trains {plural(number, 'method')} on these data for equal seconds and compares "
            "them by the log-likelihood of held-out points, beside one Gaussian, 20 and a kernel "
            "estimate.",
        )
        label = "Try again" if again else f"Try {number} methods"
        clicked = st.button(label, key="bakeoff", icon=":material/balance:", width="stretch")
    if clicked:
        try:
            bakeoffs.launch(
                bakeoffs.bakeoff_of(data, kind, seconds), origin="browser", by=access.identity()
            )
        except BasinError as error:
            st.error(f"Nothing was launched. {error}")
        else:
            st.rerun()


def _title(contestant: Contestant, catalogue: dict[str, Any]) -> str:
    method = catalogue["methods"].get(contestant.method, {})
    title = str(method.get("title", contestant.method))
    preset = contestant.preset
    return title if preset == "default" else f"{title}, {preset.replace('_', ' ')}"


def _nats(value: float) -> str:
    return f"{value:.3f}".replace("-", MINUS)
