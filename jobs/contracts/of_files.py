"""Contracts of whatever one file or package defines: what `basin check` runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backend import catalogue
from backend.ability import Asked
from backend.claims import recipe
from backend.errors import BadInput
from backend.randomness import generator_of
from backend.requests.asking import ask
from backend.system import discovery, plugins
from backend.system.home import home
from jobs.contracts import (
    Unkept,
    need,
    of_fields,
    of_methods,
    of_parts,
    of_samplers,
)
from jobs.contracts.small_runs import ELSEWHERE, prepared

Check = tuple[str, Callable[[], None]]
"""A check in words, and what raises where it is not kept."""


@dataclass(frozen=True)
class Outcome:
    """One check of one part."""

    part: str
    """`method wide`, or the file itself"""
    check: str
    problem: str = ""
    """a sentence; "" where it is kept"""
    trace: str = ""
    """where it was raised, for what raised by itself"""


def walk(path: Path) -> Iterator[Outcome]:
    """Check what a file, a package or a recipe defines, part by part; slow parts come as they end.

    Nothing is written into the home. Raises BadInput where there is nothing to check.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise BadInput.at("file", f"there is no {path}.")
    if path.suffix == ".yaml":
        yield from _of_recipe(path)
        return
    if not (path.suffix == ".py" or (path / "__init__.py").is_file()):
        message = (
            f"must be a .py file, a package (a folder with __init__.py) or a .yaml, got {path}."
        )
        raise BadInput.at("file", message)
    with _alone(path):
        yield from _of_code(path)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Discover a file beside what else is there, with a home that is thrown away."""
    before = {name: os.environ.get(name) for name in ("BASIN_HOME", "BASIN_PLUGINS")}
    named = [str(home() / "plugins"), before["BASIN_PLUGINS"], str(path)]
    with tempfile.TemporaryDirectory(prefix="basin-check-") as folder:
        os.environ["BASIN_HOME"] = folder
        os.environ["BASIN_PLUGINS"] = os.pathsep.join(name for name in named if name)
        discovery.forget()
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            discovery.forget()


def _of_code(path: Path) -> Iterator[Outcome]:
    inside = f"{path}{os.sep}"
    plugins.loaded()
    own = {m.__name__ for m, origin in plugins.loaded() if origin.path == str(path)}
    classes = {kind: discovery.of_kind(kind) for kind in discovery.KINDS}
    failed = [*plugins.broken(), *(item for each in classes.values() for item in each.broken)]
    for item in failed:
        if item.module == str(path) or item.module.startswith(inside) or item.module in own:
            yield Outcome(path.name, "is imported, with an id of its own", item.error, item.trace)
    there = {
        kind: [name for name, cls in each.classes.items() if cls.__module__ in own]
        for kind, each in classes.items()
    }
    if not any(there.values()):
        if not any(item.module == str(path) for item in failed):
            kinds = ", ".join(base.rpartition(":")[2] for _, base in discovery.KINDS.values())
            sentence = f"defines no part: a class that derives from one of {kinds}."
            yield Outcome(path.name, "defines a part", sentence)
        return
    for kind, names in there.items():
        for name in names:
            for title, check in _CHECKS[kind](name):
                yield _outcome(f"{kind} {name}", title, check)


def _outcome(part: str, title: str, check: Callable[[], None]) -> Outcome:
    try:
        check()
    except Unkept as error:
        return Outcome(part, title, str(error))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        problem = f"raises {type(error).__name__} in {place}: {error}"
        return Outcome(part, title, problem, traceback.format_exc())
    return Outcome(part, title)


def _named(check: Callable[..., None], *arguments: Any) -> Check:
    title = check.__name__.replace("_", " ").strip()
    beside = [str(each) for each in arguments[1:] if each]
    return (f"{title} ({', '.join(beside)})" if beside else title), partial(check, *arguments)


def _fields(name: str, cls: Any) -> Check:
    return "fields describe themselves", partial(
        of_fields.fields_describe_themselves, name, cls.Config
    )


def _of_method(name: str) -> Iterator[Check]:
    cls = catalogue.methods()[name]
    yield _fields(name, cls)
    yield _named(of_methods.describes_itself, name)
    for preset, item in cls.presets.items():
        yield _named(of_methods.preset_keeps_the_rest_of_training, name, preset)
        yield _named(of_methods.form_shows_few_fields, name, preset)
        yield _named(of_methods.steps_return_finite_scalars, name, preset)
        yield _named(of_methods.resumes_to_the_same_numbers, name, preset)
        yield _named(of_methods.arithmetic_changes_no_numbers, name, preset)
        if item.wants_gpu:
            continue
        yield _named(of_methods.same_seed_gives_the_same_numbers, name, preset)
        yield _named(of_methods.watching_changes_nothing, name, preset)
        yield _named(of_methods.events_survive_the_wire, name, preset)
        if cls.has_energy:
            yield _named(of_methods.data_get_lower_energy_than_noise, name, preset)
    yield _named(of_methods.without_an_energy_says_so_and_draws, name)
    if "energy" in cls.Config.model_fields:
        yield _named(of_methods.misfits_are_named_before_set_up, name)
    for preset in of_fields.telling_presets(name):
        yield _named(of_fields.no_field_changes_nothing, name, preset, {})
        yield _named(of_fields.turned_field_counts_as_launched, name, preset, {})


def _of_sampler(kind: str) -> Iterator[Check]:
    cls = catalogue.samplers()[kind]
    yield _fields(kind, cls)
    yield _named(of_samplers.says_its_bias_and_what_it_does_not_fit, kind)
    if cls.discrete:
        yield _named(of_samplers.keeps_to_whole_numbers, kind)
    for shape in () if cls.discrete else of_samplers.SHAPES:
        yield _named(of_samplers.walks_any_shape_and_counts_its_gradients, kind, shape)
    if of_samplers.stays_exact(kind) and cls.discrete:
        yield _named(of_samplers.leaves_the_law_of_whole_numbers, kind)
    elif of_samplers.stays_exact(kind):
        yield _named(of_samplers.leaves_the_law, kind)
    fields = {"sampler": {"kind": kind}}
    for check in (of_fields.no_field_changes_nothing, of_fields.turned_field_counts_as_launched):
        yield check.__name__.replace("_", " "), partial(check, "sampling", "default", fields)


def _of_energy(kind: str) -> Iterator[Check]:
    yield _fields(kind, catalogue.networks()[kind])
    for shape in of_parts.SHAPES:
        yield _named(of_parts.gives_an_energy_an_event_or_says_why_not, kind, shape)


def _of_dataset(name: str) -> Iterator[Check]:
    yield _fields(name, catalogue.datasets()[name])
    if name not in ELSEWHERE:
        yield _named(of_parts.is_standardised_and_comes_back, name)
        yield _named(of_parts.has_one_sign, name)


def _of_distribution(kind: str) -> Iterator[Check]:
    yield _fields(kind, catalogue.distributions()[kind])
    yield _named(of_parts.draws_have_finite_log_density, kind)


def _of_ability(name: str) -> Iterator[Check]:
    cls = catalogue.abilities()[name]
    yield _fields(name, cls)
    yield _named(_answers_the_same_twice, name)


def _answers_the_same_twice(name: str) -> None:
    """A sentence, and figures that the generator alone decides."""
    cls = catalogue.abilities()[name]
    need(cls.title, "has no `title`.")
    need(cls.summary.endswith("."), "its `summary` has no full stop.")
    run = prepared("contrastive_divergence")
    run.method.advance(0.0)
    asked = Asked(run.method, run.data, seed=1)
    try:
        first, second = (ask(asked, name, {}, generator_of("ask", 0)) for _ in range(2))
    except BadInput as error:  # it fits other runs: that it says so is the contract
        need(str(error).rstrip().endswith("."), f"refuses without a sentence: {error}")
        return
    need(first.summary.rstrip().endswith("."), f"its answer is no sentence: {first.summary!r}.")
    need(
        first.figures == second.figures,
        "two answers of one generator differ: draw from the one that is passed.",
    )


def _of_observer(name: str) -> Iterator[Check]:
    cls = catalogue.observers()[name]
    has_sentence = partial(need, cls.__doc__, "its class has no docstring: pages show it.")
    yield "says what it observes", has_sentence


def _of_recipe(path: Path) -> Iterator[Outcome]:
    part = f"recipe {path.stem}"

    def is_read() -> None:
        recipe.parse(path.read_text(encoding="utf-8"), path.stem)

    def can_be_launched() -> None:
        item = recipe.parse(path.read_text(encoding="utf-8"), path.stem)
        problems = catalogue.recipe_problems(item)
        need(not problems, "; ".join(str(problem) for problem in problems))

    outcome = _outcome(part, "is read", is_read)
    yield outcome
    if not outcome.problem:
        yield _outcome(part, "its runs can be launched", can_be_launched)


_CHECKS: dict[str, Callable[[str], Iterator[Check]]] = {
    "method": _of_method,
    "sampler": _of_sampler,
    "energy": _of_energy,
    "distribution": _of_distribution,
    "dataset": _of_dataset,
    "ability": _of_ability,
    "observer": _of_observer,
}
