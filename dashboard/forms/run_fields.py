"""Fields of a run beside its method: limits, seeds, device, name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from backend.errors import BasinError
from dashboard.forms import field_words, numbers
from dashboard.forms.own_file import FILE
from jobs.queueing import redis_store


def show(
    initial: dict[str, Any],
    method: dict[str, Any],
    preset: str,
    data: dict[str, Any],
    problems: dict[str, str],
    version: int,
) -> dict[str, Any]:
    """Draw them; returns the RunSpec's fields, a number of several values as `sweep.Several`."""
    own = method["presets"][preset]["budget"]
    budget = initial.get("budget") or own
    if preset != initial.get("preset", "default") or method["id"] != initial["method"]:
        budget = own
    key = f"launch{version}:run:{method['id']}:{preset}"
    first, second, third, fourth = st.columns(4)
    limits: dict[str, Any] = {}
    with first:
        limits["steps"] = numbers.field(
            "Steps",
            budget.get("steps"),
            f"{key}:steps",
            whole=True,
            help="The run ends at the first limit reached.",
        )
    with second:
        seed = numbers.field(
            "Seed",
            initial.get("seed", 0),
            f"{key}:seed",
            whole=True,
            help="Several, such as 0..4, make as many runs of the same work.",
        )
    devices = ["auto", *dict.fromkeys(_devices())]
    device = third.selectbox("Device", devices, key=f"{key}:device")
    given = str(initial.get("name", ""))
    name = fourth.text_input(
        "Name", given, key=f"{key}:name", placeholder=default_name(data, method, preset)
    )
    for field in ("budget.steps", "budget.gradients", "budget.seconds", "seed", "budget", "name"):
        if field in problems:
            st.markdown(f":red[{field_words.field(field.rpartition('.')[2])} {problems[field]}]")
    with st.expander("**More limits, precision, tags** &nbsp; :gray[time, gradients, note]"):
        first, second, third, fourth = st.columns(4)
        with first:
            limits["seconds"] = numbers.field(
                "Longest training (seconds)", budget.get("seconds"), f"{key}:seconds", whole=False
            )
        with second:
            limits["gradients"] = numbers.field(
                "Gradient evaluations", budget.get("gradients"), f"{key}:gradients", whole=True
            )
        precision = third.selectbox(
            "Precision",
            ["float32", "bfloat16"],
            key=f"{key}:precision",
            help="bfloat16 runs the network under autocast and is for GPUs.",
        )
        with fourth:
            processes = numbers.field(
                "Processes",
                int(initial.get("processes", 1)),
                f"{key}:processes",
                whole=True,
                help="They share the rows of every batch; on GPUs each has a device of its own.",
            )
        tags = st.multiselect(
            "Tags",
            initial.get("tags", []),
            initial.get("tags", []),
            accept_new_options=True,
            key=f"{key}:tags",
        )
        notes = st.text_area("Note", initial.get("notes", ""), key=f"{key}:notes")
    name = name.strip()
    if not name and data.get("name") == FILE and data.get("path"):
        name = default_name(data, method, preset)[:120]
    return {
        "budget": {name: value for name, value in limits.items() if value is not None},
        "seed": 0 if seed is None else seed,
        "device": device if device != "auto" else "",
        "processes": processes if processes != 1 else "",
        "precision": precision if precision != "float32" else "",
        "name": name,
        "tags": list(tags),
        "notes": notes,
    }


def default_name(data: dict[str, Any], method: dict[str, Any], preset: str) -> str:
    """Name a run by its data, an own file by its file name, and by its preset or method."""
    path = str(data.get("path", "")) if data.get("name") == FILE else ""
    variant = method["title"] if preset == "default" else field_words.preset(preset)
    return f"{Path(path).name or data.get('name', '')}, {variant}"


def _devices() -> list[str]:
    try:
        return [w["device"] for w in redis_store.workers() if redis_store.takes_runs(w)]
    except BasinError:
        return []
