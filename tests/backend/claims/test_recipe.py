"""Recipes: what a file may say, and what is wrong with one that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from backend import catalogue
from backend.claims import recipe
from backend.claims.recipe import DotsPicture, discover, parse, text_of
from backend.errors import BadInput, NotAvailable
from jobs.models.method_setup import prepare
from tests.conftest import ROOT
from tests.jobs.claiming import TEXT

SHIPPED = sorted(path.stem for path in (ROOT / "backend/recipes").glob("*.yaml"))


def changed(**changes: Any) -> str:
    """The text with dotted fields replaced; `__` stands for the dot."""
    raw = yaml.safe_load(TEXT)
    for field, value in changes.items():
        *above, last = field.split("__")
        place = raw
        for name in above:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        place[last] = value
    return yaml.safe_dump(raw, sort_keys=False)


def problems(text: str) -> dict[str, str]:
    with pytest.raises(BadInput) as caught:
        parse(text, "width")
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_recipe_is_read_with_what_it_leaves_out() -> None:
    made = parse(TEXT, "width")
    assert made.name == "width" and made.seeds == 2
    assert made.deciding().text == "Wide comes nearer than narrow"
    assert made.main_variant() == "wide" and made.pictured() == ["wide", "narrow"]
    assert isinstance(made.picture, DotsPicture)
    first = parse(changed(claims=yaml.safe_load(TEXT)["claims"][:1]), "width")
    assert first.deciding() is first.claims[0]


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"name": "other"}, "name", "the file's name `width`"),
        ({"colour": "red"}, "colour", "there is no field `colour`"),
        ({"paper__year": 1066}, "paper.year", "≥ 1950, got 1066"),
        ({"paper__url": "javascript:alert(1)"}, "paper.url", "pattern"),
        ({"budget": None}, "variants.wide.spec.budget", "got none"),
        ({"budget": {"steps": 3, "seconds": 1}}, "variants.wide.spec.budget", "steps, seconds"),
        ({"variants__narrow__spec__budget": {"steps": 9}}, "budget", "unequal_because"),
        ({"variants__wide__role": "hero"}, "variants.wide.role", "'method', 'baseline'"),
        ({"figures__distance__path": "with space"}, "figures.distance.path", "pattern"),
        ({"figures__distance__path": "k{x}"}, "figures.distance.path", "no template"),
        ({"claims__0__value__variant": "tall"}, "claims.0.value.variant", "Known: `wide`"),
        ({"claims__0__value__variant": ["wide", "tall"]}, "claims.0.value.variant", "`tall`"),
        ({"claims__0__value__along": [1.0, 2.0]}, "claims.0.value.along", "each of the 1 variants"),
        ({"claims__1__over__figure": "width"}, "claims.1.over.figure", "Known: `distance`"),
        ({"claims__0__relation": "<"}, "claims.0.relation", "'<=' or '>='"),
        ({"claims__0__deciding": True}, "claims", "only one"),
        (
            {"claims__1__minus": {"variant": "wide", "figure": "distance"}},
            "claims.1",
            "one of `over` and `minus`",
        ),
        (
            {"figures__distance__path": "answers/k0/distance"},
            "claims.0.value.figure",
            "`wide` is not asked `k0` at scale gpu; its questions: none",
        ),
        ({"samples": ["tall"]}, "samples", "no variant `tall`"),
        ({"picture": {"kind": "pie"}}, "picture", "one of `curve`, `sweep`, `dots`"),
        ({"picture": {"kind": "dots", "figures": ["w"]}}, "picture.figures", "no figure `w`"),
        (
            {"picture": {"kind": "sweep", "x": [1, 2], "x_title": "k", "path": "a/b"}},
            "picture.path",
            "must hold {x}",
        ),
        (
            {"picture": {"kind": "sweep", "x": [1, 2], "x_title": "k", "path": "a{x}", "mark": 3}},
            "picture.mark",
            "got 3",
        ),
        ({"scales": {"gpu": {}}}, "scales", "must have `cpu`"),
        ({"scales__cpu": {"variants": {"tall": {}}}}, "scales.cpu.variants", "no variant `tall`"),
        (
            {"paper_figures": [{"quantity": "q", "value": "1", "scale": "s", "figure": "w"}]},
            "paper_figures.0.figure",
            "no figure `w`",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field(changes: dict[str, Any], field: str, says: str) -> None:
    found = problems(changed(**changes))
    assert says in found[field], found


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems(changed(samples=["tall"], claims__0__value__figure="w", scales={"gpu": {}}))
    assert set(found) == {"samples", "claims.0.value.figure", "scales"}


def test_budgets_may_differ_where_the_recipe_says_why() -> None:
    text = changed(
        variants__narrow__spec__budget={"steps": 9}, unequal_because="Narrow steps are cheaper."
    )
    made = parse(text, "width")
    assert made.budget_of("wide").steps == 4 and made.budget_of("narrow").steps == 9


def test_a_scale_is_laid_over_all_variants_and_then_over_some() -> None:
    text = changed(
        scales={
            "cpu": {},
            "gpu": {
                "config": {"step_size": 0.5, "width": 32},
                "data": {"num": 900},
                "variants": {"narrow": {"config": {"width": 4}}},
            },
        }
    )
    made = parse(text, "width")
    assert made.spec("wide", "gpu", 3).config == {"step_size": 0.5, "width": 32}
    narrow = made.spec("narrow", "gpu", 3)
    assert narrow.config == {"step_size": 0.5, "width": 4}
    assert narrow.data == {"name": "ring", "num": 900, "num_held_out": 100}
    assert made.spec("wide", "cpu", 3).config == {} and made.spec("wide").data["num"] == 200


def test_a_figure_may_be_the_answer_to_a_question_of_its_variant() -> None:
    question = {"name": "k0", "ability": "energy"}
    text = changed(figures__distance__path="answers/k0/distance", questions=[question])
    assert parse(text, "width").spec("wide").questions[0].name == "k0"
    own = changed(
        figures__distance__path="answers/k0/distance",
        questions=[question],
        variants__narrow__spec__questions=[],
    )
    found = problems(own)
    assert set(found) == {"claims.1.over.figure"}


def test_a_question_that_no_ability_answers_is_a_problem_at_its_field() -> None:
    made = parse(changed(questions=[{"name": "k0", "ability": "levitate"}]), "width")
    fields = {"method": "denoising_score_matching", "preset": "default"}
    variants = {
        name: item.model_copy(update={"spec": item.spec.model_copy(update=fields)})
        for name, item in made.variants.items()
    }
    found = catalogue.recipe_problems(made.model_copy(update={"variants": variants}))
    assert found[0].field == "variants.wide.spec.questions.0.ability"
    assert "no ability `levitate`" in found[0].message


def test_a_broken_file_is_shown_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(TEXT)
    (tmp_path / "torn.yaml").write_text("title: [")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "poor.yaml").write_text(changed(samples=["tall"]))
    found = discover(tmp_path)
    assert list(found.recipes) == ["good"] and found.texts["good"] == TEXT
    assert sorted(item.name for item in found.broken) == ["bytes", "empty", "poor", "torn"]
    poor = next(item for item in found.broken if item.name == "poor")
    assert poor.error == "`samples`: there is no variant `tall`. Known: `wide`, `narrow`."
    with pytest.raises(BadInput, match="no variant"):
        text_of("poor", tmp_path)
    with pytest.raises(NotAvailable, match=r"no recipe `moon`. Known: good"):
        text_of("moon", tmp_path)


def test_one_of_an_unknown_method_is_broken_in_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "width.yaml").write_text(TEXT)
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    published = catalogue.publish()
    assert published["recipes"] == {}
    said = [item for item in published["broken"] if item["module"].endswith("width.yaml")]
    assert "there is no method `tiny`" in said[0]["error"]


@pytest.mark.parametrize("name", ["classifier_tables", "dat", "jem", "weat"])
def test_every_variant_of_a_classifier_takes_its_first_step(name: str) -> None:
    made = parse(text_of(name), name)
    for variant in made.variants:
        run = prepare(made.spec(variant), torch.device("cpu"), None).method
        losses = run.step(0.0), run.step(0.5)
        assert all(float(each["loss/total"].isfinite()) for each in losses), variant


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_that_comes_along_can_be_run(name: str) -> None:
    made = parse(text_of(name), name)
    assert not catalogue.recipe_problems(made)
    assert any(claim.kind == "paper" for claim in made.claims)
    for sentence in (made.claim, *made.cannot_show):
        assert sentence.endswith(".")
    assert catalogue.publish()["recipes"][name]["title"] == made.title
