"""Gallery page: published claims, launched here and judged by paired seeds."""

from __future__ import annotations

import html

import streamlit as st

from backend.claims import recipe as recipes
from backend.claims.recipe import FoundRecipes, Recipe
from backend.errors import BasinError
from dashboard import gallery
from dashboard.elements import count, empty, head, moment, plural
from dashboard.forms import recipe_cost
from dashboard.live_view import live_element
from dashboard.security import access
from jobs.claims import reproduction as reproductions
from jobs.claims.recipe_results import Findings
from jobs.claims.reproduction import Reproduction
from jobs.formatting import duration

EVERY = 2.0
"""Seconds between looks at runs that go on."""
SEEDS = (3, 5, 10)
_SCALES = {"cpu": "laptop", "gpu": "GPU"}


def main() -> None:
    """Draw the page."""
    discovered = recipes.discover()
    if not discovered.recipes:
        head("Gallery")
        empty("No recipes are here. One YAML file in `backend/recipes/` adds a claim.")
        return
    past = reproductions.list_reproductions()
    name = st.query_params.get("recipe", "")
    chosen = name if name in discovered.recipes else next(iter(discovered.recipes))
    side, middle = st.columns([5, 16], gap="large")
    with side:
        head("Gallery", facts=["Published claims, launched here and judged by paired seeds."])
        if name and name != chosen:
            st.warning(f"There is no recipe `{name}` here.")
        goes_on = any(not item.is_settled for item in past)
        st.fragment(_rail, run_every=EVERY if goes_on else None)(discovered, chosen, goes_on)
    with middle:
        text = discovered.texts[chosen]
        _show(discovered.recipes[chosen], text, [p for p in past if p.recipe == chosen])


# ---------------------------------------------------------------------- the list


def _rail(discovered: FoundRecipes, chosen: str, went_on: bool) -> None:
    """Draw the list of recipes, each with its verdict or how far its runs are."""
    past = reproductions.list_reproductions()
    if went_on and all(item.is_settled for item in past):
        st.rerun()  # what was launched has ended: there is nothing to follow any more
    states = {name: _state(name, past) for name in discovered.recipes}
    filter_by = _filter([word for word, _ in states.values()])
    for name, item in discovered.recipes.items():
        word, words = states[name]
        if filter_by in ("all", word) or name == chosen:
            _card(item, words, name == chosen)
    for broken in discovered.broken:
        with st.expander(f"{broken.name}.yaml is broken", icon=":material/error:"):
            st.code(broken.error, language=None)


def _filter(words: list[str]) -> str:
    """Draw the choice of a state where there are several; returns it, or `all`."""
    short = {gallery.NOT_RUN: "new"}
    kinds = ["holds", "fails", "undecided", gallery.UNDER_WAY, gallery.NOT_RUN]
    labels = {"all": f"all {len(words)}"}
    labels |= {kind: f"{short.get(kind, kind)} {words.count(kind)}" for kind in kinds}
    options = ["all", *(kind for kind in kinds if kind in words)]
    if len(options) < 3:
        return "all"
    choice = st.segmented_control(
        "Verdict",
        options,
        default="all",
        format_func=lambda key: labels[key],
        label_visibility="collapsed",
        key="gallery_kept",
    )
    return choice or "all"


def _state(name: str, past: list[Reproduction]) -> tuple[str, str]:
    """Return the newest verdict on a recipe, or that its runs go on; the word and what it says."""
    own = [item for item in past if item.recipe == name]
    if own and not own[0].is_settled:
        progress = reproductions.progress(own[0])
        return gallery.UNDER_WAY, f"{progress.done} of {progress.total} runs done"
    word = next((item.findings.holds for item in own if item.findings), gallery.NOT_RUN)
    return word, word if word == gallery.NOT_RUN else gallery.verdict_in_words(word)


def _card(recipe: Recipe, words: str, is_chosen: bool) -> None:
    paper = f"{recipe.paper.authors.split(',')[0]} {recipe.paper.year}"
    pressed = st.button(
        f"**{recipe.title}**  \n{paper} · {words}",
        key=f"recipe_{recipe.name}",
        width="stretch",
        type="secondary" if is_chosen else "tertiary",
    )
    if pressed and not is_chosen:
        st.query_params.from_dict({"recipe": recipe.name})
        st.rerun()


# ---------------------------------------------------------------------- one recipe


