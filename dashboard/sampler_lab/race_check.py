"""Race check: the worker's answer on each racer, the race's cost, and its launch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import streamlit as st

from backend.errors import BasinError
from dashboard import comparison
from dashboard.elements import code
from dashboard.forms import cost_lines, draft, first_sentences, orders
from dashboard.forms.draft import Answer
from dashboard.forms.orders import Shown
from dashboard.live_view import live_element
from dashboard.sampler_lab import race_options
from dashboard.security import access
from jobs import races
from jobs.formatting import duration
from jobs.queueing import enqueue
from jobs.queueing.enqueue import Check
from jobs.races import COSTS, Race

SAMPLER = "config.sampler"
"""Where the fields of a racer's own sampler lie."""


@dataclass(frozen=True)
class Checked:
    """Answers of the worker about a race, racer by racer."""

    answers: list[Answer]
    first: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    """sentences of a race that began like this one, before there is an answer"""

    @property
    def sentences(self) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Problems and what settings amount to of every racer, by field."""
        return [answer.sentences for answer in self.answers] or self.first

    def problems(self, index: int) -> dict[str, str]:
        """Return sentences by field of one racer, by its sampler's own fields."""
        return self.sentences[index][0] if index < len(self.sentences) else {}

    def derived(self, index: int) -> dict[str, str]:
        """Return what one racer's settings amount to, by field."""
        return self.sentences[index][1] if index < len(self.sentences) else {}

    @property
    def shared(self) -> dict[str, str]:
        """Return sentences by field of what all racers share, beyond their samplers."""
        sentences: dict[str, str] = {}
        for index in range(len(self.sentences)):
            sentences |= {
                name: words
                for name, words in self.problems(index).items()
                if not name.startswith(SAMPLER)
            }
        return sentences


def first(initial: Race) -> Checked:
    """Return what is known of a race that has just been begun: sentences of one that began so."""
    return Checked([], first_sentences.recall(asdict(initial), []))


def check(race: Race, initial: Race) -> Checked:
    """Ask the worker about every racer; only what has changed is asked again.

    Answers that say something else under the fields, which are drawn by now, draw the page anew.
    """
    held: dict[str, Answer] = st.session_state.setdefault("lab_answers", {})
    texts = [json.dumps(raw, sort_keys=True) for raw in _raws(race)]
    missing = [text for text in texts if text not in held]
    if missing:
        with st.spinner("Checking the racers…", show_time=False):
            fresh = {text: draft.check(json.loads(text), text) for text in dict.fromkeys(missing)}
        held = {text: answer for text, answer in {**held, **fresh}.items() if text in texts}
    checked = Checked([held[text] for text in texts])
    before: Checked | None = st.session_state.get("lab_checked")
    if before is None or [answer.text for answer in before.answers] != texts:
        # in one go: a script may be stopped anywhere
        st.session_state.update(lab_answers=held, lab_checked=checked)
        previous = before or first(initial)
        if before is None:
            first_sentences.remember(asdict(initial), checked.sentences)
        if previous.sentences != checked.sentences:
            st.rerun()
    return checked


def _raws(race: Race) -> list[dict[str, Any]]:
    """Build each racer's RunSpec under the first seed as plain data, good or not."""
    config = dict(race.shared or {})
    if race.energy_of:
        config["energy_of"] = race.energy_of
    budget = {cost: value for cost in COSTS if (value := getattr(race.budget, cost)) is not None}
    return [
        {
            "method": races.METHOD,
            "data": race.data,
            "config": {**config, "sampler": racer},
            "budget": budget,
            "seed": race.seed,
        }
        for racer in race.racers
    ]


def beside(race: Race, checked: Checked, catalogue: dict[str, Any]) -> None:
    """Draw the target, what each racer will cost and the button."""
    checks = [answer.check for answer in checked.answers]
    silent = next((answer.silence for answer in checked.answers if answer.check is None), "")
    if silent:
        st.warning(f"{silent} Nothing typed is lost; it can be launched unchecked.")
        st.button("Check again", icon=":material/refresh:", on_click=_forget)
    with_preview = next((check for check in checks if check and check.data.get("preview")), None)
    if with_preview:
        data = with_preview.data
        sets = [{"preview": data["preview"], "about": data["title"]}]
        live_element("previews", key="lab_preview", height=300, sets=sets)
    with st.container(key="launch_bar"):
        _bar(race, checks, catalogue)


