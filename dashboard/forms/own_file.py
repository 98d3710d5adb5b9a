"""Own file: choose or upload one, see its columns, and say what becomes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import BasinError
from dashboard.elements import count, plural
from dashboard.forms import draft, uploads
from dashboard.forms.form_fields import Values
from dashboard.live_view import live_element
from jobs.queueing import enqueue

FILE = "file"
_NUMBERS = ("number", "whole number")
_READ = ("path", "key", "columns", "label", "concepts")
_REASONS = {"date": "a date", "empty": "holds nothing", "text": "text, no number"}


def choose(page: str, initial: Values, problems: dict[str, str], version: int) -> Values:
    """Draw the choice of a file and, for a table, of its columns.

    Returns `path`, and `columns`, `label` and `concepts` where they were chosen.
    """
    path = _path(page, str(initial.get("path", "")), problems, version)
    values: Values = {**initial, "path": path}
    if not path:
        return values
    used = f"{page}{version}:used:{path}"
    values |= st.session_state.get(used, {})
    seen = look(values)
    if seen.get("columns"):
        _columns(page, seen, values, used)
    for field in ("data.columns", "data.label", "data.concepts"):
        if field in problems:
            st.markdown(f":red[{problems[field]}]")
    return values


def look(values: Values) -> dict[str, Any]:
    """Return what the worker sees in a file, as `jobs.models.data_outline.look`; {} where nobody
    can tell."""
    raw = {key: values[key] for key in _READ if values.get(key)}
    if not raw.get("path"):
        return {}
    try:
        path = Path(str(raw["path"]))
        changed = path.stat().st_mtime if path.is_absolute() else 0.0
        return _looked({"name": FILE, **raw}, changed)
    except (BasinError, OSError, ValueError):
        return {}


@st.cache_data(ttl=600, max_entries=50, show_spinner="Looking at the file…")
def _looked(raw: Values, changed: float) -> dict[str, Any]:
    """Ask the check worker once about a file as it was last written."""
    return enqueue.look(raw)


def _path(page: str, path: str, problems: dict[str, str], version: int) -> str:
    """Draw the choice of a file in the data folder, and the place to upload one."""
    chosen = st.session_state.get(f"{page}_path", path)
    files = [str(item) for item in draft.known_files()]
    options = list(dict.fromkeys([*([chosen] if chosen else []), *files]))
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with right:
        upload = st.file_uploader(
            "Upload a file, or a .zip of images",
            type=[suffix[1:] for suffix in (*draft.SUFFIXES, uploads.ZIP)],
            key=f"launch{version}:upload",
            help="Points (n, d), images (n, h, w) or (n, h, w, channels), or a .zip of images, in "
            "folders by class if there are classes.",
        )
    if upload is not None:
        identity = (upload.file_id, upload.size)
        if st.session_state.get("launch_upload", (None, ""))[0] != identity:
            try:
                with st.spinner(f"Keeping {upload.name}…"):
                    saved = uploads.keep(upload.name, upload.getvalue())
                st.session_state["launch_upload"] = (identity, str(saved))
                st.session_state[f"{page}_path"] = chosen = str(saved)
                options = list(dict.fromkeys([chosen, *options]))
            except BasinError as error:
                st.error(str(error))
    with left:
        file = st.selectbox(
            "File",
            options,
            index=options.index(chosen) if chosen in options else None,
            format_func=lambda item: Path(item).name,
            placeholder="Upload a file, or put one into the data folder",
            key=f"launch{version}:path:{chosen}",
            accept_new_options=True,
        )
        if "data.path" in problems and file:
            st.markdown(f":red[{problems['data.path']}]")
    return str(file or "")


def _columns(page: str, seen: dict[str, Any], values: Values, used: str) -> None:
    """Draw the columns of a table with what becomes of each."""
    uses = _uses(seen, values)
    columns = [
        {**column, "use": uses[column["name"]], "reason": _reason(column, uses[column["name"]])}
        for column in seen["columns"]
    ]
    numbers = [name for name, use in uses.items() if use == "learned"]
    label = next((name for name, use in uses.items() if use == "class"), "")
    rows = seen["columns"][0]["num_rows"]
    facts = [f"{plural(len(numbers), 'column')} learned"]
    facts.append(f"**{label}** names the class" if label else "no classes")
    if num_concepts := [*uses.values()].count("concept"):
        facts.append(plural(num_concepts, "concept"))
    st.caption(f"{Path(values['path']).name}: {count(rows)} rows seen · {' · '.join(facts)}")
    key = f"{page}_columns"

    def take() -> None:
        if chosen := st.session_state[key].get("used"):
            st.session_state[used] = {
                "columns": [name for name, use in chosen.items() if use == "learned"],
                "label": next((name for name, use in chosen.items() if use == "class"), ""),
                "concepts": [name for name, use in chosen.items() if use == "concept"],
            }

    live_element("charts/column_table", key=key, height=120, columns=columns, on_used_change=take)


def _uses(seen: dict[str, Any], values: Values) -> dict[str, str]:
    """Say of each column whether it is learned, names the class, is a concept or is left out."""
    columns = seen["columns"]
    concepts = list(values.get("concepts") or [])
    chosen, label = list(values.get("columns") or []), str(values.get("label") or "")
    learned = chosen or list(seen.get("learned", []))
    if not learned:
        learned = [
            each["name"]
            for each in columns
            if each["kind"] in _NUMBERS and each["name"] not in concepts
        ]
    if not label and seen.get("classes") and not chosen:
        texts = [each["name"] for each in columns if each["name"] not in (*learned, *concepts)]
        label = texts[0] if len(texts) == 1 else ""
    return {
        each["name"]: "class"
        if each["name"] == label
        else "concept"
        if each["name"] in concepts
        else "learned"
        if each["name"] in learned
        else "left out"
        for each in columns
    }


def _reason(column: dict[str, Any], use: str) -> str:
    return _REASONS.get(column["kind"], "") if use == "left out" else ""