def _show(recipe: Recipe, text: str, past: list[Reproduction]) -> None:
    wanted = st.query_params.get("reproduction", "")
    record = next((item for item in past if item.id == wanted), past[0] if past else None)
    if wanted and (record is None or record.id != wanted):
        st.warning(f"There is no reproduction `{wanted}` of this recipe; this is the newest.")
    _paper(recipe, text)
    if record is None:
        _say("Nobody has run this here yet. A launch below measures it.", None)
    else:
        _result(recipe, record)
    with st.container(key="gallery_launch"):
        _launch(recipe, again=record is not None)
    _ours_and_theirs(recipe, record)
    if len(past) > 1 or (past and past[0].is_settled):
        _earlier(past, record)


def _paper(recipe: Recipe, text: str) -> None:
    paper = recipe.paper
    link = f'<a href="{html.escape(paper.url)}" target="_blank" rel="noopener">paper</a>'
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            f'<div class="basin-facts"><span>{html.escape(paper.authors)}</span>'
            f"<span>{html.escape(paper.title)}</span><span>{paper.year}</span>"
            + (f"<span>{link}</span>" if paper.url else "")
            + "</div>"
        )
        with st.popover("recipe.yaml", type="tertiary"):
            st.code(text, language="yaml")
    st.html(f'<p class="basin-claim">{html.escape(recipe.claim)}</p>')


def _say(sentence: str, holds: str | None, facts: list[str] | None = None) -> None:
    """Draw the banner of a verdict. Everything is escaped."""
    sign, token = gallery.SIGNS[holds] if holds else ("◌", "muted")
    colour = f"var(--basin-{token})"
    word = holds or gallery.NOT_RUN
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts or [] if fact)
    st.html(
        f'<div class="basin-verdict" style="--verdict: {colour}">'
        f'<b style="color: {colour}">{sign} {word}</b><div>{html.escape(sentence)}'
        f'<div class="basin-facts">{spans}</div></div></div>'
    )


def _result(recipe: Recipe, record: Reproduction) -> None:
    """Draw all measurements of one reproduction: live while its runs go on."""
    every = None if record.is_settled else EVERY
    st.fragment(_measured, run_every=every)(recipe, record.id)


def _measured(recipe: Recipe, reproduction_id: str) -> None:
    try:
        record = reproductions.open_reproduction(reproduction_id)
        launched = record.launched()
        findings = reproductions.findings(record)
        runs = reproductions.runs_of(record)
    except BasinError as error:
        st.error(f"This reproduction cannot be read: {error}")
        return
    if record.is_settled:
        _say(findings.reason, findings.holds, _facts(record, findings))
    else:
        _under_way(record, findings)
    if launched != recipe:
        st.caption("The recipe has been edited since; this is what was launched then.")
    live_element(
        "claim",
        key=f"claim_{record.id}",
        height=330,
        compared=gallery.compared(launched),
        **gallery.picture(launched, findings, runs),
    )
    for note in findings.notes:
        st.warning(note)
    _pictures(launched, record)
    _tables(launched, findings)
    if record.is_settled and not st.session_state.get(f"settled_{record.id}"):
        # the list beside and the launch button know nothing of it yet
        st.session_state[f"settled_{record.id}"] = True
        st.rerun()


def _facts(record: Reproduction, findings: Findings) -> list[str]:
    joules = None
    if findings.joules is not None:
        joules = f"{count(findings.joules)} joules {findings.joules_source or ''}".strip()
    return [
        moment(findings.ended or record.created),
        ", ".join(findings.devices),
        f"version {record.version}",
        f"{len(record.seeds)} seeds" if len(record.seeds) > 1 else "1 seed",
        f"{duration(findings.seconds)} of training",
        joules or "",
    ]


def _under_way(record: Reproduction, findings: Findings) -> None:
    progress = reproductions.progress(record)
    left = progress.seconds_left
    words = ", ".join(f"{number} {word}" for word, number in progress.words.items())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(
            progress.fraction,
            f"{progress.done} of {progress.total} runs · {words}"
            + (f" · about {duration(left)} left" if left else ""),
        )
        if st.button(
            "Stop",
            key=f"stop_{record.id}",
            icon=":material/stop:",
            help="Ends those that run and takes the others off the queue",
        ):
            number = reproductions.stop(record.id)
            st.toast(f"{plural(number, 'run')} stopped. What is finished is kept.")
            st.rerun()
    if findings.num_counted:
        st.caption(f"So far: {findings.holds}. {findings.reason}")


def _pictures(recipe: Recipe, record: Reproduction) -> None:
    """Draw samples of the variants side by side, live: the first seed of each."""
    groups = [
        {
            "title": recipe.variants[variant].title,
            "runs": [next(iter(record.runs[variant].values()))],
        }
        for variant in recipe.samples
        if record.runs.get(variant)
    ]
    if groups:
        live_element(
            "compare", key=f"pictures_{record.id}", height=300, groups=groups, figures={}, bare=True
        )


