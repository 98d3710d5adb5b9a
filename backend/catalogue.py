"""Every method, sampler, energy network and data set, discovered, never listed.

A file that fails to import is kept as broken, by name and with its error, and the rest serve on.
Importing this module is light; `discover` imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from backend.errors import BadInput, Problem
from backend.metric_names import FIGURES
from backend.spec import Budget, RunSpec, merge, problems_of
from backend.system import plugins
from backend.system.discovery import (
    KINDS,
    Broken,
    discover,
    distributions,
    networks,
    observers,
    of_kind,
    samplers,
)

if TYPE_CHECKING:
    from backend.claims.recipe import FoundRecipes, Recipe
    from backend.config import Config, KindConfig
    from backend.data import Data, Dataset
    from backend.method import Method

NO_CHANGES: Mapping[str, Any] = MappingProxyType({})


def methods() -> dict[str, type[Method]]:
    return of_kind("method").classes


def datasets() -> dict[str, type[Dataset]]:
    return of_kind("dataset").classes


def abilities() -> dict[str, Any]:
    """Questions to trained runs: subclasses of Ability, by id."""
    return of_kind("ability").classes


def recipes() -> FoundRecipes:
    """Published claims by name; one whose runs this catalogue cannot resolve is broken too."""
    from backend.claims import recipe

    discovered = recipe.discover()
    for name, item in list(discovered.recipes.items()):
        if problems := recipe_problems(item):
            del discovered.recipes[name], discovered.texts[name]
            path = str(discovered.paths[name])
            discovered.broken.append(recipe.BrokenRecipe(name, problems, path))
    return discovered


def recipe_problems(recipe: Recipe) -> list[Problem]:
    """Problems that keep the runs of a recipe from being resolved, by field of the recipe."""
    problems: dict[Problem, None] = {}
    for scale in recipe.scales:
        for variant in recipe.variants:
            for each in _spec_problems(recipe, variant, scale):
                field = f"variants.{variant}.spec.{each.field}"
                problems[Problem(field, f"{each.message} (scale {scale})")] = None
    return list(problems)


def _spec_problems(recipe: Recipe, variant: str, scale: str) -> list[Problem]:
    try:
        spec = recipe.spec(variant, scale)
        resolve(spec)
    except BadInput as error:
        return error.problems
    except ValidationError as error:
        return problems_of(error)
    problems = []
    for index, question in enumerate(spec.questions):
        where, ability = f"questions.{index}", abilities().get(question.ability)
        if ability is None:
            known = ", ".join(abilities()) or "none"
            sentence = f"there is no ability `{question.ability}`. Known: {known}."
            problems.append(Problem(f"{where}.ability", sentence))
            continue
        try:
            ability.Config.model_validate(question.config)
        except ValidationError as error:
            problems += problems_of(error, f"{where}.config")
    return problems


def broken() -> list[Broken]:
    """Every file of the package and of plug-ins that failed to import, every part whose id another
    has, and every recipe that is none."""
    files = [item for kind in KINDS for item in of_kind(kind).broken]
    claims = [Broken(item.path, item.error, "") for item in recipes().broken]
    return [*files, *plugins.broken(), *claims]


@dataclass(frozen=True)
class Resolved:
    """A RunSpec whose every part was found and validated."""

    spec: RunSpec
    """with the preset's budget where the spec gave none"""
    method: type[Method]
    config: Config
    dataset: Dataset


def resolve(spec: RunSpec) -> Resolved:
    """The method, its typed Config and the data set of a RunSpec.

    Raises BadInput with every problem found: unknown method, preset or data set, and each field
    that breaks a rule. Loads no data.
    """
    problems = []
    method = methods().get(spec.method)
    if method is None:
        known = ", ".join(methods())
        raise BadInput.at("method", f"there is no method `{spec.method}`. Known: {known}.")
    preset = method.presets.get(spec.preset)
    if preset is None:
        known = ", ".join(method.presets)
        raise BadInput.at(
            "preset", f"`{spec.method}` has no preset `{spec.preset}`. Known: {known}."
        )
    config = dataset = None
    try:
        config = configured(method, spec.preset, spec.config)
    except ValidationError as error:
        problems += problems_of(error, "config")
    try:
        dataset = resolve_data(spec.data)
    except BadInput as error:
        problems += error.problems
    if problems or config is None or dataset is None:
        raise BadInput(*problems)
    budget = preset.budget if spec.budget.is_empty() else spec.budget
    if budget.gradients and not (method.follows_gradient or budget.steps or budget.seconds):
        raise BadInput.at(
            "budget.gradients",
            "this method evaluates no gradient in x, so it would never end. Give steps or seconds.",
        )
    return Resolved(spec.model_copy(update={"budget": budget}), method, config, dataset)


def configured(
    method: type[Method], preset: str = "default", changes: Mapping[str, Any] = NO_CHANGES
) -> Config:
    """The Config of a preset, with changes laid on it.

    What a preset names of a part (`train`, `sampler`, …) is laid on the method's own defaults, so
    that the rest of them stands, unless it names another `kind`. Raises ValidationError.
    """
    own = method.Config().model_dump(mode="json")
    chosen = merge(own, method.presets[preset].config)
    whole = method.Config.model_validate(chosen).model_dump(mode="json")
    return method.Config.model_validate(merge(whole, dict(changes)))


