"""Studio page: ask a trained run: sample it, condition, compose, inpaint, detect, and more."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import streamlit as st

from backend.errors import BadInput, NotAvailable
from backend.system import yaml_reader
from dashboard.elements import empty, head, moment
from dashboard.forms import form_fields
from dashboard.forms.form_fields import Form
from dashboard.forms.trained_runs import trained_runs
from dashboard.live_view import live_element
from jobs.formatting import duration
from jobs.models import fingerprints
from jobs.queueing import enqueue, redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory

FIRST = "sample"
"""The ability that is asked first."""
MOST_SEED = 2**31 - 1
MOST_SHOWN = 30
"""Earlier answers listed."""


def main() -> None:
    """Draw the page."""
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        head("Studio")
        empty(f"{error} This page shows what the workers can answer; it looks again when reloaded.")
        return
    runs = trained_runs(catalogue)
    if not runs:
        head("Studio", facts=["Ask a trained run."])
        empty(
            "No run has trained weights yet. The first checkpoint comes a few seconds after a run "
            "starts.",
            "views/launch.py",
            "Launch a run",
        )
        return
    head("Studio", facts=["Ask a trained run. It is left as it is; every answer is kept with it."])
    left, right = st.columns([5, 9], gap="large")
    with left:
        run_id = _choose_run(runs)
        ability = _choose_ability(catalogue)
        about = catalogue["abilities"][ability]
        config, seed = _form(about, ability, run_id, runs)
        pressed = st.button(
            f"Ask for {about['title'].lower()}",
            type="primary",
            icon=":material/question_answer:",
            shortcut="Ctrl+Enter",
            width="stretch",
        )
    with right:
        directory = run_store.open_run(run_id)
        for warning in fingerprints.changes_in_words(fingerprints.read(directory)):
            st.warning(warning)
        if pressed:
            _ask(directory, ability, config, seed)
        _show(directory, ability, about)


# ---------------------------------------------------------------------- what is asked


def _choose_run(runs: dict[str, str]) -> str:
    wanted = st.query_params.get("run", "")
    if wanted and wanted not in runs:
        st.warning(f"Run {wanted} has no trained weights here; this is another one.")
    ids = list(runs)
    run_id = st.selectbox(
        "Run",
        ids,
        index=ids.index(wanted) if wanted in runs else 0,
        format_func=lambda run: runs[run],
        key="studio_run",
    )
    if run_id != wanted:
        st.query_params["run"] = run_id
        st.query_params.pop("answer", None)
    return run_id


def _choose_ability(catalogue: dict[str, Any]) -> str:
    known = catalogue["abilities"]
    names = sorted(known, key=lambda name: (name != FIRST, known[name]["title"]))
    wanted = st.query_params.get("ability", FIRST)
    ability = st.pills(
        "Ask for",
        names,
        default=wanted if wanted in known else names[0],
        required=True,
        format_func=lambda name: known[name]["title"],
        key="studio_ability",
    )
    st.query_params["ability"] = ability
    references = known[ability]["references"]
    st.caption(known[ability]["summary"] + (f" {references}." if references else ""))
    return str(ability)


def _form(
    about: dict[str, Any],
    ability: str,
    run_id: str,
    runs: dict[str, str],
) -> tuple[dict[str, Any], int]:
    """Draw the ability's form; returns the fields that differ from their defaults, and the seed."""
    problems: dict[str, str] = {}
    failed = st.session_state.get("studio_problems")
    if failed and failed[0] == (run_id, ability):
        problems = {f"ask.{problem.field}": problem.message for problem in failed[1]}
    schema = about["schema"]
    form = Form(
        key=f"studio:{ability}",
        problems=problems,
        prefix="ask",
        choices={"ask.runs": {run: name for run, name in runs.items() if run != run_id}},
    )
    initial: dict[str, Any] = {}
    if text := st.query_params.get("config"):
        try:
            initial = dict(json.loads(text))
            yaml_reader.check(initial)
        except (ValueError, TypeError, RecursionError, BadInput):
            initial = {}
            st.warning("The settings in this link cannot be read; these are the defaults.")
    values = form_fields.show(schema, initial, form)
    seed = st.number_input("Seed", 0, MOST_SEED, _seed_of_link())
    changed = form_fields.difference(values, form_fields.defaults(schema, schema))
    fields = {f"ask.{path}" for path in form_fields.fields_of(schema, values)}
    for field, message in problems.items():
        if field not in fields:
            st.error(f"`{field.removeprefix('ask.')}` {message}" if field != "ask." else message)
    return changed, int(seed)


