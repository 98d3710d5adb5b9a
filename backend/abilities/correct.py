"""Correcting concepts of an event: what becomes of the other concepts and of the class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Cells, Problems, Words, label_name, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import CONCEPTS, Data
from backend.events import Curve, Event, Table
from backend.metrics import concepts
from backend.metrics.concepts import ConceptAnswer
from backend.observe import pictures


class CorrectConfig(Config):
    row: int = option(0, "Place of the held-out event, from 0.", ge=0, le=10_000_000, main=True)
    concepts: Words = option(
        [],
        "Concepts to correct, by names or numbers from 1 with commas between: each is set to what "
        "it is, or by hand as in c3=1. Empty corrects those that the run tells wrong.",
        max_length=64,
        main=True,
    )
    num: int = option(
        1000,
        "Held-out events whose accuracy is given by how many concepts are known.",
        ge=1,
        le=100_000,
        log=True,
    )


def concept_problems(asked: Asked, field: str = "") -> Problems:
    """(field, sentence) where a run cannot be asked for concepts."""
    if asked.method.concepts_and_class(asked.data.held_out[:1]) is None:
        yield field, f"{asked.method.title} knows no concepts. Ask a run of `concept_bottleneck`."


def concept_answer(asked: Asked, z: Tensor, known: Tensor | None = None) -> ConceptAnswer:
    """Concepts and class of standardised z, of a run without `concept_problems`."""
    with torch.no_grad():
        answer = asked.method.concepts_and_class(z, known)
    assert answer is not None
    return answer


def concept_names(data: Data) -> list[str]:
    """One name for each of the concepts."""
    num = data.held_out_given[CONCEPTS].shape[1]
    return list(data.concept_names) or [f"concept {index + 1}" for index in range(num)]


class CorrectAbility(Ability):
    """p(c_k | x) and p(y | x) of one event before and after some of its concepts are known.

    rest_accuracy/n and class_accuracy/n: of other held-out events with n concepts known, drawn for
    each, the shares of the other concepts and of the classes that are told right. A plain concept
    bottleneck moves no concept. Koh et al. 2020; Xu et al. 2024.
    """

    id = "correct"
    title = "Correct concepts"
    order = 3
    summary = "Sets some concepts of an event right: what becomes of the others and of the class."
    references = "Koh et al. 2020; Xu et al. 2024"
    Config: ClassVar[type[Config]] = CorrectConfig

    @classmethod
    def problems(cls, asked: Asked, config: CorrectConfig) -> Problems:
        if objections := [*concept_problems(asked)]:
            yield from objections
            return
        num = len(asked.data.held_out)
        if config.row >= num:
            yield "row", f"must be less than {num}, as many events are held out; got {config.row}."
        names = concept_names(asked.data)
        for word in config.concepts:
            if setting(word, names) is None:
                listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
                yield "concepts", f"must be among {listed}, alone or with =0 or =1; got {word!r}."

    @classmethod
    def answer(cls, asked: Asked, config: CorrectConfig, generator: torch.Generator) -> Answer:
        data, names = asked.data, concept_names(asked.data)
        z, truth, given = data.held_out_rows(slice(config.row, config.row + 1))
        true = given[CONCEPTS]
        before = concept_answer(asked, z)
        known = torch.full_like(true, torch.nan)
        if config.concepts:
            for at, value in filter(None, (setting(word, names) for word in config.concepts)):
                known[0, at] = true[0, at] if value is None else value
        else:
            known = torch.where((before.concepts > 0.5) == (true > 0.5), known, true)
        after = concept_answer(asked, z, known)
        is_known = known[0].isfinite()
        moved = (after.concepts - before.concepts)[0].abs()[~is_known]
        figures = {
            "num_known": float(is_known.sum()),
            "moved": float(moved.max()) if len(moved) else 0.0,
            "class_probability": float(after.log_labels.max().exp()),
            "class_probability/before": float(before.log_labels.max().exp()),
        }
        calls = [int(answer.log_labels.argmax()) for answer in (before, after)]
        if truth is not None:
            for name, answer in (("", after), ("/before", before)):
                figures[f"true_class{name}"] = float(answer.log_labels[0, int(truth)].exp())
        curve = _accuracies(asked, config.num)
        for number, each in enumerate(curve):
            figures[f"class_accuracy/{number}"] = each.label
            if number < len(names):
                figures[f"rest_accuracy/{number}"] = each.rest
        y = np.array([[each.label for each in curve], [each.rest for each in curve]], np.float32)
        x = np.arange(len(curve), dtype=np.float32)
        events: list[Event] = [
            _concept_table(names, true, known, before, after),
            _class_table(data, before, after),
            Curve("accuracy", x, y, ["class", "other concepts"], "concepts known", "share"),
        ]
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "concepts": pictures.float32(torch.cat([before.concepts, after.concepts])),
            "probability": pictures.float32(torch.cat([before.log_labels, after.log_labels]).exp()),
        }
        return Answer(_in_words(data, names, is_known, calls, figures), figures, arrays, (*events,))


def setting(word: str, names: list[str]) -> tuple[int, float | None] | None:
    """Place of a concept by a word such as c3, 3 or c3=1, and what it is set to, None for what it
    is; None for no concept."""
    name, _, value = (
        (part.strip() for part in word.rpartition("=")) if "=" in word else (word, "", "")
    )
    if value not in ("", "0", "1") or ("=" in word and not value):
        return None
    if name in names:
        return names.index(name), float(value) if value else None
    if name.isdecimal() and 1 <= int(name) <= len(names):
        return int(name) - 1, float(value) if value else None
    return None


def _accuracies(asked: Asked, num: int) -> list[concepts.Accuracies]:
    """Shares told right where 0, 1, 2, … concepts are known."""
    z, labels, given = asked.data.held_out_rows(slice(0, num))
    truth = given[CONCEPTS]
    assert labels is not None
    shares = []
    for number in range(truth.shape[1] + 1):
        known = concepts.known(truth, number)
        answer = concept_answer(asked, z, known)
        shares.append(concepts.accuracies(answer.log_labels, answer.concepts, known, truth, labels))
    return shares


def _concept_table(
    names: list[str], true: Tensor, known: Tensor, before: ConceptAnswer, after: ConceptAnswer
) -> Table:
    rows: list[Cells] = [
        [
            name,
            int(true[0, at]),
            float(before.concepts[0, at]),
            int(known[0, at]) if bool(known[0, at].isfinite()) else None,
            float(after.concepts[0, at]),
        ]
        for at, name in enumerate(names)
    ]
    return Table("concepts", ["concept", "truth", "before", "set to", "after"], rows)


def _class_table(data: Data, before: ConceptAnswer, after: ConceptAnswer) -> Table:
    rows: list[Cells] = [
        [label_name(data, label), float(one), float(other)]
        for label, (one, other) in enumerate(
            zip(before.log_labels[0].exp(), after.log_labels[0].exp(), strict=True)
        )
    ]
    return Table("classes", ["class", "before", "after"], rows)


def _in_words(
    data: Data, names: list[str], is_known: Tensor, calls: list[int], figures: dict[str, float]
) -> str:
    if not bool(is_known.any()):
        return (
            "All concepts of this event are told right, so none is corrected; its class is called "
            f"{label_name(data, calls[0])}. Name some to set them by hand."
        )
    listed = ", ".join(name for name, at in zip(names, is_known.tolist(), strict=True) if at)
    other = "stays" if calls[0] == calls[1] else f"goes from {label_name(data, calls[0])} to"
    sentence = (
        f"With {listed} set, the class {other} {label_name(data, calls[1])}, at a probability of "
        f"{nats(figures['class_probability'])}; another concept moves by up to "
        f"{nats(figures['moved'])}."
    )
    most = len(names) - 2
    if most > 0:
        sentence += (
            f" With {most} of {len(names)} known, {figures[f'rest_accuracy/{most}']:.1%} of the "
            f"others are told right, {figures['rest_accuracy/0']:.1%} with none."
        )
    return sentence
