"""Samples of an answer kept as sample sets, drawn again by the same request."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError, NotAvailable
from dashboard.forms.schemas import Values
from jobs.queueing import sample_jobs
from jobs.records import sample_sets
from jobs.records.run_directory import RunDirectory
from jobs.records.sample_sets import Request

_REFUSED = "studio_not_kept"


def requests_of(directory: RunDirectory, answer: dict[str, Any], config: Values) -> list[Request]:
    """Build what draws the samples of an answer again, a set each; none where it has no samples, or
    the run does not keep that checkpoint any more.

    config: fields of its question that differ from their defaults.
    """
    step = int(answer["step"]) if directory.checkpoints() else None
    try:
        return [
            sample_jobs.request(
                directory.id,
                config,
                seed=int(answer["seed"]),
                step=step,
                ability=answer["ability"],
                array=array,
            )
            for array in answer.get("samples", ())
        ]
    except (BadInput, NotAvailable):
        return []


def sets_of(requests: list[Request]) -> list[str]:
    """List the sets of these requests, where all of them were kept."""
    try:
        known = [sample_sets.open_set(each.id) for each in requests]
    except (BadInput, NotAvailable):
        return []
    return [each.id for each in known if each.state != "failed"]


def keep(requests: list[Request]) -> None:
    """Have the sets drawn; what speaks against it is said at the next look."""
    try:
        sample_jobs.draw(requests)
    except (BasinError, OSError) as error:
        st.session_state[_REFUSED] = str(error)


def say_refusal() -> None:
    """Say once why nothing was kept."""
    if refused := st.session_state.pop(_REFUSED, ""):
        st.error(f"Not kept. {refused}", icon=":material/block:")
