"""Studio page: ask a trained run: sample it, condition, compose, inpaint, detect, and more."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.errors import BadInput, NotAvailable, Problem
from backend.system import yaml_reader
from dashboard.comparison import trained_runs
from dashboard.elements import empty, head, moment
from dashboard.forms import field_words, form_fields, schemas
from dashboard.forms.form_fields import Form
from dashboard.live_view import live_element
from jobs.formatting import duration
from jobs.models import fingerprints
from jobs.queueing import enqueue, redis_store
from jobs.records import run_store
from jobs.records.documents import is_number
from jobs.records.run_directory import RunDirectory

FIRST = "sample"
"""The ability that is asked first."""
MOST_SEED = 2**31 - 1
MOST_SHOWN = 30
"""Earlier answers listed."""
LABELS = {"num": "How many"}
"""Names of fields that mean something else in a question than in data."""


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
        offers = _offers(run_id, run_store.open_run(run_id).status().checkpoint_step)
        ability = _choose_ability(catalogue, offers)
        about = catalogue["abilities"][ability]
        config, question = _form(about, ability, run_id, runs, offers.get(ability, {}))
    with right, st.container(key="studio_answers"):
        directory = run_store.open_run(run_id)
        for warning in fingerprints.changes_in_words(fingerprints.read(directory)):
            st.warning(warning)
        if question.pressed:
            _ask(directory, ability, config, question.seed)
        _say_refusal(directory, ability)
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
    st.markdown(f":small[[Its samples over a grid of settings](grid?run={run_id})]")
    return run_id


@st.cache_data(max_entries=64, show_spinner="Looking what this run can be asked…")
def _looked_up(run_id: str, step: int | None) -> dict[str, Any]:
    """Ask which abilities fit a run; the answer holds for the weights of one step."""
    return enqueue.offers(run_id)


def _offers(run_id: str, step: int | None) -> dict[str, Any]:
    """Tell which abilities fit a run, and which of their fields; {} where nobody can say."""
    try:
        return dict(_looked_up(run_id, step))
    except (BadInput, NotAvailable):
        return {}


def _choose_ability(catalogue: dict[str, Any], offers: dict[str, Any]) -> str:
    known = catalogue["abilities"]
    refused = {name: item["refused"] for name, item in offers.items() if item["refused"]}
    names = sorted(set(known) - set(refused), key=lambda n: (n != FIRST, known[n]["title"]))
    wanted = st.query_params.get("ability", FIRST)
    if wanted in refused:
        st.warning(f"{known[wanted]['title']}: {refused[wanted]}")
    names = names or sorted(known)
    ability = st.pills(
        "Ask for",
        names,
        default=wanted if wanted in names else names[0],
        required=True,
        format_func=lambda name: known[name]["title"],
        key=f"studio_ability:{','.join(names)}",
    )
    st.query_params["ability"] = ability
    if refused:
        with st.expander(f":gray[{len(refused)} more that this run cannot be asked]"):
            for name in sorted(refused, key=lambda n: str(known[n]["title"])):
                st.markdown(f":gray[**{known[name]['title']}**: {refused[name]}]")
    references = known[ability]["references"]
    st.caption(known[ability]["summary"] + (f" {references}." if references else ""))
    return str(ability)


@dataclass
class Question:
    """Seed of a question, and the press that asks it."""

    seed: int = 0
    pressed: bool = False

    def draw(self, title: str) -> None:
        """Draw the seed and the button, above what is folded."""
        seed, button = st.columns([2, 3], vertical_alignment="bottom")
        with seed:
            self.seed = int(st.number_input("Seed", 0, MOST_SEED, _seed_of_link()))
        with button:
            self.pressed = st.button(
                f"Ask for {title.lower()}",
                type="primary",
                icon=":material/question_answer:",
                shortcut="Ctrl+Enter",
                width="stretch",
            )


def _form(
    about: dict[str, Any],
    ability: str,
    run_id: str,
    runs: dict[str, str],
    offer: dict[str, Any],
) -> tuple[dict[str, Any], Question]:
    """Draw the ability's form; returns the fields that differ from their defaults, and the seed
    with the press of the button."""
    schema, question = _labelled(about["schema"]), Question()
    form = Form(
        key=f"studio:{ability}",
        problems={f"ask.{p.field}": p.message for p in _problems(run_id, ability)},
        prefix="ask",
        choices={"ask.runs": {run: name for run, name in runs.items() if run != run_id}},
        idle={f"ask.{name}": reason for name, reason in offer.get("idle", {}).items()},
        between=lambda: question.draw(about["title"]),
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
    return form_fields.difference(values, schemas.defaults(schema, schema)), question


def _labelled(schema: dict[str, Any]) -> dict[str, Any]:
    """Copy a schema with the names its fields have in a question."""
    fields = {
        name: {**part, "label": LABELS[name]} if name in LABELS else part
        for name, part in schema["properties"].items()
    }
    return {**schema, "properties": fields}


def _problems(run_id: str, ability: str) -> list[Problem]:
    failed = st.session_state.get("studio_problems")
    return failed[1] if failed and failed[0] == (run_id, ability) else []


def _say_refusal(directory: RunDirectory, ability: str) -> None:
    """Say above the answer what was wrong with the question; the field says it too."""
    sentences = []
    for problem in _problems(directory.id, ability):
        last = problem.field.rpartition(".")[2]
        name = LABELS.get(last) or (field_words.field(last) if last else "")
        sentences.append(f"**{name}** {problem.message}" if name else problem.message)
    if sentences:
        st.error("Not asked. " + "  \n".join(sentences), icon=":material/block:")


def _seed_of_link() -> int:
    text = st.query_params.get("seed", "")
    return min(int(text), MOST_SEED) if re.fullmatch("[0-9]{1,12}", text) else 0


def _ask(directory: RunDirectory, ability: str, config: dict[str, Any], seed: int) -> None:
    st.session_state.pop("studio_problems", None)
    started = time.time()
    place = st.empty()
    try:
        answer = enqueue.ask_run(
            directory.id, ability, config, seed=seed, waiting=_progress(place, directory, ability)
        )
    except BadInput as error:
        st.session_state["studio_problems"] = ((directory.id, ability), error.problems)
        st.rerun()
    except NotAvailable as error:
        st.error(f"No answer. {error}")
        return
    finally:
        place.empty()
    st.query_params["answer"] = answer["id"]
    st.query_params["seed"] = str(seed)
    if config:
        st.query_params["config"] = json.dumps(config)
    else:
        st.query_params.pop("config", None)
    st.session_state["studio_kept"] = answer["id"] if answer["time"] < started else ""


def _progress(
    place: DeltaGenerator, directory: RunDirectory, ability: str
) -> Callable[[float], None]:
    """Return what is called while one waits: a bar beside the last time such a question took, and
    a way to cancel. A click runs the page anew, which ends the wait and with it the work."""
    same = (item for item in directory.answers() if item["ability"] == ability)
    last: float | None = next((a["took"] for a in same if is_number(a.get("took"))), None)
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.empty()
        st.button("Cancel", icon=":material/close:")

    def wait(seconds: float) -> None:
        if last is None:
            words, share = f"Asking the quick worker… {duration(seconds)}", 0.0
        else:
            words = f"Asking… {duration(seconds)}; the last such answer took {duration(last)}"
            share = min(seconds / max(last, 1.0), 0.95)
        bar.progress(share, words)

    return wait


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
    facts = [
        f"seed {answer['seed']}",
        f"step {answer['step']:,}".replace(",", "\u2009"),
        moment(answer["time"]),
        f"took {duration(answer['took'])}" if is_number(answer.get("took")) else "",
        "asked before: this is what was kept"
        if st.session_state.get("studio_kept") == answer["id"]
        else "",
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
