"""Recipe: a published claim as data, one YAML file each in `backend/recipes/`.

Variants (method, baselines, ablations) share data, seeds and budget; figures are read from the
final metrics of their runs; claims compare figures seed by seed (`backend/claims/verdict.py`); the
picture is what decides it at a glance. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from backend.claims.recipe_schema import (
    AnyPicture,
    Claim,
    CurvePicture,
    DotsPicture,
    Figure,
    Name,
    Override,
    Paper,
    PaperFigure,
    Part,
    Scale,
    ScaleOverride,
    SweepPicture,
    Term,
    Variant,
)
from backend.errors import BadInput, NotAvailable, Problem
from backend.spec import Budget, Question, RunSpec, merge, problems_of
from backend.system import plugins, yaml_reader

FOLDER = Path(__file__).parent.parent / "recipes"
"""Folder in which recipes are discovered."""
TAG = "recipe:"
"""Prefix of the tag that the runs of a recipe carry."""
SCALES = ("cpu", "gpu")
_DEVICES = {"cpu": "cpu", "gpu": "cuda"}


class Recipe(Part):
    """A published claim, how to repeat it here, and what decides it."""

    name: Name
    title: str = Field(max_length=80)
    """a short claim"""
    claim: str
    """one sentence"""
    paper: Paper
    paper_figures: list[PaperFigure] = Field(default_factory=list)
    cannot_show: list[str] = Field(default_factory=list)
    """what this scale cannot show, a sentence each"""
    data: dict[str, Any]
    budget: Budget | None = None
    unequal_because: str = ""
    """why the variants' budgets differ"""
    seeds: int = Field(3, ge=1, le=100)
    questions: list[Question] = Field(default_factory=list, max_length=60)
    variants: dict[Name, Variant] = Field(min_length=1)
    scales: dict[Scale, ScaleOverride] = Field(default={"cpu": ScaleOverride()})
    figures: dict[Name, Figure] = Field(min_length=1)
    claims: list[Claim] = Field(min_length=1)
    picture: AnyPicture = Field(default_factory=DotsPicture)
    samples: list[str] = Field(default_factory=list)
    """variants whose final samples are shown side by side"""

    def deciding(self) -> Claim:
        """The claim whose verdict is the recipe's."""
        return next((claim for claim in self.claims if claim.deciding), self.claims[0])

    def main_variant(self) -> str:
        """The first variant that is the method."""
        methods = [name for name, item in self.variants.items() if item.role == "method"]
        return next(iter(methods or self.variants))

    def pictured(self) -> list[str]:
        """Variants that the picture shows."""
        return list(self.picture.variants) or list(self.variants)

    def budget_of(self, variant: str, scale: str = "cpu") -> Budget:
        """Budget of one run; empty where nobody says."""
        whole = self.scales.get(scale, ScaleOverride())  # type: ignore[call-overload]
        own = whole.variants.get(variant, Override()).budget
        given = own or whole.budget or self.variants[variant].spec.budget or self.budget
        return given or Budget()

    def questions_of(self, variant: str, scale: str = "cpu") -> list[Question]:
        """Questions that one run is asked when it has finished."""
        whole = self.scales.get(scale, ScaleOverride())  # type: ignore[call-overload]
        own = whole.variants.get(variant, Override()).questions
        for given in (own, whole.questions, self.variants[variant].spec.questions):
            if given is not None:
                return list(given)
        return self.questions

    def spec(self, variant: str, scale: str = "cpu", seed: int = 0) -> RunSpec:
        """The run of one variant under one seed.

        Raises BadInput for a variant or scale that is not there, ValidationError for bad fields.
        """
        if variant not in self.variants:
            raise BadInput.at("variant", f"there is no variant `{variant}` in `{self.name}`.")
        if scale not in self.scales:
            known = ", ".join(self.scales)
            raise BadInput.at("scale", f"`{self.name}` has no scale `{scale}`. Known: {known}.")
        item, given = self.variants[variant], self.variants[variant].spec
        data = dict(self.data if given.data is None else given.data)
        config = dict(given.config)
        whole = self.scales[scale]
        for over in (whole, whole.variants.get(variant, Override())):
            data, config = merge(data, over.data), merge(config, over.config)
        return RunSpec(
            name=f"{item.title}, seed {seed}",
            method=given.method,
            preset=given.preset,
            data=data,
            config=config,
            budget=self.budget_of(variant, scale),
            seed=seed,
            device=_DEVICES[scale],
            questions=self.questions_of(variant, scale),
            tags=[f"{TAG}{self.name}"],
        )