def _forget() -> None:
    """Have every racer checked again."""
    for name in ("lab_answers", "lab_checked"):
        st.session_state.pop(name, None)


def _bar(race: Race, checks: list[Check | None], catalogue: dict[str, Any]) -> None:
    """Draw what is wrong, what it costs, the button and the command."""
    names = race_options.titles([dict(racer) for racer in race.racers], catalogue)
    bad = [
        f"- {name}: {'; '.join(item['message'] for item in check.problems)}"
        for name, check in zip(names, checks, strict=True)
        if check is not None and not check.ok
    ]
    trouble = _trouble(race)
    if bad or trouble:
        st.error(
            "\n".join(
                ["**This race cannot start yet.**", *([f"- {trouble}"] if trouble else []), *bad]
            )
        )
    else:
        _cost(race, names, checks)
    ready = not bad and not trouble
    subject = orders.subject_of(race.data, *filter(None, [race.energy_of]))
    number = len(race.racers) * race.num_seeds
    st.button(
        f"Launch {number} runs" if number != 1 else "Launch",
        key=f"lab:{':'.join(subject)}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=not ready,
        shortcut="Ctrl+Enter",
        width="stretch",
        on_click=orders.give,
        args=("lab", Shown(subject)),
    )
    if orders.take("lab", subject) is not None and ready:
        _launch(race)
    if ready:
        with st.expander("Command"):
            code(_command(race))


def _trouble(race: Race) -> str:
    if not race.racers:
        return "Choose a sampler at least."
    if all(getattr(race.budget, cost) is None for cost in COSTS):
        return "Give every racer a budget."
    number = len(race.racers) * race.num_seeds
    if number > comparison.MOST_RUNS:
        return f"A race has at most {comparison.MOST_RUNS} runs; these are {number}."
    return ""


def _cost(race: Race, names: list[str], checks: list[Check | None]) -> None:
    """Draw the time of each racer, and of all of them."""
    rows = []
    total = 0.0
    for name, check in zip(names, checks, strict=True):
        seconds = check.cost.get("seconds") if check else None
        total += (seconds or 0.0) * race.num_seeds
        rows.append(f"| {name} | {duration(seconds) if seconds else '–'} |")
    if total:
        lines = ["| racer | about |", "|---|---:|", *rows]
        st.markdown("\n".join(lines))
        st.caption(
            f"About {duration(total)} of sampling in all, {_side_by_side(len(names))}; "
            "looking comes on top."
        )


def _side_by_side(num_racers: int) -> str:
    """Say how many racers run at once."""
    workers = cost_lines.num_workers()
    if workers > 1 and num_racers > 1:
        return f"{min(workers, num_racers)} side by side on {workers} workers"
    return "one after the other on one worker"


def _launch(race: Race) -> None:
    try:
        specs = race.specs()
        ids = enqueue.launch_many(specs, origin="browser", by=access.identity())
    except BasinError as error:
        st.error(f"Nothing was launched. {error}")
        return
    st.query_params.clear()
    st.query_params["runs"] = ",".join(ids)
    st.rerun()


def _command(race: Race) -> str:
    """Write the same race for the command line."""
    target = race.energy_of or str(race.data["name"])
    parts = ["basin race", target]
    for racer in race.racers:
        own = ",".join(
            f"{name}={json.dumps(value)}" for name, value in racer.items() if name != "kind"
        )
        quoted = f"'{racer['kind']}:{own}'" if own else racer["kind"]
        parts.append(f"--sampler {quoted}")
    for cost in COSTS:
        if (amount := getattr(race.budget, cost)) is not None:
            parts.append(
                f"--{cost} {amount:g}" if cost in ("seconds", "joules") else f"--{cost} {amount}"
            )
    words = {
        "num_chains": "chains",
        "chains": "start",
        "num_warm_up": "warm-up",
        "stop_at_error": "until-error",
        "stop_at_ess": "until-ess",
    }
    parts += [
        f"--{words[name]} {value}" for name, value in (race.shared or {}).items() if name in words
    ]
    if not race.energy_of:
        parts += [f"--set data.{k}={v}" for k, v in race.data.items() if k != "name"]
    if race.seed:
        parts.append(f"--seed {race.seed}")
    if race.num_seeds > 1:
        parts.append(f"--seeds {race.num_seeds}")
    return " ".join(parts)
