"""Concepts by class: how probable each is under each class, by the run and in held-out data."""

from __future__ import annotations

from typing import ClassVar

import torch

from backend.abilities import Problems, label_name, nats
from backend.abilities.correct import CONCEPTS, concept_answer, concept_names, concept_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
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


class ConceptsByClassAbility(Ability):
    """p(c_k = 1 | y) = Σ_x p(c_k = 1, y | x) / Σ_x p(y | x), beside the shares in the same events.

    error is the mean distance of the two over concepts and classes; its floor is that of the shares
    in training data. Xu et al. 2024.
    """

    id = "concepts_by_class"
    title = "Concepts by class"
    summary = "How probable each concept is under each class, beside what the data say."
    references = "Xu et al. 2024"
    Config: ClassVar[type[Config]] = ConceptsByClassConfig

    @classmethod
    def problems(cls, asked: Asked, config: ConceptsByClassConfig) -> Problems:
        yield from concept_problems(asked)

    @classmethod
    def answer(
        cls, asked: Asked, config: ConceptsByClassConfig, generator: torch.Generator
    ) -> Answer:
        data = asked.data
        z, labels, given = data.held_out_rows(slice(0, config.num))
        assert labels is not None and data.labels is not None
        answer = concept_answer(asked, z)
        model = concepts.by_class(answer.present, answer.log_labels)
        truth = concepts.shares(given[CONCEPTS], labels, data.num_labels)
        trained = concepts.shares(data.given[CONCEPTS], data.labels, data.num_labels)
        figures = {
            "error": concepts.error(model, truth),
            "error/floor": concepts.error(trained, truth),
        }
        names = concept_names(data)
        classes = [label_name(data, label) for label in range(data.num_labels)]
        events: tuple[Event, ...] = (
            pictures.concept_table("probabilities_model", data, model),
            pictures.concept_table("probabilities_data", data, truth),
        )
        gap = (model - truth).abs().nan_to_num()
        at, label = divmod(int(gap.argmax()), data.num_labels)
        summary = (
            f"p(concept | class) is off by {nats(figures['error'])} on average, over {len(z):,} "
            f"held-out events; those of training rows by {nats(figures['error/floor'])}. It is "
            f"furthest off for {names[at]} of {classes[label]}: {float(model[at, label]):.2f} "
            f"where data have {float(truth[at, label]):.2f}."
        )
        arrays = {"model": pictures.float32(model), "data": pictures.float32(truth)}
        return Answer(summary, figures, arrays, events)
