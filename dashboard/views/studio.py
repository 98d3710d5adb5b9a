"""Studio page: ask a trained run: sample it, condition, compose, inpaint, detect, and more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.errors import BadInput, NotAvailable, Problem
from dashboard.comparison import trained_runs
from dashboard.elements import empty, head, moment
from dashboard.forms import field_words, form_fields, schemas
from dashboard.forms.form_fields import Form
from dashboard.forms.schemas import Values
from dashboard.live_view import live_element
from dashboard.security import viewers
from dashboard.studio import keeping, own_positions, picker, question, sweeps
from dashboard.studio.question import Given
from jobs.formatting import duration
from jobs.models import fingerprints
from jobs.models.standing_answers import standing
from jobs.queueing import enqueue, redis_store
from jobs.records import run_store
from jobs.records.documents import is_number
from jobs.records.run_directory import RunDirectory
from jobs.records.sample_sets import Request

FIRST = "sample"
"""The ability that is asked first where nobody can say which fit."""
MOST_SHOWN = 30
"""Earlier answers listed."""
Refused = dict[str, str]
"""Why a run cannot be asked, by ability."""
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
    abilities = st.container(key="studio_abilities")
    left, right = st.columns([9, 4], gap="large")
    with right, st.container(key="studio_form"):
        run_id = _choose_run(runs)
        directory = run_store.open_run(run_id)
        offers = _offers(run_id, directory.status().checkpoint_step)
        with abilities:
            ability, refused = _choose_ability(catalogue, offers)
        if FIRST not in refused:
            st.markdown(f":small[[Its samples over a grid of settings](grid?run={run_id})]")
        about = catalogue["abilities"][ability]
        _note_seen([run_id])
        answers = directory.answers()
        present = _answer_shown(answers, ability)
        start = question.given(run_id, ability, about["schema"], present)
        asking = Asking(start)
        config = _form(about, asking, runs, offers.get(ability, {}))
        _note_seen(config.get("runs", []))
        own_positions.draw(about["schema"], start, config, asking.seed)
        held_out = picker.held_out(directory, about, offers)
        _about(about)
        _say_refused(catalogue, refused)
        _earlier(directory, answers, present)
    with left, st.container(key="studio_answers"):
        for warning in fingerprints.changes_in_words(fingerprints.read(directory)):
            st.warning(warning)
        picker.draw(
            directory, _labelled(about["schema"]), asking.start, config, asking.seed, held_out
        )
        if asking.pressed:
            _ask(directory, ability, config, asking.seed)
            present = _answer_shown(directory.answers(), ability)
        _say_refusal(directory, ability)
        _show(directory, about, present, asking.start, offers.get(ability, {}))


def _note_seen(runs: list[str]) -> None:
    """Note that the viewer sees these runs by name: blind votes on them do not count then."""
    viewers.sightings.note(viewers.viewer_of(st.context.cookies), runs)


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


def _choose_ability(catalogue: dict[str, Any], offers: dict[str, Any]) -> tuple[str, Refused]:
    """Draw what this run can be asked; returns the choice, and what it cannot be asked."""
    known = catalogue["abilities"]
    refused = {name: item["refused"] for name, item in offers.items() if item["refused"]}
    names = sorted(set(known) - set(refused), key=lambda n: (known[n]["order"], known[n]["title"]))
    wanted = st.query_params.get("ability", "" if offers else FIRST)
    if "ability" in st.query_params and wanted in refused:
        st.warning(f"{known[wanted]['title']}: {refused[wanted]}")
    names = names or sorted(known)
    ability = st.pills(
        "Ask for",
        names,
        default=wanted if wanted in names else names[0],
        required=True,
        format_func=lambda name: known[name]["title"],
        key=f"studio_ability:{','.join(names)}",
        label_visibility="collapsed",
    )
    if ability != st.query_params.get("ability"):
        for name in ("answer", "config", "seed") if "ability" in st.query_params else ():
            st.query_params.pop(name, None)
        st.query_params["ability"] = ability
    return str(ability), refused


def _say_refused(catalogue: dict[str, Any], refused: Refused) -> None:
    known = catalogue["abilities"]
    if refused:
        with st.expander(f":gray[{len(refused)} more that this run cannot be asked]"):
            for name in sorted(refused, key=lambda n: str(known[n]["title"])):
                st.markdown(f":gray[**{known[name]['title']}**: {refused[name]}]")


def _about(about: dict[str, Any]) -> None:
    references = about["references"]
    st.caption(about["summary"] + (f" {references}." if references else ""))


@dataclass
class Asking:
    """Question that is being put: where it starts, its seed, and the press that asks it."""

    start: Given
    seed: int = 0
    pressed: bool = False

    def draw(self) -> None:
        """Draw the seed and the button, above what is folded."""
        seed, button = st.columns([2, 3], vertical_alignment="bottom")
        with seed:
            self.seed = int(
                st.number_input(
                    "Seed",
                    0,
                    question.MOST_SEED,
                    self.start.seed,
                    key=f"studio_seed:{self.start.of}:{self.start.turn}",
                )
            )
        with button:
            self.pressed = st.button(
                "Ask",
                type="primary",
                icon=":material/question_answer:",
                shortcut="Ctrl+Enter",
                width="stretch",
            )
        if self.start.is_asked:  # by the pointer, and only once
            self.start.is_asked, self.pressed = False, True


def _form(
    about: dict[str, Any], asking: Asking, runs: dict[str, str], offer: dict[str, Any]
) -> Values:
    """Draw the ability's form; returns the fields that differ from their defaults."""
    schema = _labelled(about["schema"])
    run_id, ability = asking.start.of
    form = Form(
        key=f"studio:{ability}:{asking.start.turn}",
        problems={f"ask.{p.field}": p.message for p in _problems(run_id, ability)},
        prefix="ask",
        choices={"ask.runs": {run: name for run, name in runs.items() if run != run_id}},
        idle={f"ask.{name}": reason for name, reason in offer.get("idle", {}).items()},
        between=asking.draw,
    )
    values = form_fields.show(schema, asking.start.config, form)
    return form_fields.difference(values, schemas.defaults(schema, schema))


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
    question.keep_in_link(config, seed, answer["id"])
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


