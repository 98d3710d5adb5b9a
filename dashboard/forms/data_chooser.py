"""Data chooser: sets as pictures, one's own file, and the fields of the chosen one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import BasinError, NotAvailable
from dashboard.forms import draft, form_fields
from dashboard.forms.form_fields import Form, Values
from dashboard.live_view import live_element
from jobs.queueing import enqueue, redis_store

FILE = "file"


def choose(
    source: dict[str, Any],
    catalogue: dict[str, Any],
    problems: dict[str, str],
    version: int,
    page: str = "launch",
    names: Collection[str] | None = None,
    folded: bool = False,
) -> Values:
    """Draw the choice of data and its fields; returns `name` and the fields' values.

    page: prefix of what the session keeps. names: the data sets to choose from, else all. folded:
    whether its fields are all folded away.
    """
    datasets = {
        key: item for key, item in catalogue["datasets"].items() if names is None or key in names
    }
    name = st.session_state.get(f"{page}_data", source["data"].get("name"))
    if name not in datasets:
        name = next(iter(datasets))
    tiles = [
        {
            "name": key,
            "title": item["title"],
            "summary": item["summary"],
            "preview": None if key == FILE else preview_of(key),
            "sign": "⇪" if key == FILE else "…",
        }
        for key, item in sorted(datasets.items(), key=lambda pair: _tile_order(pair[0]))
    ]
    key = "data_tiles" if page == "launch" else f"{page}_tiles"

    def take() -> None:
        # before the script runs: one that is cut short by the next click forgets nothing
        if chosen := st.session_state[key].get("chosen"):
            st.session_state[f"{page}_data"] = chosen

    live_element("tiles", key=key, height=250, tiles=tiles, chosen=name, on_chosen_change=take)
    item = datasets[name]
    st.caption(item["summary"])
    values = form_fields.defaults(item["schema"], item["schema"])
    if name == source["data"].get("name"):
        values = {**values, **{k: v for k, v in source["data"].items() if k != "name"}}
    form = Form(key=f"{page}{version}:data:{name}", problems=problems, prefix="data")
    if name == FILE:
        values["path"] = _file(str(values.get("path", "")), problems, version)
        schema = {**item["schema"], "properties": dict(item["schema"]["properties"])}
        schema["properties"].pop("path")
        fields = form_fields.show(schema, {k: v for k, v in values.items() if k != "path"}, form)
        return {"name": name, "path": values["path"], **fields}
    schema = _folded(item["schema"]) if folded else item["schema"]
    return {"name": name, **form_fields.show(schema, values, form)}


def _folded(schema: dict[str, Any]) -> dict[str, Any]:
    """Move main fields of the schema into one group with the rest."""
    fields = {
        name: {**part, "main": False, "group": "Settings"}
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields}


def _tile_order(name: str) -> tuple[int, str]:
    first = ("ring", "moons", "checkerboard", "pinwheel", "spirals", "digits", FILE)
    return (first.index(name), "") if name in first else (len(first) - 1, name)


@st.cache_data(ttl=None, show_spinner="Drawing the data sets…")
def _previews(names: tuple[str, ...]) -> dict[str, Any]:
    """Ask the check worker once for a small picture of every data set."""
    return enqueue.previews(list(names))


def preview_of(name: str) -> dict[str, Any] | None:
    """Return a small picture of a data set; None where no worker has drawn one."""
    try:
        catalogue = redis_store.catalogue()
        names = tuple(sorted(key for key in catalogue["datasets"] if key != FILE))
        preview: dict[str, Any] | None = _previews(names).get(name)
        return preview
    except NotAvailable:
        return None


def _file(path: str, problems: dict[str, str], version: int) -> str:
    """Draw the choice of the user's own file: upload one, or choose one in the data folder."""
    upload = st.file_uploader(
        "Upload a file",
        type=[suffix[1:] for suffix in draft.SUFFIXES],
        key=f"launch{version}:upload",
        help="Points of shape (n, d), or images (n, h, w) or (n, h, w, channels).",
    )
    if upload is not None:
        identity = (upload.file_id, upload.size)
        if st.session_state.get("launch_upload", (None, ""))[0] != identity:
            try:
                saved = draft.keep_upload(upload.name, upload.getvalue())
                st.session_state["launch_upload"] = (identity, str(saved))
            except BasinError as error:
                st.error(str(error))
        path = st.session_state.get("launch_upload", (None, path))[1] or path
    files = [str(item) for item in draft.known_files()]
    options = list(dict.fromkeys([*([path] if path else []), *files]))
    file = st.selectbox(
        "File",
        options,
        index=0 if path else None,
        format_func=lambda item: Path(item).name,
        placeholder="Upload a file, or put one into the data folder",
        key=f"launch{version}:path:{path}",
        accept_new_options=True,
    )
    if "data.path" in problems and file:
        st.markdown(f":red[`path` {problems['data.path']}]")
    return str(file or "")
