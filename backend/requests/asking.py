"""Asking a trained run one of the abilities, and answering the questions of a RunSpec.

Whatever is asked, the run is left as it was: weights, modes, generators and the gradient counter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import nn

from backend import catalogue
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config
from backend.errors import BadInput, BasinError, NotAvailable, Problem
from backend.events import Event, Table, Text
from backend.method import Method
from backend.randomness import generator_of
from backend.requests.marginals import MarginalMethod
from backend.spec import Question, problems_of
from backend.training import Fitter

Cell = str | float | int | None


def ask(
    asked: Asked, ability_id: str, config: dict[str, Any], generator: torch.Generator
) -> Answer:
    """Answer of an ability about a run, from `generator` alone (on the device of the data).

    config: the ability's own fields. Raises BadInput for an unknown ability, a field that breaks a
    rule, and what makes no sense to ask of this run; NotAvailable for a run that is not there.
    """
    ability, checked = resolve_ability(ability_id, config)
    with left_alone(asked.method):
        objections = list(problems(asked, ability, checked))
        if objections:
            raise BadInput(*(Problem(*problem) for problem in objections))
        answer = ability.answer(asked, checked, generator)
    summary = answer.summary
    if ability.needs_density and asked.method.not_a_density:
        summary = f"{summary} {asked.method.not_a_density}"
    events = tuple(_plain_table(event) for event in answer.events)
    return replace(answer, summary=summary, events=events)


def resolve_ability(ability_id: str, config: dict[str, Any]) -> tuple[type[Ability], Config]:
    """The ability of an id and its typed Config. Raises BadInput at `ability` or at the fields."""
    known = catalogue.abilities()
    ability = known.get(ability_id)
    if ability is None:
        raise BadInput.at(
            "ability", f"there is no ability {ability_id!r}. Known: {', '.join(known)}."
        )
    try:
        return ability, ability.Config.model_validate(config)
    except ValidationError as error:
        raise BadInput(*problems_of(error)) from error


def problems(asked: Asked, ability: type[Ability], config: Config) -> Iterable[tuple[str, str]]:
    """(field, sentence) for everything that makes no sense to ask of this run."""
    if ability.needs_energy and not asked.method.has_energy:
        return [("", asked.method.no_energy())]
    return ability.problems(asked, config)


class Offer(NamedTuple):
    """Fit of one ability to a run."""

    refused: str
    """why nothing of the kind can be asked; "" where it can"""
    idle: dict[str, str]
    """why a field cannot be given, by its name"""


def offers(asked: Asked) -> dict[str, Offer]:
    """Offer of every ability to this run, by id."""
    with left_alone(asked.method):
        return {name: _offer(asked, ability) for name, ability in catalogue.abilities().items()}


def _offer(asked: Asked, ability: type[Ability]) -> Offer:
    method, fields = asked.method, ability.Config.model_fields
    refused = [
        sentence
        for field, sentence in problems(asked, ability, ability.Config())
        if field.partition(".")[0] not in ability.to_choose
    ]
    reasons: dict[str, str] = {}
    if method.num_labels == 0:
        reason = f"{method.title} was trained without classes, so it knows none."
        reasons |= dict.fromkeys(("label", "labels", "guidance"), reason)
    if not method.has_time:
        reasons["time"] = f"{method.title} has no time of its own."
    if not method.has_energy:
        reasons |= dict.fromkeys(("own_sampler", "sampler"), method.no_energy())
    if isinstance(method, MarginalMethod):
        reason = f"{method.title} draws independent events by itself, without chains or annealing."
        reasons |= dict.fromkeys(("num_steps", "num_components", "annealing", "ais"), reason)
    return Offer(
        refused[0] if refused else "", {name: reasons[name] for name in fields if name in reasons}
    )


@contextmanager
def left_alone(method: Method) -> Iterator[None]:
    """Modules in evaluation mode, no gradient of any weight; then all as it was before."""
    modules = list(_modules(method))
    modes = [module.training for module in modules]
    weights = [weight for module in modules for weight in module.parameters(recurse=False)]
    learns = [weight.requires_grad for weight in weights]
    gradients = method.gradient_evaluations
    try:
        for module in modules:
            module.training = False
        for weight in weights:
            weight.requires_grad_(False)
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for weight, learned in zip(weights, learns, strict=True):
            weight.requires_grad_(learned)
        if method.gradient_evaluations != gradients:
            method.gradient_evaluations = gradients


def _modules(method: Method) -> Iterable[nn.Module]:
    """Every module of a method once, averages included."""
    tops = [*method.modules()]
    if method.has_energy:
        tops.append(method.energy())
    for value in vars(method).values():
        if isinstance(value, Fitter):
            tops += [value.module, value.fitted]
    return {id(part): part for top in tops for part in top.modules()}.values()


# ---------------------------------------------------------------------- questions of a RunSpec


@dataclass(frozen=True)
class Answered:
    """Outcome of one question."""

    question: Question
    answer: Answer | None = None
    failure: str = ""
    """why there is no answer"""

    @property
    def path(self) -> str:
        return f"answers/{self.question.name}"

    @property
    def figures(self) -> dict[str, float]:
        """By the path they have among the run's metrics."""
        values = {} if self.answer is None else self.answer.figures
        return {f"{self.path}/{name}": value for name, value in values.items()}

    @property
    def events(self) -> list[Event]:
        """The summary, or the warning that says why there is none, and the pictures."""
        if self.answer is None:
            message = f"`{self.question.name}` was not answered. {self.failure}"
            return [Text(f"{self.path}/summary", message, "warning")]
        renamed = [replace(event, path=f"{self.path}/{event.path}") for event in self.answer.events]
        return [Text(f"{self.path}/summary", self.answer.summary), *renamed]

    @property
    def arrays(self) -> dict[str, Array]:
        return {} if self.answer is None else self.answer.arrays