def _answer_shown(answers: list[dict[str, Any]], ability: str) -> dict[str, Any] | None:
    """Return the answer that the link names, else the newest of its kind."""
    wanted = st.query_params.get("answer", "")
    same = [item for item in answers if item["ability"] == ability]
    return next((item for item in same if item["id"] == wanted), same[0] if same else None)


def _show(
    directory: RunDirectory,
    about: dict[str, Any],
    answer: dict[str, Any] | None,
    start: Given,
    offer: dict[str, Any],
) -> None:
    """Draw an answer with its sliders, or what is missing."""
    schema = _labelled(about["schema"])
    if answer is None:
        empty(f"Nobody has asked this run for {about['title'].lower()} yet. {about['summary']}")
        return
    base = schemas.defaults(schema, schema)
    requests = keeping.requests_of(
        directory, answer, form_fields.difference(answer["config"], base)
    )
    keeping.say_refusal()
    live_element(
        "studio/answer",
        key="studio_answer",
        height=420,
        run=directory.id,
        answer=answer["id"],
        keeps=bool(requests),
        sets=keeping.sets_of(requests),
        before=st.session_state.get("studio_kept", ""),
        defaults=base,
        pointed=picker.by_hand(schema),
        sweeps=sweeps.sweeps_of(schema, answer, standing(directory), offer.get("idle", {})),
        on_act_change=lambda: _take(schema, start, answer, requests),
    )


def _take(
    schema: dict[str, Any], start: Given, answer: dict[str, Any], requests: list[Request]
) -> None:
    """Ask the question of an answer with another value of one field, from its slider, or of
    those that a hand gave on a picture; or follow the slider to an answer that it shows already, or
    keep its samples."""
    act = st.session_state["studio_answer"].act or {}
    if act.get("keep") == answer["id"]:
        keeping.keep(requests)
        return
    base = schemas.defaults(schema, schema)
    if follows := act.get("shows"):
        known = run_store.open_run(start.of[0]).answers()
        followed = next((item for item in known if item["id"] == follows), None)
        if followed is not None:
            config = form_fields.difference(followed["config"], base)
            question.keep_in_link(config, int(followed["seed"]), followed["id"])
            question.give(start, config, int(followed["seed"]), ask=False)
    elif act.get("answer") == answer["id"]:
        changed = {act.get("field"): act.get("value")} if "field" in act else act.get("fields", {})
        known_fields = {k: v for k, v in dict(changed).items() if k in schema["properties"]}
        if not known_fields:
            return
        config = {**answer["config"], **known_fields}
        question.give(start, form_fields.difference(config, base), int(answer["seed"]), ask=True)


def _earlier(
    directory: RunDirectory, answers: list[dict[str, Any]], current: dict[str, Any] | None
) -> None:
    others = [item for item in answers if current is None or item["id"] != current["id"]]
    if not others:
        return
    with st.expander(f"Asked before ({len(others)})"):
        for item in others[:MOST_SHOWN]:
            label = f"{item['title']} · seed {item['seed']} · {moment(item['time'])}"
            link = f"studio?run={directory.id}&ability={item['ability']}&answer={item['id']}"
            st.markdown(f"[{label}]({link})  \n:gray[{_escaped(item['summary'])}]")


def _escaped(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]").replace("$", "\\$")


main()
