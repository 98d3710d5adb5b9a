"""Arena page: blind votes between samples of models on the same data, then who they were.

With an arena in the address nothing on the page names a run: what a vote reveals comes by
`dashboard/stream/arena.py` after it.
"""

from __future__ import annotations

import streamlit as st

from backend.errors import BasinError, NotAvailable
from dashboard import comparison
from dashboard.elements import as_typed, empty, head, moment, plural
from dashboard.live_view import live_element
from jobs.arena import arenas, votes
from jobs.arena.arenas import Arena
from jobs.queueing import redis_store
from jobs.records.sample_sets import SampleSet

LOOK_SECONDS = 1.0


def main() -> None:
    """Draw the page."""
    arena_id = st.query_params.get("id", "")
    if not arena_id:
        _choose()
        return
    head("Which looks more like the data?", tab="Arena")
    try:
        arena = arenas.open_arena(arena_id)
        sets, reference = arenas.sets_of(arena)
    except (BasinError, OSError):
        empty("This arena is not there, or a sample set of it was deleted. Begin another one.")
        if st.button("Choose runs", icon=":material/arrow_forward:"):
            st.query_params.clear()
            st.rerun()
        return
    if all(each.state == "done" for each in (*sets, reference)):
        live_element("pictures/arena/page", key="arena_live", height=640, arena=arena.id)
    else:
        _wait(arena)


@st.fragment(run_every=LOOK_SECONDS)
def _wait(arena: Arena) -> None:
    """Say how far the samples are, and begin once all are there."""
    sets, reference = arenas.sets_of(arena)
    everything = [*sets, reference]
    if all(each.state == "done" for each in everything):
        st.rerun()
    failed = [each for each in everything if each.state == "failed"]
    num_drawn = sum(each.state == "done" for each in everything)
    st.progress(
        num_drawn / len(everything),
        f"{num_drawn} of {len(everything)} sets of samples are drawn. The first pair follows.",
    )
    if failed:
        _say_failed(arena, failed)


def _say_failed(arena: Arena, failed: list[SampleSet]) -> None:
    st.error(f"Samples could not be drawn: {as_typed(failed[0].reason)}")
    if st.button("Draw them again", icon=":material/refresh:"):
        try:
            arenas.draw_again(arena)
        except (BasinError, OSError) as error:
            st.toast(str(error), icon=":material/warning:")


# ---------------------------------------------------------------------- before there is one


def _choose() -> None:
    head("Arena", facts=["Blind votes on what models generate, and who wins them at what cost"])
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        empty(f"{error} This page looks again when reloaded.")
        return
    labels = comparison.trained_runs(catalogue)
    if not labels:
        empty(
            "No run has trained yet: there are no samples to vote on.",
            "views/launch.py",
            "Launch a run",
        )
        return
    _list_arenas()
    st.header("A new arena", anchor=False)
    asked = [run for run in st.query_params.get("runs", "").split(",") if run in labels]
    with st.form("arena", border=False):
        chosen = st.multiselect(
            "Runs of one data set",
            list(labels),
            asked,
            format_func=lambda run: labels.get(run, run),
            placeholder="Search for runs by name, method, seed or id",
            max_selections=arenas.MOST,
        )
        real = st.checkbox(
            "Real data take part, unnamed",
            value=True,
            help="Held-out data that no model has seen: the ceiling of the ranking, and a check of "
            "the voters.",
        )
        begins = st.form_submit_button("Draw samples and begin", type="primary")
    st.caption(
        "Each run draws from the same noise as it stands now. Names are hidden on the page, in its "
        "link and in what is sent until you vote. Send the link to whoever else should vote."
    )
    if begins:
        _begin(chosen, real)


def _begin(chosen: list[str], real: bool) -> None:
    try:
        arena = arenas.create(chosen, real=real)
    except (BasinError, OSError) as error:
        st.error(str(error))
        return
    st.query_params.clear()
    st.query_params["id"] = arena.id
    st.rerun()


def _list_arenas() -> None:
    """List the arenas there are, without saying who takes part."""
    known = arenas.list_arenas()
    if not known:
        return
    st.header("Vote", anchor=False)
    for arena in known[:20]:
        num = sum(each.counts for each in votes.ballots(arena))
        words = (
            f"**{as_typed(arena.data)}** · {plural(len(arena.sets), 'contestant')} · "
            f"{plural(num, 'vote')} · begun {moment(arena.created)}"
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.link_button("Vote", f"arena?id={arena.id}", icon=":material/how_to_vote:")
            st.markdown(words)


main()
