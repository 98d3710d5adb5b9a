"""Race form: target, racers, shared settings, what the race amounts to, launch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from backend.errors import BasinError
from backend.spec import Budget
from dashboard import comparison
from dashboard.comparison import trained_runs
from dashboard.elements import figure, head
from dashboard.forms import data_chooser, draft, form_fields, schemas
from dashboard.forms.form_fields import Form
from dashboard.sampler_lab import race_check, race_options
from dashboard.sampler_lab.race_check import SAMPLER, Checked
from dashboard.sampler_lab.race_options import Entry
from jobs import races
from jobs.races import COSTS, Race
from jobs.records import run_store

DENSITY, TRAINED = "A known density", "A trained run"


def show_form(catalogue: dict[str, Any]) -> None:
    """Draw the form; a launch leads to the race."""
    initial = _initial_race(catalogue)
    head(
        "Race samplers",
        facts=["One target, equal budget: which sampler is right first, and which is never right?"],
    )
    checked: Checked = st.session_state.get("lab_checked") or race_check.first(initial)
    left, right = st.columns([3, 1], gap="large")
    with left:
        race = _fields(initial, catalogue, checked)
    with right, st.container(key="beside"):
        checked = race_check.check(race, initial)
        race_check.beside(race, checked, catalogue)


def _initial_race(catalogue: dict[str, Any]) -> Race:
    """Return the race the form begins with: that of the runs a link names, or the first example."""
    link = st.query_params.get("from", "")
    if st.session_state.get("lab_link") != link or "lab_given" not in st.session_state:
        name = next(iter(race_options.targets(catalogue)), race_options.FIRST_TARGET)
        name = (
            race_options.FIRST_TARGET
            if race_options.FIRST_TARGET in catalogue["datasets"]
            else name
        )
        race = Race({"name": name}, (), Budget(**race_options.FIRST_BUDGET))
        if link:
            try:
                members, _ = comparison.load(link.split(","))
                race = races.race_of([member.directory.spec() for member in members])
            except BasinError as error:
                st.warning(f"{error} The form starts from the first example instead.")
        st.session_state["lab_link"] = link
        st.session_state["lab_given"] = race
        st.session_state["lab_version"] = st.session_state.get("lab_version", 0) + 1
        for name in ("lab_data", "lab_entries", "lab_checked"):
            st.session_state.pop(name, None)
    initial: Race = st.session_state["lab_given"]
    return initial


# ---------------------------------------------------------------------- fields


def _fields(initial: Race, catalogue: dict[str, Any], checked: Checked) -> Race:
    version = st.session_state["lab_version"]
    st.header("Target", anchor=False)
    data, energy_of = _target(initial, catalogue, checked.shared, version)
    target = {} if energy_of else catalogue["datasets"].get(data.get("name"), {})
    st.header("Terms", anchor=False)
    terms = _terms(initial, catalogue, checked.shared, version)
    st.header("Samplers", anchor=False)
    entries = _racers(initial, target, bool(energy_of), catalogue, checked)
    racers = tuple(race_options.as_racer(catalogue, entry) for entry in entries)
    return replace(terms, data=data, energy_of=energy_of, racers=racers)


def _target(
    initial: Race, catalogue: dict[str, Any], problems: dict[str, str], version: int
) -> tuple[dict[str, Any], str]:
    """Draw the target; returns `data` and `energy_of` of the race."""
    trained = trained_runs(catalogue)
    kind: str | None = DENSITY
    if trained or initial.energy_of:
        kind = st.segmented_control(
            "Target",
            [DENSITY, TRAINED],
            default=TRAINED if initial.energy_of else DENSITY,
            required=True,
            key=f"lab{version}:target",
            label_visibility="collapsed",
        )
    if kind == TRAINED:
        ids = list(dict.fromkeys([*([initial.energy_of] if initial.energy_of else []), *trained]))
        choice = st.selectbox(
            "Run",
            ids,
            format_func=lambda run: trained.get(run, run),
            key=f"lab{version}:run",
            help="Its energy, as training left it, is what the samplers sample.",
        )
        try:
            return dict(run_store.open_run(choice).spec().data), choice
        except BasinError as error:
            st.error(str(error))
            return dict(initial.data), choice
    values = data_chooser.choose(
        {"data": initial.data},
        catalogue,
        problems,
        version,
        "lab",
        race_options.targets(catalogue),
    )
    schema = catalogue["datasets"][values["name"]]["schema"]
    own = {key: value for key, value in values.items() if key != "name"}
    own = form_fields.difference(own, schemas.defaults(schema, schema))
    return {"name": values["name"], **own}, ""


def _racers(
    initial: Race,
    target: dict[str, Any],
    trained: bool,
    catalogue: dict[str, Any],
    checked: Checked,
) -> list[Entry]:
    """Draw every sampler that fits, those that race with their settings."""
    samplers = catalogue["samplers"]
    order = {
        kind: place
        for place, kind in enumerate((*race_options.FIRST_RACERS, *race_options.FIRST_DISCRETE))
    }
    kinds = sorted(
        samplers, key=lambda kind: (order.get(kind, len(order)), samplers[kind]["title"])
    )
    why_not = {kind: race_options.misfit(samplers[kind], target, trained=trained) for kind in kinds}
    fitting = [kind for kind in kinds if not why_not[kind]]
    entries: list[Entry] | None = st.session_state.get("lab_entries")
    if entries is None:
        entries = [
            race_options.entry(catalogue, racer["kind"], racer)
            for racer in initial.racers
            if racer["kind"] in samplers
        ]
    if not any(entry.kind in fitting for entry in entries):
        entries = race_options.first_entries(catalogue, fitting, bool(target.get("discrete")))
    st.session_state["lab_entries"] = entries
    racing = [entry for kind in fitting for entry in entries if entry.kind == kind]
    with st.container(key="lab_samplers"):
        for kind in fitting:
            with st.container(key=f"lab_sampler_{kind}"):
                _sampler(kind, racing, catalogue, checked)
    others = [kind for kind in kinds if why_not[kind]]
    if others:
        with st.expander(f"Not for this target: {len(others)}"):
            lines = [f"- **{samplers[kind]['title']}** {why_not[kind]}" for kind in others]
            st.markdown("\n".join(lines))
    return racing


def _sampler(kind: str, racing: list[Entry], catalogue: dict[str, Any], checked: Checked) -> None:
    """Draw one sampler of the list: its switch, a word on its draws, its settings."""
    item = catalogue["samplers"][kind]
    own = [entry for entry in racing if entry.kind == kind]
    mark = ":green[exact]" if item["exact"] else ":orange[biased]"
    # as many boxes as states: one that is told its state loses a click on its way
    key = f"lab{st.session_state['lab_version']}:{kind}:{bool(own)}"
    label = f"**{item['title']}** &nbsp;{mark}"
    st.checkbox(label, bool(own), key=key, on_change=_switch, args=(key, kind, catalogue))
    words = item["summary"] if item["exact"] else f"{item['summary']} Biased: {item['bias']}"
    st.caption(words)
    for entry in own:
        _settings(entry, racing, catalogue, checked)


def _settings(
    entry: Entry, racing: list[Entry], catalogue: dict[str, Any], checked: Checked
) -> None:
    index = racing.index(entry)
    problems = checked.problems(index)
    schema = race_options.sampler_schema(catalogue, entry.kind)
    leaves = [
        part
        for part in form_fields.parts(schema, entry.values, schema)
        if isinstance(part, form_fields.Leaf) and part.is_main
    ]
    line = ", ".join(
        f"{leaf.label.partition(' (')[0].lower()} {_shown(leaf.value)}" for leaf in leaves[:3]
    )
    wrong = any(name.startswith(SAMPLER) for name in problems)
    with st.expander(f":gray[{line or 'settings'}]", expanded=wrong):
        form = Form(
            key=f"lab{st.session_state['lab_version']}:{entry.key}",
            problems=problems,
            derived=checked.derived(index),
            prefix=SAMPLER,
        )
        entry.values = {**form_fields.show(schema, entry.values, form), "kind": entry.kind}
        several = sum(other.kind == entry.kind for other in racing) > 1
        with st.container(horizontal=True):
            st.button(
                "Race it twice",
                icon=":material/content_copy:",
                key=f"{form.key}:again",
                help="Another racer of the kind, with settings of its own",
                disabled=len(racing) >= race_options.MOST_RACERS,
                on_click=_copy,
                args=(entry, catalogue),
            )
            if several:
                st.button(
                    "Remove",
                    icon=":material/close:",
                    key=f"{form.key}:out",
                    on_click=_remove,
                    args=(entry,),
                )
    whole = problems.get(SAMPLER) or problems.get(f"{SAMPLER}.kind")
    if whole:
        st.markdown(f":red[{whole}]")


# Acts are callbacks, done before anything is drawn: what is typed or pressed meanwhile stops the
# script anywhere, and a press that its body has not come to by then would be lost.


def _switch(key: str, kind: str, catalogue: dict[str, Any]) -> None:
    """Let a sampler race with its defaults, or race no more, as its box says."""
    entries: list[Entry] = st.session_state["lab_entries"]
    others = [entry for entry in entries if entry.kind != kind]
    own = [race_options.entry(catalogue, kind)] if st.session_state[key] else []
    st.session_state["lab_entries"] = [*others, *own]


def _copy(entry: Entry, catalogue: dict[str, Any]) -> None:
    """Add a racer like another, after it."""
    entries: list[Entry] = st.session_state["lab_entries"]
    copy = race_options.entry(catalogue, entry.kind, entry.values)
    st.session_state["lab_entries"] = [
        each for other in entries for each in ([other, copy] if other is entry else [other])
    ]


def _remove(entry: Entry) -> None:
    """Take one racer out; others of its kind stay."""
    entries: list[Entry] = st.session_state["lab_entries"]
    st.session_state["lab_entries"] = [other for other in entries if other is not entry]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return figure(float(value)) if isinstance(value, (int, float)) else str(value)


def _terms(
    initial: Race, catalogue: dict[str, Any], problems: dict[str, str], version: int
) -> Race:
    """Draw what all racers share; the rest of the race stays."""
    schema = race_options.race_schema(catalogue)
    shared = dict(initial.shared or {})
    cost = next((name for name in COSTS if getattr(initial.budget, name)), "gradients")
    boxes = st.container(key="lab_terms")
    first, second, third, fourth, fifth, sixth = (boxes.container() for _ in range(6))
    with first:
        amount = st.number_input(
            "Budget of each",
            value=float(getattr(initial.budget, cost) or 0) or None,
            format="%g",
            key=f"lab{version}:amount",
            help="Spent by every racer alike.",
        )
    with second:
        cost = st.selectbox(
            "Counted in",
            COSTS,
            COSTS.index(cost),
            key=f"lab{version}:cost",
            help="Gradient evaluations of a chain cost every sampler the same on any machine.",
        )
    with third:
        shared["num_chains"] = _number("num_chains", "Chains", schema, shared, version)
    with fourth:
        starts = schema["chains"].get("enum", ["noise", "data"])
        start = shared.get("chains", schema["chains"].get("default", "noise"))
        words = {"noise": "Noise", "data": "The data", "one_mode": "All in one mode"}
        shared["chains"] = st.selectbox(
            "Start",
            starts,
            starts.index(start) if start in starts else 0,
            format_func=lambda name: words.get(name, name),
            key=f"lab{version}:start",
            help=schema["chains"].get("description"),
        )
    with fifth:
        seed = st.number_input("Seed", value=initial.seed, step=1, key=f"lab{version}:seed")
    with sixth:
        seeds = st.number_input(
            "Seeds",
            1,
            draft.MOST_SEEDS,
            initial.num_seeds,
            key=f"lab{version}:seeds",
            help="A run each racer and seed; the curves show the median and the range.",
        )
    rest = [name for name in ("num_warm_up", "stop_at_error", "stop_at_ess") if name in schema]
    if rest:
        with st.expander("**Warm-up and early end** &nbsp; :gray[for all racers]"):
            for name, column in zip(rest, st.columns(len(rest)), strict=True):
                with column:
                    label = name.removeprefix("num_").replace("_", " ").capitalize()
                    shared[name] = _number(name, label, schema, shared, version)
    _say(problems)
    whole = cost != "seconds" and cost != "joules"
    limit = None if amount is None else round(amount) if whole else float(amount)
    unchanged = {
        name: value
        for name, value in shared.items()
        if value is not None and value != schema.get(name, {}).get("default")
    }
    budget = Budget()
    setattr(budget, cost, limit)  # not validated: the worker's check says what is wrong with it
    return replace(
        initial, budget=budget, shared=unchanged, seed=int(seed or 0), num_seeds=int(seeds)
    )


def _number(
    name: str, label: str, schema: dict[str, Any], shared: dict[str, Any], version: int
) -> float | int | None:
    part = schema[name]
    value = shared.get(name, part.get("default"))
    whole = part.get("type") == "integer"
    typed: float | int | None = st.number_input(
        label,
        value=int(value) if whole else float(value),
        step=1 if whole else None,
        format=None if whole else "%g",
        key=f"lab{version}:{name}",
        help=part.get("description"),
    )
    return typed


def _say(problems: dict[str, str]) -> None:
    for name, words in problems.items():
        if not name.startswith("data."):
            field = name.rpartition(".")[2] or "race"
            st.markdown(f":red[`{field}` {words}]")