def _tables(recipe: Recipe, findings: Findings) -> None:
    st.header("Claims", anchor=False)
    _table(
        ["claim", "kind", "target", "measured: median (range)", "seeds that meet it", "verdict"],
        gallery.claim_rows(findings),
    )
    names, rows = gallery.figure_rows(recipe, findings)
    if rows:
        with st.expander("All figures, variant by variant"):
            _table(names, rows)
            st.caption(
                "Medians over the seeds with their range. The floor is real data against fresh "
                "real data; baselines are trivial models."
            )


def _table(names: list[str], rows: list[list[str]]) -> None:
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    st.markdown("\n".join(lines))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("$", "\\$").replace("~", "\\~")


def _ours_and_theirs(recipe: Recipe, record: Reproduction | None) -> None:
    findings = None
    if record is not None:
        try:
            findings = reproductions.findings(record)
        except BasinError:
            findings = None
    rows = gallery.paper_rows(recipe, findings)
    if rows or recipe.cannot_show:
        st.header("The paper's figure and ours", anchor=False)
    if rows:
        _table(["quantity", "paper, its scale", "here"], rows)
    if recipe.cannot_show:
        st.caption("Cannot be shown at this scale: " + " ".join(recipe.cannot_show))


# ---------------------------------------------------------------------- launching


def _launch(recipe: Recipe, again: bool) -> None:
    st.header("Launch it again" if again else "Launch it", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scale = "cpu"
        if len(recipe.scales) > 1:
            scale = (
                st.segmented_control(
                    "Scale",
                    list(recipe.scales),
                    default="cpu",
                    key=f"scale_{recipe.name}",
                    format_func=lambda key: _SCALES[key],
                )
                or "cpu"
            )
        options = sorted({recipe.seeds, *SEEDS})
        seeds = (
            st.segmented_control(
                "Seeds",
                options,
                default=recipe.seeds,
                key=f"seeds_{recipe.name}",
            )
            or recipe.seeds
        )
        number = len(recipe.variants) * seeds
        pressed = st.button(
            f"Launch {plural(number, 'run')}", type="primary", key=f"launch_{recipe.name}"
        )
    if pressed:
        try:
            record = reproductions.launch(
                recipe.name, scale=scale, num_seeds=seeds, origin="browser", by=access.identity()
            )
        except BasinError as error:
            st.error(f"Nothing was launched. {error}")
        else:
            st.query_params.from_dict({"recipe": recipe.name, "reproduction": record.id})
            st.rerun()
    is_known = recipe_cost.expected(recipe, scale, seeds) is not None
    st.fragment(_terms, run_every=None if is_known else EVERY)(recipe, scale, seeds, is_known)


def _terms(recipe: Recipe, scale: str, seeds: int, was_known: bool) -> None:
    """Draw what a launch compares, and its cost once that is known: then it is asked no more."""
    roles = ", ".join(item.title for item in recipe.variants.values())
    cost = recipe_cost.expected(recipe, scale, seeds)
    if cost and not was_known:
        st.rerun()  # without the clock
    words = recipe_cost.in_words(cost) if cost else "Estimating the time…"
    st.caption(f"{roles}: {seeds} seeds each, the same data and {_budget(recipe, scale)}. {words}")


def _budget(recipe: Recipe, scale: str) -> str:
    budgets = {
        name: recipe.budget_of(name, scale).model_dump(exclude_none=True)
        for name in recipe.variants
    }
    first = next(iter(budgets.values()))
    if any(budget != first for budget in budgets.values()):
        return f"budgets of their own ({recipe.unequal_because.rstrip('.')})"
    cost, amount = next(iter(first.items()))
    return f"{count(amount)} {cost} each"


def _earlier(past: list[Reproduction], current: Reproduction | None) -> None:
    st.header("Verdicts so far", anchor=False)
    lines = [
        "| date | verdict | median of the deciding figure | seeds | device | version | |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in past:
        findings, verdict, median, devices = item.findings, "under way", "–", ""
        if findings:
            verdict = gallery.verdict_in_words(findings.holds)
            median, devices = (
                gallery.figure(findings.deciding().median),
                ", ".join(findings.devices),
            )
        here = current is not None and item.id == current.id
        link = f"[show](gallery?recipe={item.recipe}&reproduction={item.id})"
        where = "shown above" if here else link
        lines.append(
            f"| {moment(item.created)} | {verdict} | {median} | {len(item.seeds)} | "
            f"{devices} | {item.version} | {where} |"
        )
    st.markdown("\n".join(lines))


main()