def with_data(raw: dict[str, Any]) -> dict[str, Any]:
    """A RunSpec as plain data; where it names no data, with those that its preset is made for."""
    method = methods().get(str(raw.get("method")))
    preset = None if method is None else method.presets.get(str(raw.get("preset", "default")))
    if "data" in raw or preset is None or preset.data is None:
        return raw
    return {**raw, "data": dict(preset.data)}


def given_problems(method: type[Method], data: Data) -> list[tuple[str, str]]:
    """(field, sentence) where data do not give of their rows what a method needs beside x."""
    taken = (*method.needs, *method.learns_from)
    lacking = [name for name in taken if name not in data.given]
    if not lacking:
        return []
    fitting = [name for name, cls in datasets().items() if set(taken) <= set(cls.gives)]
    named = "".join(f" with data.{name}" for name in taken)
    fitting = [f"`{name}`" for name in fitting]
    fitting += [
        f"`{name}`{named}" for name, cls in datasets().items() if set(taken) <= set(cls.may_give)
    ]
    choice = f" Choose {' or '.join(fitting)}." if fitting else ""
    wanted = " and ".join(f"`{name}`" for name in lacking)
    does = "predicts" if method.needs else "learns"
    sentence = f"gives no {wanted} of its rows, and {method.title} {does} from it.{choice}"
    return [("data.name", sentence)]


def resolve_data(data: dict[str, Any]) -> Dataset:
    """The data set a RunSpec's `data` names. Raises BadInput."""
    name = data.get("name")
    cls = datasets().get(name) if isinstance(name, str) else None
    if cls is None:
        known = ", ".join(datasets())
        raise BadInput.at("data.name", f"there is no data set {name!r}. Known: {known}.")
    given = {key: value for key, value in data.items() if key != "name"}
    try:
        return cls(cls.Config.model_validate({"kind": name, **given}))
    except ValidationError as error:
        raise BadInput(*problems_of(error, "data")) from error


def publish() -> dict[str, Any]:
    """Everything a form needs, as plain JSON: the file workers leave for pages without torch."""
    return {
        "methods": {
            name: {
                "id": name,
                "title": cls.title,
                "summary": cls.summary,
                "references": cls.references,
                "url": cls.url,
                "schema": cls.Config.model_json_schema(),
                "presets": {
                    key: {
                        "summary": preset.summary,
                        "config": configured(cls, key).model_dump(mode="json"),
                        "budget": preset.budget.model_dump(exclude_none=True),
                        "wants_gpu": preset.wants_gpu,
                        "data": preset.data,
                    }
                    for key, preset in cls.presets.items()
                },
                "purpose": cls.purpose,
                "needs": list(cls.needs),
                "learns_from": list(cls.learns_from),
                "has_energy": cls.has_energy,
                "headline": list(cls.headline),
                "trains": cls.trains,
                "is_asked": cls.is_asked,
                "gradient": cls.follows_gradient,
                "observers": list(cls.observers),
            }
            for name, cls in methods().items()
        },
        "datasets": {
            name: {
                "name": name,
                "title": cls.title,
                "summary": cls.summary,
                "is_target": cls.is_target,
                "gradient": cls.has_gradient,
                "discrete": cls.discrete,
                "images": cls.is_image,
                "for_samplers": cls.for_samplers,
                "gives": list(cls.gives),
                "schema": cls.Config.model_json_schema(),
            }
            for name, cls in datasets().items()
        },
        "samplers": {name: _part(cls) for name, cls in samplers().items()},
        "networks": {name: _part(cls) for name, cls in networks().items()},
        "abilities": {
            name: {
                "id": name,
                "title": cls.title,
                "summary": cls.summary,
                "references": cls.references,
                "order": cls.order,
                "schema": cls.Config.model_json_schema(),
            }
            for name, cls in abilities().items()
        },
        "distributions": {name: _part(cls) for name, cls in distributions().items()},
        "observers": {
            name: {"id": name, "summary": cls.__doc__} for name, cls in observers().items()
        },
        "figures": {
            path: asdict(figure)
            for path, figure in {
                **{k: v for cls in methods().values() for k, v in cls.figures.items()},
                **FIGURES,  # last: no method gives what all have another meaning
            }.items()
        },
        "recipes": {
            name: {**item.model_dump(mode="json"), "num_runs": len(item.variants) * item.seeds}
            for name, item in recipes().recipes.items()
        },
        "broken": [asdict(item) for item in broken()],
    }


def _part(cls: Any) -> dict[str, Any]:
    config: type[KindConfig] = cls.Config
    return {
        "kind": config.model_fields["kind"].default,
        "title": config.title,
        "summary": config.summary,
        "exact": getattr(cls, "exact", None),
        "bias": getattr(cls, "bias", ""),
        "discrete": getattr(cls, "discrete", False),
        "gradient": getattr(cls, "follows_gradient", True),
        "population": getattr(cls, "population", False),
        "anneals": getattr(cls, "anneals", False),
        "references": getattr(cls, "references", ""),
        "schema": config.model_json_schema(),
    }


__all__ = [
    "Broken",
    "Budget",
    "Resolved",
    "broken",
    "discover",
    "distributions",
    "merge",
    "networks",
    "observers",
    "publish",
    "resolve",
    "samplers",
]
