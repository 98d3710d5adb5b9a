"""Launch page: choose data, method and settings; see what they amount to; launch."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from backend.errors import BasinError, NotAvailable
from dashboard.elements import code, empty, head
from dashboard.forms import (
    cost_lines,
    data_chooser,
    draft,
    field_words,
    first_sentences,
    form_fields,
    method_choice,
    method_fields,
    orders,
    run_fields,
    sweep,
)
from dashboard.forms.draft import Answer, Source
from dashboard.forms.form_fields import Form
from dashboard.forms.orders import Shown
from dashboard.forms.schemas import Values
from dashboard.live_view import live_element
from dashboard.security import access
from jobs.queueing import enqueue, redis_store

PREVIEW = 250
"""Pixels of the preview's side."""


def main() -> None:
    """Draw the page."""
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        head("Launch")
        empty(f"{error} This page shows what the workers can run; it looks again when reloaded.")
        return
    source = _source(catalogue)
    left, right = st.columns([7, 3], gap="large")
    with left:
        with st.container(horizontal=True, vertical_alignment="center", key="launch_head"):
            taken = f"with the settings of {source.title}" if source.title else ""
            head("Launch", facts=[taken, *source.notes] if taken else None)
            purpose = _purpose(source, catalogue)
        raw = _form(source, purpose, catalogue)
    answer = _checked(raw, source)
    with right:
        _beside(answer, raw, catalogue)


# ---------------------------------------------------------------------- where it begins


def _source(catalogue: dict[str, Any]) -> Source:
    """Return the draft this page began with; a new link or a pasted file begins another."""
    query = {key: st.query_params[key] for key in draft.LINKED if key in st.query_params}
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
    for name in ("launch_answer", "launch_data", "launch_path"):
        st.session_state.pop(name, None)


# ---------------------------------------------------------------------- the form


def _form(source: Source, purpose: str, catalogue: dict[str, Any]) -> dict[str, Any]:
    version = st.session_state["launch_version"]
    initial = source.values
    problems, derived = _sentences(source)
    names = {*method_fields.data_for(purpose, catalogue)}
    if purpose == method_fields.purpose_of(catalogue["methods"][initial["method"]]):
        names.add(initial["data"].get("name"))
    data = data_chooser.choose(initial, catalogue, problems, version, names=names)
    method_id, preset = method_fields.choose(source, data, purpose, catalogue, version)
    method = catalogue["methods"][method_id]
    values = draft.preset_values(method, preset)
    if (method_id, preset) == (initial["method"], initial.get("preset", "default")):
        values = _merged(values, initial.get("config", {}))
    form = Form(
        key=f"launch{version}:{method_id}:{preset}",
        problems=problems,
        derived=derived,
        columns=4,
        several=True,
    )
    config = form_fields.show(method["schema"], values, form)
    choices = run_fields.show(initial, method, preset, data, problems, version)
    choices = {"method": method_id, "preset": preset, **choices}
    return draft.raw_spec(choices, data, config, catalogue)


def _purpose(source: Source, catalogue: dict[str, Any]) -> str:
    """Draw what one wants to do, as far as there are methods for it."""
    methods = catalogue["methods"]
    known = {method_fields.purpose_of(item) for item in methods.values()}
    purposes = [name for name in method_fields.PURPOSES if name in known]
    purpose = st.segmented_control(
        "What for",
        purposes,
        default=method_fields.purpose_of(methods[source.values["method"]]),
        required=True,
        format_func=lambda name: method_fields.PURPOSES[name],
        key=f"launch{st.session_state['launch_version']}:purpose",
        label_visibility="collapsed",
        width="content",
    )
    apart = [item for item in catalogue["datasets"].values() if item.get("for_samplers")]
    if apart and purpose == "learn":
        st.caption(f"{len(apart)} sets have nothing to learn: *{method_fields.PURPOSES['sample']}*")
    return str(purpose)


def _merged(base: Values, over: Values) -> Values:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        same = isinstance(old, dict) and isinstance(value, dict)
        if same and value.get("kind", old.get("kind")) == old.get("kind"):  # type: ignore[union-attr]
            value = _merged(old, value)  # type: ignore[arg-type]
        merged[name] = value
    return merged


# ---------------------------------------------------------------------- what it amounts to


