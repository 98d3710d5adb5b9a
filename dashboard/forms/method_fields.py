"""Choice of a method and a preset: those that fit what is wanted and the data, the others said."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from dashboard.forms import data_chooser, draft, field_words
from dashboard.forms.draft import Source
from dashboard.forms.own_file import FILE
from dashboard.forms.schemas import Values
from jobs import proposals

PURPOSES = {
    "learn": "model the data",
    "classify": "classify",
    "cluster": "find clusters",
    "predict": "predict",
    "sample": "sample a target",
}
MOST_SAID = 3
"""Methods whose reasons are written out."""


def purpose_of(method: dict[str, Any]) -> str:
    """Name what a method is for, one of `PURPOSES`: as it says, else by what it takes and shows."""
    if method["purpose"]:
        return str(method["purpose"])
    if not method["trains"]:
        return "sample"
    if method["needs"]:
        return "predict"
    if "classification" in method["observers"]:
        return "classify"
    return "cluster" if "clusters" in method["observers"] else "learn"


def data_for(purpose: str, catalogue: dict[str, Any]) -> list[str]:
    """List the data sets that a purpose has something to do with."""
    methods = {
        name: item for name, item in catalogue["methods"].items() if purpose_of(item) == purpose
    }
    taken = [{*item["needs"], *item["learns_from"]} for item in methods.values()]
    return [
        name
        for name, item in catalogue["datasets"].items()
        if _serves(purpose, name, item, taken) and _fits_one([*methods], name, item, catalogue)
    ]


def _serves(purpose: str, name: str, item: dict[str, Any], taken: list[set[str]]) -> bool:
    """Say whether a data set is of use for a purpose; `taken` is what its methods take beside x."""
    if purpose == "sample":
        return bool(item["is_target"])
    if item["gives"]:
        return any(names and names <= {*item["gives"]} for names in taken)
    return purpose != "predict" and (name == FILE or not item.get("for_samplers"))


def _fits_one(
    methods: list[str], name: str, item: dict[str, Any], catalogue: dict[str, Any]
) -> bool:
    if name == FILE:
        return True
    misfits = data_chooser.outline_of({"name": name}, catalogue).get("misfits", {})
    return not methods or any(method not in misfits for method in methods)


def choose(
    source: Source, data: Values, purpose: str, catalogue: dict[str, Any], version: int
) -> tuple[str, str]:
    """Draw the choice of a method and a preset among those that fit; returns both ids."""
    methods = catalogue["methods"]
    outline = data_chooser.outline_of(data, catalogue)
    misfits = outline.get("misfits", {})
    alike = [name for name, item in methods.items() if purpose_of(item) == purpose]
    fitting = [name for name in alike if name not in misfits] or alike
    wanted, preset = _wanted(source, data, outline, fitting, catalogue)
    key = f"launch{version}:method:{wanted}:{','.join(fitting)}"
    left, right = st.columns([2, 3])
    with left:
        method_id = st.selectbox(
            "Method",
            fitting,
            index=fitting.index(wanted),
            format_func=lambda name: methods[name]["title"],
            key=key,
            help=_about(methods[st.session_state.get(key, wanted)]),
        )
    with right:
        if method_id != wanted:
            preset = _preset_of(methods[method_id], data, outline, catalogue)
        chosen = _preset(methods[method_id], preset, outline, catalogue, version)
    _say(methods[method_id], chosen, fitting, misfits, alike, catalogue)
    return str(method_id), chosen


def _wanted(
    source: Source,
    data: Values,
    outline: dict[str, Any],
    fitting: list[str],
    catalogue: dict[str, Any],
) -> tuple[str, str]:
    """Say which method and preset the data bring, unless others were asked for."""
    initial, methods = source.values, catalogue["methods"]
    method, preset = initial["method"], initial.get("preset", "default")
    is_asked = bool(source.title) or "preset" in st.query_params or "method" in st.query_params
    is_same = data["name"] == initial["data"].get("name")
    if method in fitting and is_same and is_asked and preset in methods[method]["presets"]:
        return method, preset
    gives = {*outline.get("gives", [])}
    taking = [name for name in fitting if gives & {*methods[name]["learns_from"]}]
    if data["name"] == FILE and taking:
        method = method if method in taking else taking[0]
        return method, _preset_of(methods[method], data, outline, catalogue)
    is_new = data["name"] == FILE or method not in fitting
    if is_new and outline.get("event_shape"):
        proposed = proposals.proposal(proposals.kind_of(outline, {})).contestant
        if proposed.method in fitting and proposed.preset in methods[proposed.method]["presets"]:
            return proposed.method, proposed.preset
    if method not in fitting:
        method = fitting[0]
    elif is_same and draft.suits(
        catalogue, methods[method]["presets"].get(preset, {}), bool(outline.get("is_image"))
    ):
        own = draft.preset_for(
            catalogue, methods[method]["presets"], data["name"], bool(outline.get("is_image"))
        )
        return method, own or preset
    return method, _preset_of(methods[method], data, outline, catalogue, preset)


def _preset_of(
    method: dict[str, Any],
    data: Values,
    outline: dict[str, Any],
    catalogue: dict[str, Any],
    before: str = "default",
) -> str:
    """Choose the preset made for the data or their like, else the one of before where it fits."""
    presets, images = method["presets"], bool(outline.get("is_image"))
    if own := draft.preset_for(catalogue, presets, data["name"], images):
        return own
    if outline.get("is_discrete") and "discrete" in presets:
        return "discrete"
    suiting = [name for name, item in presets.items() if draft.suits(catalogue, item, images)]
    usual = before if before in suiting else next(iter(suiting), next(iter(presets)))
    if method["needs"] or images:
        return usual
    gaps = {name: _gap(presets[name], outline, catalogue) for name in suiting}
    nearest = min(gaps.values(), default=math.inf)
    # a preset that was made for no data in particular is as near as any
    if math.inf in gaps.values() or gaps.get(usual, nearest) == nearest:
        return usual
    return next(name for name, gap in gaps.items() if gap == nearest)


def _gap(preset: dict[str, Any], outline: dict[str, Any], catalogue: dict[str, Any]) -> float:
    """Compare the number of coordinates with that of the data that a preset was made for: how
    many times more or fewer, as a logarithm; infinite where either is not known."""
    made_for = preset.get("data") or {}
    other = data_chooser.outline_of(made_for, catalogue) if made_for else {}
    dims = [math.prod(each.get("event_shape") or [0]) for each in (outline, other)]
    return abs(math.log(dims[0] / dims[1])) if all(dims) else math.inf


def _preset(
    method: dict[str, Any],
    wanted: str,
    outline: dict[str, Any],
    catalogue: dict[str, Any],
    version: int,
) -> str:
    presets, images = method["presets"], bool(outline.get("is_image", True))
    names = [
        name
        for name, item in presets.items()
        if name == wanted or draft.suits(catalogue, item, images)
    ]
    preset = st.segmented_control(
        "Preset",
        names,
        default=wanted if wanted in names else names[0],
        required=True,
        format_func=field_words.preset,
        key=f"launch{version}:preset:{method['id']}:{wanted}:{','.join(names)}",
    )
    return str(preset)


def _say(
    method: dict[str, Any],
    preset: str,
    fitting: list[str],
    misfits: dict[str, str],
    alike: list[str],
    catalogue: dict[str, Any],
) -> None:
    """Say what is chosen, and which methods these data leave out, and why."""
    item = method["presets"][preset]
    made_for = item.get("data")
    words = [f"**{field_words.preset(preset).capitalize()}**: {item['summary']}"]
    words += [f"Made for `{made_for['name']}`."] if made_for else []
    words += ["Hours on a CPU."] if item.get("wants_gpu") else []
    out = [name for name in alike if name not in fitting]
    if out:
        reasons = [
            f"not {catalogue['methods'][name]['title']}: the set {misfits[name].rstrip('.')}"
            for name in out[:MOST_SAID]
        ]
        more = [f"{len(out) - MOST_SAID} more"] if len(out) > MOST_SAID else []
        fit = f"{len(fitting)} of {len(alike)} methods fit"
        words.append(f"*{fit}; {'; '.join([*reasons, *more])}.*")
    st.caption(" ".join(words))


def _about(method: dict[str, Any]) -> str:
    """Say what a method does, and who found it."""
    reference = method["references"]
    link = f"[{reference}]({method['url']})" if method["url"] else reference
    return f"{method['summary']} {link}"
