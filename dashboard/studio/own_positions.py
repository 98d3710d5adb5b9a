"""A person's own positions for a question: uploaded into the data folder and named in the form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BadInput
from dashboard.forms import draft
from dashboard.forms.schemas import Values
from dashboard.studio import question
from dashboard.studio.question import Given

FIELD = "path"


def draw(schema: dict[str, Any], start: Given, config: Values, seed: int) -> None:
    """Draw the place to upload a file where a question takes one."""
    if FIELD not in schema["properties"]:
        return
    key = f"studio_file:{start.of}:{start.turn}"

    def take() -> None:
        upload = st.session_state[key]
        if upload is None:
            return
        try:
            path = draft.keep_upload(upload.name, upload.getvalue())
        except BadInput as error:
            st.session_state["studio_file_refused"] = "; ".join(p.message for p in error.problems)
            return
        question.give(start, {**config, FIELD: str(path)}, seed, ask=False)

    st.file_uploader(
        "A file of your own (.npy, .npz with `x`, or a table: .csv, .parquet)",
        [suffix.lstrip(".") for suffix in draft.SUFFIXES],
        key=key,
        on_change=take,
    )
    if refused := st.session_state.pop("studio_file_refused", ""):
        st.error(f"Not kept: {refused}", icon=":material/block:")
