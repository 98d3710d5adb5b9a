"""Held-out events to pick with the pointer, for fields that are pointed at."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BadInput, NotAvailable
from dashboard.forms import field_words, form_fields, schemas
from dashboard.forms.schemas import Values
from dashboard.live_view import live_element
from dashboard.studio import question
from dashboard.studio.question import Given
from jobs.queueing import enqueue
from jobs.records.run_directory import RunDirectory

PICTURED_BY = ("energy", "marginal")
"""Abilities whose answer shows held-out events by their rows: the first one offered is asked."""
NUM_PICTURED = 100
HAND = frozenset({"x", "y", "length", "direction"})
"""What a hand says on a picture of paths: a start, and a shove from it."""


def held_out(directory: RunDirectory, about: dict[str, Any], offers: dict[str, Any]) -> str:
    """Return the answer that shows the held-out events; "" where none is to be picked, or none can
    be shown: of a run without an energy or marginals they are given in the form."""
    offered = [name for name in PICTURED_BY if name in offers and not offers[name]["refused"]]
    if not _pointed(about["schema"]) or not offered:
        return ""
    try:
        return _looked_up(directory.id, offered[0], directory.status().checkpoint_step)
    except (BadInput, NotAvailable):
        return ""


@st.cache_data(max_entries=64, show_spinner="Fetching held-out events…")
def _looked_up(run_id: str, pictured_by: str, step: int | None) -> str:
    """Ask for held-out events, which the weights of one step have energies of."""
    return str(enqueue.ask_run(run_id, pictured_by, {"num": NUM_PICTURED})["id"])


def draw(
    directory: RunDirectory,
    schema: dict[str, Any],
    start: Given,
    config: Values,
    seed: int,
    answer: str,
) -> None:
    """Draw the held-out events of an answer; what is picked starts the form anew.

    config: fields of the form that differ from their defaults.
    """
    if not answer:
        return
    base = schemas.defaults(schema, schema)
    fields = _pointed(schema)
    key = f"studio_picker:{start.of[1]}"

    def take() -> None:
        act = st.session_state[key].act or {}
        allowed = {name for item in fields for name in (item["field"], *item["implies"])}
        picked = {k: v for k, v in dict(act.get("fields", {})).items() if k in allowed}
        given = form_fields.difference({**base, **config, **picked}, base)
        question.give(start, given, seed, ask=act.get("asks") is True)

    live_element(
        "studio/picker",
        key=key,
        height=240,
        run=directory.id,
        ability=start.of[1],
        held_out=answer,
        fields=fields,
        values={**base, **config},
        on_act_change=take,
    )


def by_hand(schema: dict[str, Any]) -> dict[str, str]:
    """Return the fields that are clicked and dragged on a picture of paths, by what they say of the
    hand; none where no start can be given so."""
    fields = schema["properties"].items()
    by_part = {part["pointed"]: name for name, part in fields if part.get("pointed") in HAND}
    return by_part if {"x", "y"} <= set(by_part) else {}


def _pointed(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """List the fields that are picked or drawn."""
    return [
        {
            "field": name,
            "kind": part["pointed"],
            "label": field_words.field(name),
            "implies": part.get("implies", {}),
        }
        for name, part in schema["properties"].items()
        if part.get("pointed", "x") not in HAND
    ]
