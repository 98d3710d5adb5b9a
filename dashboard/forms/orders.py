"""Orders: a click on a button that launches, kept until what was typed last is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class Shown:
    """Subject and draft that a page showed beside its button."""

    subject: tuple[str, ...]
    """in words: the data, the method and whatever else decides which fields there are"""
    text: str = ""
    """the draft itself, where it may be launched unchecked"""


def subject_of(data: dict[str, Any], *others: str) -> tuple[str, ...]:
    """Name the data of a draft, and what else it is about."""
    path = str(data.get("path", "")).rpartition("/")[2]
    return (path or str(data.get("name", "")), *others)


def give(page: str, order: Shown) -> None:
    """Remember a click: what was typed last may have to be checked first, in a run of the script
    of its own."""
    st.session_state[f"{page}_ordered"] = order


def take(page: str, subject: tuple[str, ...]) -> Shown | None:
    """Return the order that was given, once; None where there is none.

    One that was given beside another subject is void, and the page says so: nobody has seen the
    fields of this one.
    """
    order: Shown | None = st.session_state.pop(f"{page}_ordered", None)
    if order is None or order.subject == subject:
        return order
    before, now = (", ".join(each) for each in (order.subject, subject))
    st.warning(
        f"Nothing was launched: the button stood beside {before}, and now the page shows {now}. "
        "Look at it, then launch."
    )
    return None
