"""A question between two looks at the page: what its link, its answer or the pointer gave it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from backend.errors import BadInput
from backend.system import yaml_reader
from dashboard.forms import form_fields, schemas
from dashboard.forms.schemas import Values

MOST_SEED = 2**31 - 1
_GIVEN = "studio_given"


@dataclass
class Given:
    """Values that a form starts with; each turn starts it anew."""

    of: tuple[str, str]
    """run and ability"""
    config: Values = field(default_factory=dict)
    seed: int = 0
    turn: int = 0
    is_asked: bool = False
    """whether it is to be asked at once"""


def given(
    run_id: str, ability: str, schema: dict[str, Any], answer: dict[str, Any] | None
) -> Given:
    """Return what the form starts with: what the pointer gave it last, else the link's settings,
    else those of the answer the link names."""
    known = st.session_state.get(_GIVEN)
    if isinstance(known, Given) and known.of == (run_id, ability):
        return known
    start = Given((run_id, ability), _config_of_link(), _seed_of_link())
    if answer is not None and "config" not in st.query_params:
        start.config = form_fields.difference(answer["config"], schemas.defaults(schema, schema))
    if answer is not None and "seed" not in st.query_params:
        start.seed = int(answer["seed"])
    return start


def give(start: Given, config: Values, seed: int, *, ask: bool) -> None:
    """Start the form anew with these values, and ask at once if wanted."""
    st.session_state[_GIVEN] = Given(start.of, config, seed, start.turn + 1, ask)


def keep_in_link(config: Values, seed: int, answer: str) -> None:
    """Write into the page's address what repeats the question, and the answer to it."""
    st.query_params["answer"] = answer
    st.query_params["seed"] = str(seed)
    if config:
        st.query_params["config"] = json.dumps(config, separators=(",", ":"))
    else:
        st.query_params.pop("config", None)


def _config_of_link() -> Values:
    text = st.query_params.get("config")
    if not text:
        return {}
    try:
        values = dict(json.loads(text))
        yaml_reader.check(values)
    except (ValueError, TypeError, RecursionError, BadInput):
        st.warning("The settings in this link cannot be read; these are the defaults.")
        return {}
    return values


def _seed_of_link() -> int:
    text = st.query_params.get("seed", "")
    return min(int(text), MOST_SEED) if re.fullmatch("[0-9]{1,12}", text) else 0
