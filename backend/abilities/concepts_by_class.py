"""Concepts by class: how probable each is under each class, by the run and in held-out data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import Problems, Words, label_name, nats
from backend.abilities.correct import (
    concept_answer,
    concept_names,
    concept_problems,
    setting,
)
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import CONCEPTS
from backend.events import Event
from backend.metrics import concepts
from backend.observe import pictures


class ConceptsByClassConfig(Config):
    num: int = option(
        2000,
        "Held-out events at most, over whose answers the mean is taken.",
        ge=2,
        le=100_000,
        main=True,
        log=True,
    )
    given: Words = option(
        [],
        "Concepts that are known beside the class, as in c3=1, c5=0: by names or numbers from 1, "
        "with commas between. Empty: the class alone.",
        max_length=64,
        main=True,
    )


class ConceptsByClassAbility(Ability):
    """p(c_k = 1 | y) = Σ_x p(c_k = 1, y | x) / Σ_x p(y | x), beside the shares in the same events.

    With concepts c' known: p(c_k = 1 | y, c') = Σ_x p(c_k = 1, y, c' | x) / Σ_x p(y, c' | x),
    beside the shares in those events that have c'; p(c' | x) is a product of one concept after
    another, each where those before are known. error is the mean distance of the two over other
    concepts and classes; its floor is that of the shares in training data. Xu et al. 2024.
    """

    id = "concepts_by_class"
    title = "Concepts by class"
    summary = "How probable each concept is under each class, beside what the data say."
    references = "Xu et al. 2024"
    Config: ClassVar[type[Config]] = ConceptsByClassConfig

    @classmethod
    def problems(cls, asked: Asked, config: ConceptsByClassConfig) -> Problems:
        if objections := [*concept_problems(asked)]:
            yield from objections
            return
        names = concept_names(asked.data)
        places: list[int] = []
        for word in config.given:
            [*chosen] = _settings([word], names)
            if not chosen:
                listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
                yield "given", f"must be among {listed}, each with =0 or =1; got {word!r}."
            elif chosen[0][0] in places:
                yield "given", f"names {names[chosen[0][0]]} twice. Keep one."
            places += [place for place, _ in chosen]

    @classmethod
    def answer(
        cls, asked: Asked, config: ConceptsByClassConfig, generator: torch.Generator
    ) -> Answer:
        data = asked.data
        z, labels, given = data.held_out_rows(slice(0, config.num))
        assert labels is not None and data.labels is not None
        names = concept_names(data)
        known = [*_settings(config.given, names)]
        model = _of_model(asked, z, known)
        truth, num = _of_rows(given[CONCEPTS], labels, known, data.num_labels)
        trained, _ = _of_rows(data.given[CONCEPTS], data.labels, known, data.num_labels)
        others = truth.clone()
        others[[place for place, _ in known]] = torch.nan
        figures = {"num_rows": float(num)}
        if bool(others.isfinite().any()):
            figures["error"] = concepts.error(model, others)
            figures["error/floor"] = concepts.error(trained, others)
        classes = [label_name(data, label) for label in range(data.num_labels)]
        events: tuple[Event, ...] = (
            pictures.concept_table("probabilities_model", data, model),
            pictures.concept_table("probabilities_data", data, truth),
        )
        gap = (model - others).abs().nan_to_num()
        at, label = divmod(int(gap.argmax()), data.num_labels)
        settings = ", ".join(f"{names[place]} = {value:g}" for place, value in known)
        name = f"p(concept | class, {settings})" if known else "p(concept | class)"
        if "error" in figures:
            summary = (
                f"{name} is off by {nats(figures['error'])} on average, over {num:,} held-out "
                f"events; those of training rows by {nats(figures['error/floor'])}. It is "
                f"furthest off for {names[at]} of {classes[label]}: {float(model[at, label]):.2f} "
                f"where data have {float(truth[at, label]):.2f}."
            )
        else:
            summary = f"No held-out event has {settings}: {name} stands beside nothing."
        arrays = {"model": pictures.float32(model), "data": pictures.float32(truth)}
        return Answer(summary, figures, arrays, events)


Known = list[tuple[int, float]]
"""Places of concepts and what they are"""


def _settings(words: list[str], names: list[str]) -> Iterator[tuple[int, float]]:
    """Places and values of those words that set a concept to 0 or 1."""
    for word in words:
        place, value = setting(word, names) or (0, None)
        if value is not None:
            yield place, value


def _of_model(asked: Asked, z: Tensor, known: Known) -> Tensor:
    """p(c_k = 1 | y, known) (num_concepts, num_labels) over rows z."""
    num = asked.data.held_out_given[CONCEPTS].shape[1]
    held = z.new_full((len(z), num), torch.nan)
    weight = torch.ones(len(z), dtype=torch.float64, device=z.device)
    answer = concept_answer(asked, z)
    for place, value in known:
        present = answer.concepts[:, place].double()
        weight = weight * (present if value else 1 - present)
        held[:, place] = value
        answer = concept_answer(asked, z, held)
    return concepts.by_class(answer.present, answer.log_labels, weight)


def _of_rows(truth: Tensor, labels: Tensor, known: Known, num_labels: int) -> tuple[Tensor, int]:
    """Shares of concepts by class in the rows that have `known`, and how many rows these are."""
    has = torch.ones(len(truth), dtype=torch.bool, device=truth.device)
    for place, value in known:
        has &= truth[:, place] == value
    return concepts.shares(truth[has], labels[has], num_labels), int(has.sum())
