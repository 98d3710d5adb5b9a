"""Every figure that a claim reads is given by the runs it reads it of, at a few steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backend import catalogue
from backend.ability import Asked
from backend.claims.recipe import Recipe, parse, text_of
from backend.claims.recipe_schema import Term
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.requests.asking import ask
from jobs.models.method_setup import prepare
from tests.conftest import ROOT

SHIPPED = sorted(path.stem for path in (ROOT / "backend/recipes").glob("*.yaml"))
SIZES = Sizes(
    field=8,
    num_nodes=200,
    num_nodes_evaluated=400,
    image_num_annealed=40,
    image_num_annealed_evaluated=40,
    num_walkers=4,
    num_trails=2,
    trail=2,
    num_dots=20,
    slice=4,
    image_slice=4,
    num_cells=4,
    num_energies=20,
    num_measured=24,
    num_evaluated=24,
    long_run_steps=20,
    image_num_measured=24,
    image_num_evaluated=24,
    image_measured_steps=20,
    image_long_run_steps=20,
    num_diagnosed=4,
    num_draws=10,
)
"""Small enough for the whole of a run's judgement to take a moment."""
FEW = {"num_splits": 1, "num_steps": 2, "num_updates": 2, "num_candidates": 2}
"""Of what a question counts; of anything else that begins with `num` 24."""
NAMED = {"think": {"num_steps"}}
"""Fields by whose values an ability names its figures."""
CONDITIONAL = {("ebt_policy", "over"), ("ebwm_fork", "left"), ("sequential_bayes", "r_hat")}
"""Figures, by recipe, of predictions that succeed alone, and of draws after a warm-up: after a few
steps there need be none."""


def wanted(made: Recipe) -> dict[str, set[str]]:
    """Paths that the claims of a recipe read, by variant."""
    terms: list[Term] = []
    for claim in made.claims:
        terms += [term for term in (claim.value, claim.over, claim.minus) if term is not None]
    paths: dict[str, set[str]] = {}
    for term in terms:
        for variant in term.variants:
            if (made.name, term.figure) not in CONDITIONAL:
                paths.setdefault(variant, set()).add(made.figures[term.figure].path)
    return paths


def small_data(data: dict[str, Any]) -> dict[str, Any]:
    fields = catalogue.datasets()[data["name"]].Config.model_fields
    few = {"num": 300, "num_held_out": 100, "num_characters": 3000}
    return data | {name: num for name, num in few.items() if name in fields}


def small_question(ability: str, config: dict[str, Any]) -> dict[str, Any]:
    cls = catalogue.abilities()[ability].Config
    full = cls.model_validate(config)
    few = {}
    for name in cls.model_fields:
        value = getattr(full, name)
        counts = name.startswith("num") and name not in NAMED.get(ability, ())
        if counts and isinstance(value, int):
            few[name] = min(value, FEW.get(name, 24))
    return config | few


def given(made: Recipe, variant: str, paths: set[str]) -> set[str]:
    """Paths among those wanted that the variant gives."""
    spec = made.spec(variant)
    spec = spec.model_copy(update={"data": small_data(spec.data)})
    prepared = prepare(spec, torch.device("cpu"), None)
    method, data = prepared.method, prepared.data
    for index in range(2):
        method.advance(index / 2)
    figures: dict[str, float] = {}
    if any(not path.startswith("answers/") for path in paths):
        figures, _, _ = Observation(method, data, 0, SIZES).evaluate(2)
    asked = Asked(method, data, 0)
    for question in spec.questions:
        start = f"answers/{question.name}/"
        if not any(path.startswith(start) for path in paths):
            continue
        config = small_question(question.ability, question.config)
        answer = ask(asked, question.ability, config, generator_of("asked", question.name))
        figures |= {start + name: value for name, value in answer.figures.items()}
    return paths & set(figures)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_of_a_claim_is_given_by_the_runs_it_is_read_of(name: str) -> None:
    made = parse(text_of(name), name)
    known: set[tuple[str, bool, frozenset[str]]] = set()
    missing = {}
    for variant, paths in wanted(made).items():
        spec = made.spec(variant)
        is_image = catalogue.datasets()[spec.data["name"]].is_image
        alike = (spec.method, is_image, frozenset(paths))
        if alike in known:
            continue
        known.add(alike)
        if left := paths - given(made, variant, paths):
            missing[variant] = sorted(left)
    assert not missing
