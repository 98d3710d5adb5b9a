"""Moments of a run kept for good, so that it can be forked, asked and sampled there."""

from __future__ import annotations

import streamlit as st

from backend.errors import BasinError
from dashboard.elements import count
from jobs.queueing import forking
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status


def show_keep(directory: RunDirectory, status: Status) -> None:
    """Draw the button that keeps the present moment of a running run, or one there is of others."""
    if status.status == "running":
        if st.button(
            "Keep this moment",
            icon=":material/bookmark_add:",
            help="A checkpoint that is not thinned out: it can be forked and asked later",
        ):
            _keep(directory, None)
    elif status.checkpoint_step is not None and st.button(
        "Keep a moment", icon=":material/bookmark_add:"
    ):
        _dialog(directory)


@st.dialog("Keep a moment")
def _dialog(directory: RunDirectory) -> None:
    moments = directory.checkpoints()[::-1]
    pinned = [step for step in moments if directory.keeps_checkpoint(step)]
    left = [step for step in moments if step not in pinned]
    st.markdown(
        "Checkpoints are thinned out while a run goes on, and can be deleted on System. One that "
        "is kept stays."
    )
    if pinned:
        st.markdown(f"Kept for good: step {', '.join(map(count, pinned))}.")
    if not left:
        return
    step = st.selectbox("Of step", left, format_func=count)
    if st.button("Keep it", type="primary"):
        _keep(directory, step)


def _keep(directory: RunDirectory, step: int | None) -> None:
    try:
        at = forking.keep(directory.id, step)
    except (BasinError, OSError) as error:
        st.error(str(error))
        return
    words = "The present moment is kept" if at is None else f"Step {count(at)} is kept for good"
    st.session_state["kept_moment"] = f"{words}."
    st.rerun()


def say_what_was_kept() -> None:
    """Say once, on the page drawn anew, what was kept."""
    if words := st.session_state.pop("kept_moment", ""):
        st.toast(words, icon=":material/bookmark_added:")
