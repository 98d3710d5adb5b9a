"""Settings of a run turned on its page while it trains, and those that were."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError
from dashboard.forms import field_words
from dashboard.security import access
from jobs.queueing import control
from jobs.records.requests import Turn
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

Rules = dict[str, dict[str, Any]]
"""Rules of the settings that can be turned, as `RunDirectory.turnable` reads them."""
_COLUMNS = 2
HEARD_SECONDS = 0.5
"""A running run takes a turn within a few steps."""


def show_turn_settings(directory: RunDirectory, status: Status) -> None:
    """Draw the button and its panel of a run that can be turned; nothing for others."""
    rules = directory.turnable()
    if status.status not in ("running", "paused") or not rules:
        return
    with st.popover("Turn settings", icon=":material/tune:"):
        when = "at its next step" if status.status == "running" else "when it goes on"
        st.markdown(
            f"The run takes them {when}. Every turn is a mark on the curves and stands in its "
            "record."
        )
        with st.form(f"turn {directory.id}", border=False):
            wanted = setting_fields(f"turn {directory.id}", rules)
            changed = changed_fields(wanted, rules)
            if st.form_submit_button("Turn", icon=":material/tune:") and changed:
                _turn(directory.id, changed, rules)
        turns = directory.turns()
        if turns and st.button(f"Turn back: {_words(turns[-1])}", icon=":material/undo:"):
            before = {name: old for name, (old, _) in turns[-1].fields.items()}
            _turn(directory.id, before, rules)


def turned_lines(turns: list[Turn]) -> list[str]:
    """Write what was turned at which step, a line each."""
    return [f"step {turn.step:,}: {turn.words}" for turn in turns]


def setting_fields(key: str, rules: Rules) -> dict[str, str]:
    """Draw a field for every setting; returns what stands in them, by name."""
    columns = st.columns(_COLUMNS)
    texts = {}
    for place, (name, rule) in enumerate(rules.items()):
        written = _written(rule)
        texts[name] = (
            columns[place % _COLUMNS]
            .text_input(
                label_of(name, rules),
                written,
                help=rule["about"],
                key=f"{key} {name} {written}",  # another field once it was turned
            )
            .strip()
        )
    return texts


def changed_fields(texts: dict[str, str], rules: Rules) -> dict[str, Any]:
    """Select what stands otherwise in a field than the setting is."""
    return {name: text for name, text in texts.items() if text != _written(rules[name])}


def show_refusal(error: BadInput, rules: Rules) -> None:
    """Say what cannot be, under the labels of the fields."""
    for problem in error.problems:
        label = label_of(problem.field, rules) if problem.field in rules else problem.field
        st.error(f"{label}: {problem.message}")


def label_of(name: str, rules: Rules) -> str:
    """Name a setting in words, with its part where two share a name, and its unit."""
    *parts, last = name.split(".")
    words = field_words.field(last)
    if sum(each.rpartition(".")[2] == last for each in rules) > 1 and parts:
        words = f"{words}, {parts[-1]}"
    unit = rules[name].get("unit")
    return f"{words} ({unit})" if unit else words


def _turn(run_id: str, settings: dict[str, Any], rules: Rules) -> None:
    try:
        control.turn(run_id, settings, access.identity())
    except BadInput as error:
        show_refusal(error, rules)
    except (BasinError, OSError) as error:
        st.error(str(error))
    else:
        time.sleep(HEARD_SECONDS)
        st.rerun()


def _written(rule: dict[str, Any]) -> str:
    return f"{rule['value']:.6g}"


def _words(turn: Turn) -> str:
    return turn._replace(by="").words.rstrip(".")