def _seed_of_link() -> int:
    text = st.query_params.get("seed", "")
    return min(int(text), MOST_SEED) if re.fullmatch("[0-9]{1,12}", text) else 0


def _ask(directory: RunDirectory, ability: str, config: dict[str, Any], seed: int) -> None:
    st.session_state.pop("studio_problems", None)
    started = time.monotonic()
    try:
        with st.spinner("Asking the quick worker…", show_time=True):
            answer = enqueue.ask_run(directory.id, ability, config, seed=seed)
    except BadInput as error:
        st.session_state["studio_problems"] = ((directory.id, ability), error.problems)
        st.rerun()
    except NotAvailable as error:
        st.error(f"No answer. {error}")
        return
    st.query_params["answer"] = answer["id"]
    st.query_params["seed"] = str(seed)
    if config:
        st.query_params["config"] = json.dumps(config)
    else:
        st.query_params.pop("config", None)
    st.session_state["studio_took"] = (answer["id"], time.monotonic() - started)


# ---------------------------------------------------------------------- what came back


def _show(directory: RunDirectory, ability: str, about: dict[str, Any]) -> None:
    """Draw the answer a link names, else the newest of its kind."""
    answers = directory.answers()
    wanted = st.query_params.get("answer", "")
    same = [item for item in answers if item["ability"] == ability]
    answer = next((item for item in same if item["id"] == wanted), same[0] if same else None)
    if answer is None:
        title = about["title"].lower()
        empty(f"Nobody has asked this run for {title} yet. {about['summary']}")
        _earlier(directory, answers, {"id": ""})
        return
    took = st.session_state.get("studio_took", ("", 0.0))
    facts = [
        f"seed {answer['seed']}",
        f"step {answer['step']:,}".replace(",", "\u2009"),
        moment(answer["time"]),
        f"took {duration(took[1])}" if took[0] == answer["id"] else "",
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            f'<div class="basin-head"><h1>{answer["title"]}</h1></div>'
            f'<div class="basin-facts">{"".join(f"<span>{fact}</span>" for fact in facts if fact)}'
            "</div>"
        )
        _ways(directory, answer)
    live_element("answer", key="studio_answer", height=420, run=directory.id, answer=answer["id"])
    _earlier(directory, answers, answer)


def _ways(directory: RunDirectory, answer: dict[str, Any]) -> None:
    command = f"basin ask {directory.id} {answer['ability']} --seed {answer['seed']}"
    with st.popover("", icon=":material/more_horiz:", help="Command, settings, files"):
        st.caption("The same from the command line, with the settings that follow as `--set`:")
        st.code(command, language="bash")
        st.json(answer["config"], expanded=False)
        if answer["file"]:
            with st.container(key="studio_file"):
                path = directory.path_of(answer["file"])
                if path.is_file():
                    st.download_button(
                        "Download the arrays",
                        path.read_bytes(),
                        path.name,
                        icon=":material/download:",
                    )


def _earlier(
    directory: RunDirectory, answers: list[dict[str, Any]], current: dict[str, Any]
) -> None:
    others = [item for item in answers if item["id"] != current["id"]]
    if not others:
        return
    with st.expander(f"Earlier answers of this run ({len(others)})"):
        for item in others[:MOST_SHOWN]:
            label = f"{item['title']} · seed {item['seed']} · {moment(item['time'])}"
            link = f"studio?run={directory.id}&ability={item['ability']}&answer={item['id']}"
            st.markdown(f"[{label}]({link})  \n:gray[{_escaped(item['summary'])}]")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]").replace("$", "\\$")


main()