def _sentences(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """Return what to write under the fields before the worker's answer on this draft is there."""
    answer: Answer | None = st.session_state.get("launch_answer")
    if answer is not None:
        return answer.sentences
    problems, derived = first_sentences.recall(source.values, ({}, {}))
    return problems, derived


def _checked(raw: dict[str, Any], source: Source) -> Answer:
    """Return the worker's answer for this draft.

    One that says something else under the fields, which are drawn by now, draws the page anew.
    """
    text = draft.text_of(raw)
    before: Answer | None = st.session_state.get("launch_answer")
    if before is not None and before.text == text:
        return before
    known: dict[str, Answer] = st.session_state.get("launch_probes", {})
    with st.spinner("Checking…", show_time=False):
        probes = draft.check_all(raw, known)
    answer = draft.joined(raw, probes)
    previous = _sentences(source)
    if before is None:
        first_sentences.remember(source.values, answer.sentences)
    # In one assignment: a script may be stopped at any of them, and an answer must never
    # stand beside another draft than its own.
    st.session_state["launch_answer"] = answer
    st.session_state["launch_probes"] = {probe.text: probe for probe in probes}
    if answer.sentences != previous:
        st.rerun()
    return answer


def _beside(answer: Answer, raw: dict[str, Any], catalogue: dict[str, Any]) -> None:
    check = answer.check
    with st.container(key="beside"):
        if check is not None and check.data.get("preview"):
            _preview(check.data)
        if check is not None and check.data.get("missing"):
            st.info(check.data["missing"])
        with st.container(key="launch_bar"):
            _bar(answer, raw)
        method_choice.show(answer, catalogue, _begin)
        _yaml(answer)


def _bar(answer: Answer, raw: dict[str, Any]) -> None:
    """Draw what it costs, the button, and what is wrong."""
    check, number = answer.check, sweep.number_of(raw)
    if check is None:
        st.warning(f"{answer.silence} Nothing typed is lost; it can be launched unchecked.")
        st.button("Check again", icon=":material/refresh:", on_click=_forget)
    elif check.cost:
        rows = cost_lines.lines(check.cost, sweep.in_words(raw), number, cost_lines.wait_now())
        cost_lines.show(rows, cost_lines.basis(check.cost))
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
    if check is not None and not check.ok:
        lines = [_problem(item["field"], item["message"]) for item in check.problems]
        st.error("\n".join(["**This cannot be launched yet.**", *lines]))
    _launch_if_ordered(answer, raw)


def _forget() -> None:
    """Have the draft checked again."""
    st.session_state.pop("launch_answer", None)


def _problem(field: str, message: str) -> str:
    """Write a line of what is wrong, with a link to the field."""
    name = field_words.field(field.removesuffix(".kind").rpartition(".")[2]) if field else "Run"
    return f"- [{name}](#{form_fields.anchor(field)}) {message}"


def _subject(answer: Answer) -> tuple[str, ...]:
    """Name what the answer is about."""
    raw = json.loads(answer.text)
    return orders.subject_of(raw["data"], raw["method"], raw["preset"])


def _launch_if_ordered(answer: Answer, raw: dict[str, Any]) -> None:
    ordered = orders.take("launch", _subject(answer))
    if ordered is None:
        return
    # A draft that nobody could check is launched by who has read so, not by an earlier click.
    if answer.is_ok or (answer.check is None and ordered.text == answer.text):
        _launch(answer, raw)


def _preview(data: dict[str, Any]) -> None:
    about = data_chooser.facts_of(data)
    walk = data.get("walk", [])
    columns = data.get("columns", [])
    sets = [{"preview": data["preview"], "about": about, "columns": columns, "walk": walk}]
    live_element("previews", key="data_preview", height=PREVIEW, sets=sets, side=PREVIEW)
    steps = (
        [
            f"The path: {len(walk) - 1} steps of this sampler on the law of these data, to scale; "
            "the ring is one of them."
        ]
        if walk
        else []
    )
    st.caption(" ".join([f"{about}.", *data.get("notes", []), *steps]))


def _launch(answer: Answer, raw: dict[str, Any]) -> None:
    try:
        ids = enqueue.launch_many(
            draft.specs_of(answer, raw), origin="browser", by=access.identity()
        )
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
        code(text)
        code("basin run spec.yaml")
        st.download_button("Download spec.yaml", text, "spec.yaml", "text/yaml")
        pasted = st.text_area("Paste a spec", placeholder="method: …", key="launch_pasted")
        if st.button("Use it"):
            try:
                source = draft.from_text(pasted, redis_store.catalogue())
            except BasinError as error:
                st.error(str(error))
            else:
                _begin(source)
                st.rerun()


main()
