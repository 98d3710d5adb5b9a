"""Data chooser: sets as pictures, one's own files, and the fields of the chosen one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import NotAvailable
from dashboard.elements import count
from dashboard.forms import draft, form_fields, own_file, schemas
from dashboard.forms.form_fields import Form
from dashboard.forms.own_file import FILE
from dashboard.forms.schemas import Values
from dashboard.live_view import live_element
from jobs.queueing import enqueue, redis_store, spec_paths

IN_ROW = 8
"""Tiles that stand in the row; the rest is behind one of its own."""
MOST_OWN = 2
"""Newest own files among them."""
_FIRST = ("ring", "moons", "checkerboard", "pinwheel", "spirals", "digits")


def choose(
    source: dict[str, Any],
    catalogue: dict[str, Any],
    problems: dict[str, str],
    version: int,
    page: str = "launch",
    names: Collection[str] | None = None,
) -> Values:
    """Draw the choice of data and its fields; returns `name` and the fields' values.

    page: prefix of what the session keeps. names: the data sets to choose from, else all.
    """
    datasets = {
        key: item for key, item in catalogue["datasets"].items() if names is None or key in names
    }
    name = st.session_state.get(f"{page}_data", source["data"].get("name"))
    if name not in datasets:
        name = min(datasets, key=_tile_order)
    chosen = st.session_state.get(f"{page}_path", source["data"].get("path", ""))
    _tiles(page, datasets, name, str(chosen) if name == FILE else "")
    item = datasets[name]
    values = schemas.defaults(item["schema"], item["schema"])
    if name == source["data"].get("name"):
        values = {**values, **{k: v for k, v in source["data"].items() if k != "name"}}
    form = Form(
        key=f"{page}{version}:data:{name}",
        problems=problems,
        prefix="data",
        columns=4,
        several=page == "launch",
    )
    if name != FILE:
        left, right = st.columns([2, 3], vertical_alignment="center")
        left.caption(item["summary"])
        with right:
            return {"name": name, **form_fields.show(_folded(item["schema"]), values, form)}
    chosen_values = own_file.choose(page, values, problems, version)
    # an archive's concepts are an array, which has no column to choose
    is_archive = str(chosen_values.get("path", "")).endswith(".npz")
    own = ("path", "columns", "label", *(() if is_archive else ("concepts",)))
    schema = {**item["schema"], "properties": dict(item["schema"]["properties"])}
    for field in own:
        schema["properties"].pop(field, None)
    rest = {k: v for k, v in chosen_values.items() if k not in own}
    fields = form_fields.show(_folded(schema), rest, form)
    return {"name": name, **{k: v for k, v in chosen_values.items() if k in own}, **fields}


def _tiles(page: str, datasets: dict[str, Any], name: str, path: str) -> None:
    """Draw the sets; a click is remembered before the script runs."""
    own = []
    if page == "launch" and FILE in datasets:
        files = list(dict.fromkeys([*([path] if path else []), *map(str, draft.known_files())]))
        own = [_own_tile(file) for file in files[:MOST_OWN]]
    sets = sorted((key for key in datasets if key != FILE), key=_tile_order)
    first = [_tile(key, datasets[key]) for key in sets]
    # pictures before what has none
    first.sort(key=lambda tile: tile["preview"] is None)
    room = IN_ROW - len(own)
    tiles = [*first[:room], *own, *first[room:]]
    if FILE in datasets:
        file = {"name": FILE, "title": "your file", "summary": datasets[FILE]["summary"]}
        tiles.append({**file, "preview": None, "sign": "⇪", "last": True})
    key = "data_tiles" if page == "launch" else f"{page}_tiles"

    def take() -> None:
        # before the script runs: one that is cut short by the next click forgets nothing
        picked = st.session_state[key].get("chosen")
        if picked:
            st.session_state[f"{page}_data"], _, file = picked.partition(":")
            st.session_state[f"{page}_path"] = file

    live_element(
        "tiles",
        key=key,
        height=92,
        tiles=tiles,
        first=IN_ROW,
        chosen=f"{FILE}:{path}" if path else name,
        on_chosen_change=take,
    )


def _tile(key: str, item: dict[str, Any]) -> dict[str, Any]:
    preview = preview_of(key)
    picture = preview and {part: preview[part] for part in ("kind", "shape", "values")}
    sign = "E(x)" if key in spec_paths.ENERGY_FILES else "↓"  # to be downloaded
    return {
        "name": key,
        "title": item["title"],
        "summary": item["summary"],
        "preview": picture,
        "sign": sign,
    }


def _own_tile(path: str) -> dict[str, Any]:
    name = Path(path).name
    sign = Path(path).suffix.lower() or "▦"
    return {
        "name": f"{FILE}:{path}",
        "title": name,
        "summary": "Your own file.",
        "preview": None,
        "sign": sign,
    }


def _folded(schema: dict[str, Any]) -> dict[str, Any]:
    """Move main fields of the schema into one group with the rest."""
    fields = {
        name: {**part, "main": False, "group": "Settings"}
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields}


def _tile_order(name: str) -> tuple[int, str]:
    return (_FIRST.index(name), "") if name in _FIRST else (len(_FIRST), name)


@st.cache_data(ttl=None, show_spinner="Drawing the data sets…")
def _previews(names: tuple[str, ...]) -> dict[str, Any]:
    """Ask the check worker once for a small picture of every data set."""
    return enqueue.previews(list(names))


def preview_of(name: str) -> dict[str, Any] | None:
    """Return a small picture of a data set and its `outline`; None where no worker made one."""
    try:
        catalogue = redis_store.catalogue()
        names = tuple(sorted(key for key in catalogue["datasets"] if key != FILE))
        preview: dict[str, Any] | None = _previews(names).get(name)
        return preview
    except NotAvailable:
        return None


def outline_of(data: Values, catalogue: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of the kind of data before a method is chosen: as
    `jobs.models.data_outline.outline`, with fewer entries where nobody loaded them."""
    if data["name"] == FILE:
        return own_file.look(data)
    preview = preview_of(data["name"]) or {}
    item = catalogue["datasets"].get(data["name"], {})
    return {"is_image": bool(item.get("images")), **preview.get("outline", {})}


def facts_of(described: dict[str, Any]) -> str:
    """Describe data that were checked: `Two moons: 10 000 points of 2 coordinates, …`."""
    shape = " × ".join(str(side) for side in described["event_shape"])
    what = f"images of {shape}" if described["is_image"] else f"points of {shape} coordinates"
    return (
        f"{described['title']}: {count(described['num_train'])} {what} to train on, "
        f"{count(described['num_held_out'])} held out"
    )