def answer_questions(asked: Asked, questions: Iterable[Question]) -> Iterator[Answered]:
    """One after the other; draws depend on the run's seed and the question's name alone.

    A question that cannot be answered says why, and the next one is asked.
    """
    for question in questions:
        generator = generator_of("ask", asked.seed, question.name, device=asked.data.train.device)
        try:
            answer = ask(asked, question.ability, question.config, generator)
            yield Answered(question, answer)
        except BasinError as error:
            yield Answered(question, failure=str(error))
        except Exception as error:
            yield Answered(question, failure=f"{type(error).__name__}: {error}")


def question_problems(questions: Sequence[Question], asked: Asked) -> list[Problem]:
    """All that is known to be wrong with questions before the run is trained, each at
    `questions.<name>.…`."""
    all_found = []
    for name, times in Counter(question.name for question in questions).items():
        if times > 1:
            all_found.append(
                Problem(f"questions.{name}", f"is the name of {times} questions. Rename one.")
            )
    for question in questions:
        at = f"questions.{question.name}"
        try:
            ability, config = resolve_ability(question.ability, question.config)
            with left_alone(asked.method):
                objections = [Problem(*problem) for problem in problems(asked, ability, config)]
        except BadInput as error:
            objections = error.problems
        except NotAvailable as error:
            objections = [Problem("", str(error))]
        for problem in objections:
            field = problem.field if problem.field == "ability" else f"config.{problem.field}"
            all_found.append(Problem(f"{at}.{field}".rstrip("."), problem.message))
    return all_found


def _plain_table(event: Event) -> Event:
    """A table as JSON can hold it."""
    if not isinstance(event, Table):
        return event
    return replace(event, rows=[[_finite(cell) for cell in row] for row in event.rows])


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def plain(figures: dict[str, float]) -> dict[str, float | None]:
    """Figures as JSON can hold them: those that are not finite become None."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
