"""Samples of each class at several strengths of guidance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import (
    Cells,
    Drawing,
    Numbers,
    Problems,
    Words,
    cloud,
    drawing_problems,
    label_of,
    label_problems,
    nats,
    refused,
)
from backend.ability import Ability, Answer, Array, Asked
from backend.config import Config, option
from backend.events import Curve, Event, Table
from backend.method import SampleRequest
from backend.metrics.baselines import class_gaussian
from backend.metrics.features import space_of
from backend.metrics.quality import Quality, label_accuracy, label_spread
from backend.observe import pictures
from backend.requests import conditional_sampling

SHOWN = ("label_accuracy", "label_spread", "frechet_features", "frechet_pca", "energy_distance")
Figures = dict[str, float]


class ConditionConfig(Drawing):
    num: int = option(
        500,
        "Samples at each strength, the same number of every class.",
        ge=10,
        le=20_000,
        main=True,
        log=True,
        group="Samples",
    )
    strengths: Numbers = option(
        [0.0, 0.5, 1.0, 4.0],
        "Strengths of guidance, with commas between: 0 is the class's own "
        "law, more makes samples typical and alike.",
        min_length=1,
        max_length=12,
        main=True,
        group="Samples",
    )
    labels: Words = option(
        [],
        "Classes, by names or numbers with commas between; empty takes all of them.",
        max_length=100,
        main=True,
        group="Samples",
    )


class ConditionAbility(Ability):
    """x ~ p(x | label) ∝ p(x) p(label | x), with guidance w p(label | x)^{1+w}.

    label_accuracy: share of samples that the shipped classifier labels as asked. label_spread:
    within-class sd of features; far below that of real data all samples of a class are alike, while
    accuracy reads 1. One Gaussian a class stands beside all of it. Ho & Salimans 2022.
    """

    id = "condition"
    title = "Samples of classes"
    summary = "Draws each class at several strengths of guidance: how true to it, how varied."
    references = "Dhariwal & Nichol 2021; Ho & Salimans 2022"
    Config: ClassVar[type[Config]] = ConditionConfig

    @classmethod
    def samples(cls, config: ConditionConfig) -> tuple[str, ...]:
        return tuple(f"guidance_{strength:g}" for strength in config.strengths)

    @classmethod
    def problems(cls, asked: Asked, config: ConditionConfig) -> Problems:
        objections = list(drawing_problems(asked, config))
        if any(strength < 0 or strength > 100 for strength in config.strengths):
            objections.append(("strengths", "must each be from 0 to 100."))
        for label in config.labels or ["each"]:
            objections += label_problems(asked, label, "labels")
        names = {"guidance": "strengths", "label": "labels"}
        for strength in [] if objections else config.strengths:
            refusals = refused(asked, _request(asked, config, strength))
            objections += [(names.get(field, field), sentence) for field, sentence in refusals]
        yield from dict.fromkeys(objections)

    @classmethod
    def answer(cls, asked: Asked, config: ConditionConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        labels = _labels(asked, config)
        judge = Judge(asked, labels, whole=not config.labels)
        by_name: dict[str, Figures] = {}
        arrays: dict[str, Array] = {"label": labels.cpu().numpy()}
        events: list[Event] = []
        drawn: list[conditional_sampling.Drawn] = []
        order = labels.argsort(stable=True)
        for strength in config.strengths:
            name = f"guidance_{strength:g}"
            drawn.append(
                conditional_sampling.draw(
                    asked.method, _request(asked, config, strength), generator
                )
            )
            z = drawn[-1].position
            by_name[name] = judge.of(z, labels)
            arrays[name] = pictures.in_units(data.restore(z))
            per_class = max(1, 100 // len(labels.unique()))
            first = torch.cat(
                [order[labels[order] == label][:per_class] for label in labels.unique()]
            )
            events += cloud(f"samples/{name}", data, z[first], "long_run")
        by_name |= judge.beside(generator)
        figures = {
            f"{figure}/{name}": value
            for name, row in by_name.items()
            for figure, value in row.items()
        }
        events += _pictures(config, by_name)
        together = conditional_sampling.joined(drawn[-1].position, drawn)
        summary = f"{_in_words(config, by_name)} {together.sentence}"
        figures |= together.figures
        return Answer(summary, figures, arrays, tuple(events), together.caveat)


class Judge:
    """Figures of samples of classes, and of real ones and a Gaussian a class beside them."""

    def __init__(self, asked: Asked, labels: Tensor, whole: bool) -> None:
        self.data, self.labels = asked.data, labels
        space = space_of(asked.data)
        self.space = space if space is not None and space.num_labels else None
        # of some of the classes alone, all that is held out is no reference
        self.quality = Quality(asked.data, len(labels)) if whole else None

    def of(self, z: Tensor, labels: Tensor) -> Figures:
        figures: Figures = {}
        if self.space is not None and bool(z.isfinite().all()):
            figures["label_accuracy"] = label_accuracy(z, labels, self.space)
            figures["label_spread"] = label_spread(z, labels, self.space)
        if self.quality is not None:
            judged = self.quality.of(z)
            figures |= {name: judged[name] for name in SHOWN if name in judged}
        return figures

    def beside(self, generator: torch.Generator) -> dict[str, Figures]:
        """`floor`: held-out data, and training data where they are compared with those;
        `class_gaussian`."""
        data, rows = self.data, {}
        real: Figures = (
            {}
            if self.quality is None
            else {
                name: value
                for name, value in self.quality.floors(generator).items()
                if name in SHOWN
            }
        )
        if data.held_out_labels is not None and self.space is not None:
            of = torch.isin(data.held_out_labels, self.labels)
            real |= {
                "label_accuracy": label_accuracy(
                    data.held_out[of], data.held_out_labels[of], self.space
                ),
                "label_spread": label_spread(
                    data.held_out[of], data.held_out_labels[of], self.space
                ),
            }
        rows["floor"] = real
        if data.labels is not None:
            drawn = class_gaussian(data, self.labels, generator)
            rows["class_gaussian"] = self.of(drawn, self.labels)
        return rows


def _labels(asked: Asked, config: ConditionConfig) -> Tensor:
    """(num,) in turn."""
    chosen = [label_of(asked, label) for label in config.labels] or [
        *range(asked.method.num_labels)
    ]
    device = asked.data.train.device
    return torch.tensor(chosen, device=device)[
        torch.arange(config.num, device=device) % len(chosen)
    ]


def _request(asked: Asked, config: ConditionConfig, strength: float) -> SampleRequest:
    labels = _labels(asked, config)
    return SampleRequest(
        config.num,
        labels=labels,
        guidance=strength,
        num_steps=config.num_steps,
        sampler=config.kernel(),
    )


def _pictures(config: ConditionConfig, by_name: dict[str, Figures]) -> list[Event]:
    columns = [name for name in SHOWN if any(name in row for row in by_name.values())]
    titles = {"floor": "real ones", "class_gaussian": "one Gaussian a class"}
    rows: list[Cells] = [
        [titles.get(name, name.replace("_", " ")), *(row.get(c) for c in columns)]
        for name, row in by_name.items()
    ]
    events: list[Event] = [Table("table", ["samples", *columns], rows)]
    pair: list[str] = [name for name in ("label_accuracy", "label_spread") if name in columns]
    if pair and len(config.strengths) > 1:
        order = sorted(config.strengths)
        values = [
            [by_name[f"guidance_{strength:g}"].get(name, np.nan) for strength in order]
            for name in pair
        ]
        x = np.array(order, np.float32)
        events.append(Curve("guidance", x, np.array(values, np.float32), pair, "guidance"))
    return events


def _in_words(config: ConditionConfig, by_name: dict[str, Figures]) -> str:
    rows = {s: by_name[f"guidance_{s:g}"] for s in config.strengths}
    name = next((name for name in SHOWN if all(name in row for row in rows.values())), None)
    if name is None:
        return f"{config.num:,} samples at each strength; not all of them are finite."
    sentence = ", ".join(f"{nats(row[name])} at {s:g}" for s, row in rows.items())
    sentence = f"{name.replace('_', ' ')}: {sentence}"
    beside = by_name.get("class_gaussian", {}).get(name)
    sentence += "" if beside is None else f"; one Gaussian a class has {nats(beside)}"
    if name == "label_accuracy":
        real = by_name["floor"].get("label_spread", 0.0)
        alike = [f"{s:g}" for s, row in rows.items() if row["label_spread"] < 0.5 * real]
        if alike:
            sentence += (
                f". At {', '.join(alike)} a class varies less than half as much as real ones"
            )
    return sentence[0].upper() + sentence[1:] + "."
