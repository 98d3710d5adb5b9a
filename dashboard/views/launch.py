"""Launch page: choose data, method and settings; see what they amount to; launch."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from backend.errors import BasinError, NotAvailable
from dashboard.elements import count, empty, head
from dashboard.forms import data_chooser, draft, form_fields, method_choice, orders
from dashboard.forms.data_chooser import FILE
from dashboard.forms.draft import Answer, Source
from dashboard.forms.form_fields import Form, Values
from dashboard.forms.orders import Shown
from dashboard.live_view import live_element
from jobs.formatting import duration
from jobs.queueing import enqueue, redis_store


def main() -> None:
    """Draw the page."""
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        head("Launch")
        empty(f"{error} This page shows what the workers can run; it looks again when reloaded.")
        return
    source = _source(catalogue)
    taken = f"with the settings of {source.title}" if source.title else ""
    head("Launch a run", facts=[taken] if taken else None)
    left, right = st.columns([7, 4], gap="large")
    with left:
        raw = _form(source, catalogue)
    answer = _checked(raw)
    with right:
        _beside(answer, catalogue)


# ---------------------------------------------------------------------- where it begins


def _source(catalogue: dict[str, Any]) -> Source:
    """Return the draft this page began with; a new link or a pasted file begins another."""
    query = {key: st.query_params[key] for key in st.query_params}
    if st.session_state.get("launch_query") != query or "launch_source" not in st.session_state:
        try:
            source = draft.from_query(query, catalogue)
        except BasinError as error:
            st.warning(f"{error} The form starts from the first example instead.")
            source = Source(dict(draft.FIRST))
        _begin(source)
        st.session_state["launch_query"] = query
    source = st.session_state["launch_source"]
    if source.values["method"] not in catalogue["methods"]:
        known = ", ".join(catalogue["methods"])
        st.warning(f"There is no method `{source.values['method']}` here; there are {known}.")
        return Source(dict(draft.FIRST))
    return source


def _begin(source: Source) -> None:
    st.session_state["launch_source"] = source
    st.session_state["launch_version"] = st.session_state.get("launch_version", 0) + 1
    for name in ("launch_answer", "launch_data", "launch_preset"):
        st.session_state.pop(name, None)


# ---------------------------------------------------------------------- the form


def _form(source: Source, catalogue: dict[str, Any]) -> dict[str, Any]:
    version = st.session_state["launch_version"]
    initial = source.values
    answer: Answer | None = st.session_state.get("launch_answer")
    problems, derived = answer.sentences if answer else ({}, {})
    st.subheader("Data", anchor=False)
    data = data_chooser.choose(initial, catalogue, problems, version)
    st.subheader("Method", anchor=False)
    method_id, preset = _method(source, data, catalogue, version)
    method = catalogue["methods"][method_id]
    values = draft.preset_values(method, preset)
    if (method_id, preset) == (initial["method"], initial.get("preset", "default")):
        values = _merged(values, initial.get("config", {}))
    form = Form(
        key=f"launch{version}:{method_id}:{preset}",
        problems=problems,
        derived=derived,
    )
    config = form_fields.show(method["schema"], values, form)
    st.subheader("Run", anchor=False)
    choices = _run(initial, method, preset, problems, version)
    choices = {"method": method_id, "preset": preset, **choices}
    return draft.raw_spec(choices, data, config, catalogue)


def _merged(base: Values, over: Values) -> Values:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        same = isinstance(old, dict) and isinstance(value, dict)
        if same and value.get("kind", old.get("kind")) == old.get("kind"):  # type: ignore[union-attr]
            value = _merged(old, value)  # type: ignore[arg-type]
        merged[name] = value
    return merged


def _method(
    source: Source, data: Values, catalogue: dict[str, Any], version: int
) -> tuple[str, str]:
    initial, methods = source.values, catalogue["methods"]
    names = list(methods)
    left, right = st.columns(2)
    with left:
        method_id = st.selectbox(
            "Method",
            names,
            index=names.index(initial["method"]),
            format_func=lambda name: methods[name]["title"],
            key=f"launch{version}:method",
        )
        method = methods[method_id]
        reference = method["references"]
        link = f"[{reference}]({method['url']})" if method["url"] else reference
        st.caption(f"{method['summary']} {link}")
    presets = list(method["presets"])
    wanted = initial.get("preset", "default") if method_id == initial["method"] else "default"
    item, preview = catalogue["datasets"][data["name"]], data_chooser.preview_of(data["name"])
    images = item.get("images", False) or (preview or {}).get("kind") == "images"
    # data bring their own preset, unless a preset was asked for
    is_chosen = bool(source.title) or "preset" in st.query_params
    if data["name"] != initial["data"].get("name") or not is_chosen:
        wanted = draft.preset_for(catalogue, method["presets"], data["name"], images) or wanted
    preset_entry = method["presets"].get(wanted, {})
    if not draft.suits(catalogue, preset_entry, images) and data["name"] != FILE:
        wanted = "default"
    with right:
        preset = st.segmented_control(
            "Preset",
            presets,
            default=wanted if wanted in presets else presets[0],
            required=True,
            key=f"launch{version}:preset:{method_id}:{wanted}",
        )
        preset_entry = method["presets"][preset]
        made_for = preset_entry.get("data")
        st.caption(
            preset_entry["summary"]
            + (f" Made for `{made_for['name']}`." if made_for else "")
            + (" Hours on a CPU." if preset_entry.get("wants_gpu") else "")
        )
    return str(method_id), str(preset)


def _run(
    initial: dict[str, Any],
    method: dict[str, Any],
    preset: str,
    problems: dict[str, str],
    version: int,
) -> dict[str, Any]:
    own = method["presets"][preset]["budget"]
    budget = initial.get("budget") or own
    if preset != initial.get("preset", "default") or method["id"] != initial["method"]:
        budget = own
    key = f"launch{version}:run:{method['id']}:{preset}"
    first, second, third = st.columns(3)
    steps = first.number_input("Steps", value=budget.get("steps"), step=100, key=f"{key}:steps")
    first.caption("The run ends at the first limit reached.")
    seed = second.number_input("Seed", value=int(initial.get("seed", 0)), step=1, key=f"{key}:seed")
    seeds = third.number_input(
        "Runs", 1, draft.MOST_SEEDS, 1, key=f"{key}:seeds", help="As many seeds, one run each."
    )
    st.session_state["launch_seeds"] = int(seeds)
    for name in ("budget.steps", "budget.gradients", "seed", "budget"):
        if name in problems:
            st.markdown(f":red[`{name.rpartition('.')[2]}` {problems[name]}]")
    limits: dict[str, Any] = {"steps": steps}
    with st.expander("**More limits, device, name** &nbsp; :gray[time, gradients, tags, note]"):
        first, second = st.columns(2)
        seconds, gradients = budget.get("seconds"), budget.get("gradients")
        limits["seconds"] = first.number_input(
            "Seconds of training",
            value=None if seconds is None else float(seconds),
            format="%g",
            key=f"{key}:seconds",
            placeholder="no limit",
        )
        limits["gradients"] = second.number_input(
            "Gradient evaluations",
            value=gradients,
            step=1000,
            key=f"{key}:gradients",
            placeholder="no limit",
            disabled=not method.get("gradient", True),
        )
        devices = ["auto", *dict.fromkeys(_devices())]
        device = first.selectbox("Device", devices, key=f"{key}:device")
        precision = second.selectbox(
            "Precision",
            ["float32", "bfloat16"],
            key=f"{key}:precision",
            help="bfloat16 runs the network under autocast and is for GPUs.",
        )
        processes = first.number_input(
            "Processes",
            1,
            64,
            int(initial.get("processes", 1)),
            1,
            key=f"{key}:processes",
            help="They share the rows of every batch; on GPUs each has a device of its own.",
        )
        name = second.text_input("Name", initial.get("name", ""), max_chars=120, key=f"{key}:name")
        tags = first.multiselect(
            "Tags",
            initial.get("tags", []),
            initial.get("tags", []),
            accept_new_options=True,
            key=f"{key}:tags",
        )
        notes = st.text_area("Note", initial.get("notes", ""), key=f"{key}:notes")
    return {
        "budget": {name: value for name, value in limits.items() if value is not None},
        "seed": int(seed or 0),
        "device": device if device != "auto" else "",
        "processes": processes if processes > 1 else "",
        "precision": precision if precision != "float32" else "",
        "name": name,
        "tags": list(tags),
        "notes": notes,
    }


def _devices() -> list[str]:
    try:
        return [w["device"] for w in redis_store.workers() if w["alive"] and w["queue"] == "train"]
    except BasinError:
        return []


# ---------------------------------------------------------------------- what it amounts to


def _checked(raw: dict[str, Any]) -> Answer:
    """Return the worker's answer for this draft.

    One that says something else under the fields, which are drawn by now, draws the page anew.
    """
    text = json.dumps(raw, sort_keys=True)
    before: Answer | None = st.session_state.get("launch_answer")
    if before is not None and before.text == text:
        return before
    answer = draft.check(raw, text)
    # In one assignment: a script may be stopped at any of them, and an answer must never
    # stand beside another draft than its own.
    st.session_state["launch_answer"] = answer
    if answer.sentences != (before.sentences if before else ({}, {})):
        st.rerun()
    return answer


def _beside(answer: Answer, catalogue: dict[str, Any]) -> None:
    check = answer.check
    with st.container(key="beside"):
        if check is None:
            st.warning(f"{answer.silence} Nothing typed is lost; it can be launched unchecked.")
            if st.button("Check again", icon=":material/refresh:"):
                st.session_state.pop("launch_answer")
                st.rerun()
        if check is not None and check.data.get("preview"):
            _preview(check.data)
        if check is not None and check.data.get("missing"):
            st.info(check.data["missing"])
        with st.container(key="launch_bar"):
            _bar(answer)
        method_choice.show(answer, catalogue, _begin)
        _yaml(answer)


def _bar(answer: Answer) -> None:
    """Draw what is wrong, what it costs and the button."""
    check = answer.check
    if check is not None and not check.ok:
        lines = [f"- `{item['field'] or 'run'}` {item['message']}" for item in check.problems]
        st.error("\n".join(["**This cannot be launched yet.**", *lines]))
    if check is not None and check.cost:
        st.markdown(_cost(check.cost))
    number = st.session_state.get("launch_seeds", 1)
    subject = _subject(answer)
    st.button(
        "Launch" if number == 1 else f"Launch {number} runs",
        # of this subject alone: a click on its way from an older page is for no button here
        key=f"launch:{':'.join(subject)}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=check is not None and not check.ok,
        shortcut="Ctrl+Enter",
        width="stretch",
        on_click=orders.give,
        args=("launch", Shown(subject, answer.text)),
    )
    _launch_if_ordered(answer, number)


def _subject(answer: Answer) -> tuple[str, ...]:
    """Name what the answer is about."""
    raw = json.loads(answer.text)
    return orders.subject_of(raw["data"], raw["method"], raw["preset"])


def _launch_if_ordered(answer: Answer, number: int) -> None:
    ordered = orders.take("launch", _subject(answer))
    if ordered is None:
        return
    # A draft that nobody could check is launched by who has read so, not by an earlier click.
    if answer.is_ok or (answer.check is None and ordered.text == answer.text):
        _launch(answer, number)


def _preview(data: dict[str, Any]) -> None:
    shape = " × ".join(str(size) for size in data["event_shape"])
    what = f"images of {shape}" if data["is_image"] else f"points of {shape} coordinates"
    about = (
        f"{data['title']}: {count(data['num_train'])} {what} to train on, "
        f"{count(data['num_held_out'])} held out"
    )
    sets = [{"preview": data["preview"], "about": about}]
    live_element("previews", key="data_preview", height=380, sets=sets)
    st.caption(f"{about}.")


def _cost(cost: dict[str, Any]) -> str:
    parts = []
    if cost.get("steps"):
        parts.append(f"**{count(cost['steps'])}** steps")
    if cost.get("gradients"):
        parts.append(f"**{count(cost['gradients'])}** gradients")
    if cost.get("seconds"):
        parts.append(f"about **{duration(cost['seconds'])}** of training")
    line = " · ".join(parts)
    if cost.get("from_runs"):
        low, high = cost["seconds_spread"]
        runs = cost["from_runs"]
        spread = f"{duration(low)} to {duration(high)}, " if duration(low) != duration(high) else ""
        line += f"  \n:gray[{spread}from {runs} earlier run{'s' if runs > 1 else ''} like it]"
    elif cost.get("note"):
        line += f"  \n:gray[{cost['note']}]"
    return line


def _launch(answer: Answer, number: int) -> None:
    try:
        specs = draft.with_seeds(answer.spec(), number)
        ids = enqueue.launch_many(specs, origin="browser")
    except BasinError as error:
        st.error(f"Nothing was launched. {error}")
        return
    if len(ids) == 1:
        st.switch_page("views/run.py", query_params={"id": ids[0]})
    st.switch_page("views/runs.py")


def _yaml(answer: Answer) -> None:
    try:
        text = answer.spec().to_yaml()
    except BasinError:
        text = json.dumps(json.loads(answer.text), indent=2)
    with st.expander("YAML and command"):
        st.code(text, language="yaml")
        st.code("basin run spec.yaml", language="bash")
        st.download_button("Download spec.yaml", text, "spec.yaml", "text/yaml")
        pasted = st.text_area("Paste a spec", placeholder="method: …", key="launch_pasted")
        if st.button("Use it", disabled=not pasted.strip()):
            try:
                source = draft.from_text(pasted)
            except BasinError as error:
                st.error(str(error))
            else:
                _begin(source)
                st.rerun()


main()