@dataclass(frozen=True)
class BrokenRecipe:
    """A file that is no recipe."""

    name: str
    problems: list[Problem]
    path: str = ""

    @property
    def error(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


@dataclass(frozen=True)
class FoundRecipes:
    """Recipes of a folder, by name, and the files that are no recipes."""

    recipes: dict[str, Recipe] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """the files as they are, by name"""
    paths: dict[str, Path] = field(default_factory=dict)
    broken: list[BrokenRecipe] = field(default_factory=list)


def discover(folder: Path | None = None) -> FoundRecipes:
    """Every recipe of a folder, by default of the package and of plug-ins; a broken one hides no
    other, and of two of one name the first serves."""
    contents = FoundRecipes()
    outside = [] if folder else plugins.recipes()
    for path in (*sorted((folder or FOLDER).glob("*.yaml")), *outside):
        name = path.stem
        try:
            if name in contents.paths:
                sentence = (
                    f"is the name of {contents.paths[name]} too, which serves. Rename {path}."
                )
                raise BadInput.at("name", sentence)
            text = path.read_text(encoding="utf-8")
            contents.recipes[name] = parse(text, name)
            contents.texts[name] = text
            contents.paths[name] = path
        except BadInput as error:
            contents.broken.append(BrokenRecipe(name, error.problems, str(path)))
        except (OSError, ValueError) as error:
            problem = Problem("", f"cannot be read: {error}")
            contents.broken.append(BrokenRecipe(name, [problem], str(path)))
    return contents


def text_of(name: str, folder: Path | None = None) -> str:
    """The file of a recipe. Raises BadInput for a broken one, NotAvailable when there is none."""
    contents = discover(folder)
    for item in contents.broken:
        if item.name == name and name not in contents.texts:
            raise BadInput(*item.problems)
    if name not in contents.texts:
        known = ", ".join(contents.texts) or "none"
        raise NotAvailable(f"There is no recipe `{name}`. Known: {known}.")
    return contents.texts[name]


@lru_cache(maxsize=128)
def parse(text: str, name: str) -> Recipe:
    """A recipe from YAML text and the name of its file. Raises BadInput with every problem."""
    raw = yaml_reader.load(text)
    if not isinstance(raw, dict):
        raise BadInput.at("", "a recipe is a mapping with `title`, `variants` and `claims`.")
    if raw.get("name", name) != name:
        raise BadInput.at("name", f"must be the file's name `{name}`, got {raw['name']!r}.")
    try:
        recipe = Recipe.model_validate({**raw, "name": name})
    except ValidationError as error:
        raise BadInput(*(_of_recipes(problem) for problem in problems_of(error))) from error
    if problems := list(_problems(recipe)):
        raise BadInput(*problems)
    return recipe


def _of_recipes(problem: Problem) -> Problem:
    head, hint, _ = problem.message.partition(", or see `basin methods`")
    return Problem(problem.field, f"{head}." if hint else problem.message)


def _problems(recipe: Recipe) -> Iterator[Problem]:
    """Problems that no single field shows: unknown names, budgets, the deciding claim."""
    if "cpu" not in recipe.scales:
        yield Problem("scales", "must have `cpu`, the scale of a laptop.")
    for scale, whole in recipe.scales.items():
        yield from _unknown(whole.variants, recipe.variants, f"scales.{scale}.variants", "variant")
    yield from _budget_problems(recipe)
    for name, figure in recipe.figures.items():
        if "{" in figure.path:
            yield Problem(f"figures.{name}.path", f"takes no template, got `{figure.path}`.")
    for index, item in enumerate(recipe.paper_figures):
        where = f"paper_figures.{index}"
        yield from _unknown([item.figure], ["", *recipe.figures], f"{where}.figure", "figure")
        yield from _unknown([item.variant], ["", *recipe.variants], f"{where}.variant", "variant")
    yield from _claim_problems(recipe)
    yield from _picture_problems(recipe)


def _unknown(names: Any, known: Any, where: str, what: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            listed = ", ".join(f"`{each}`" for each in known if each)
            yield Problem(where, f"there is no {what} `{name}`. Known: {listed}.")


def _budget_problems(recipe: Recipe) -> Iterator[Problem]:
    for scale in recipe.scales:
        budgets = {name: recipe.budget_of(name, scale) for name in recipe.variants}
        bad = False
        for name, budget in budgets.items():
            costs = list(budget.model_dump(exclude_none=True))
            if len(costs) != 1:
                bad = True
                given = ", ".join(costs) or "none"
                yield Problem(
                    f"variants.{name}.spec.budget",
                    f"exactly one of steps, gradients, seconds and joules at scale {scale}, "
                    f"here or shared, got {given}.",
                )
        equal = len({budget.model_dump_json() for budget in budgets.values()}) == 1
        if not (bad or equal or recipe.unequal_because):
            yield Problem(
                "budget",
                f"must be equal for all variants at scale {scale}; where it cannot be, say why in "
                "`unequal_because`.",
            )


def _claim_problems(recipe: Recipe) -> Iterator[Problem]:
    if sum(claim.deciding for claim in recipe.claims) > 1:
        yield Problem("claims", "only one claim can be `deciding`.")
    for index, claim in enumerate(recipe.claims):
        where = f"claims.{index}"
        if claim.over and claim.minus:
            yield Problem(where, "takes one of `over` and `minus`, not both.")
        terms = {"value": claim.value, "over": claim.over, "minus": claim.minus}
        for role, term in terms.items():
            if term is not None:
                at = f"{where}.{role}"
                yield from _unknown(term.variants, recipe.variants, f"{at}.variant", "variant")
                yield from _unknown([term.figure], recipe.figures, f"{at}.figure", "figure")
                if term.along and (
                    len(term.along) != len(term.variants) or len(set(term.along)) < 2
                ):
                    sentence = (
                        f"must give a size of each of the {len(term.variants)} variants, at least "
                        f"two of them different, got {len(term.along)}."
                    )
                    yield Problem(f"{at}.along", sentence)
                if term.figure in recipe.figures:
                    path = recipe.figures[term.figure].path
                    for variant in term.variants:
                        yield from _unasked(recipe, variant, path, f"{at}.figure")


def _unasked(recipe: Recipe, variant: str, path: str, where: str) -> Iterator[Problem]:
    """Problem of a figure whose question the variant is not asked at some scale."""
    head, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    for scale in recipe.scales if head == "answers" and variant in recipe.variants else ():
        names = [question.name for question in recipe.questions_of(variant, scale)]
        if name not in names:
            listed = ", ".join(f"`{each}`" for each in names) or "none"
            yield Problem(
                where,
                f"`{variant}` is not asked `{name}` at scale {scale}; its questions: {listed}.",
            )


def _picture_problems(recipe: Recipe) -> Iterator[Problem]:
    picture = recipe.picture
    yield from _unknown(picture.variants, recipe.variants, "picture.variants", "variant")
    yield from _unknown(recipe.samples, recipe.variants, "samples", "variant")
    if isinstance(picture, DotsPicture):
        yield from _unknown(picture.figures, recipe.figures, "picture.figures", "figure")
    if isinstance(picture, SweepPicture):
        if "{x}" not in picture.path:
            yield Problem("picture.path", f"must hold {{x}}, got `{picture.path}`.")
        else:
            for variant in recipe.pictured():
                for x in picture.x:
                    yield from _unasked(recipe, variant, picture.path_at(x), "picture.path")
        if picture.mark is not None and picture.mark not in picture.x:
            yield Problem("picture.mark", f"must be one of x, got {picture.mark:g}.")


__all__ = [
    "Claim",
    "CurvePicture",
    "DotsPicture",
    "Figure",
    "FoundRecipes",
    "Recipe",
    "SweepPicture",
    "Term",
    "Variant",
    "discover",
    "parse",
    "text_of",
]
