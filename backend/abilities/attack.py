"""Small changes of held-out events that make a classifier err, within a ball around each."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.abilities import (
    EACH,
    Cells,
    Label,
    Problems,
    cloud,
    label_of,
    label_problems,
    nats,
    real_only,
)
from backend.abilities.classify import class_log_probs, log_probs_of, slope_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Event, Table
from backend.metrics.classification import accuracy
from backend.metrics.density import energies
from backend.objectives import attacks
from backend.observe import pictures


class AttackConfig(attacks.AttackConfig):
    num: int = option(500, "At most so many held-out events.", ge=1, le=100_000, log=True)
    target: Label = option(
        "",
        "The class, by name or number, that events of the others should be taken for; empty lets "
        "any wrong one do.",
        max_length=100,
        main=True,
    )
    random_start: bool = option(True, "Start anywhere in the ball; off, at the event itself.")


class AttackAbility(Ability):
    """x ← P(x + a ∇ direction of −log p(label | x)), P onto the ball of `radius` around the event
    and, for images, between black and white; with a target up log p(target | x) instead.

    The direction is the gradient's sign (linf) or the gradient over its length (l2). `random`: the
    same ball, one change drawn at its edge. An upper bound on the accuracy under attack: stronger
    attacks may exist. Of runs with an energy also the mean energy of each set. Madry et al. 2018.
    """

    id = "attack"
    title = "Attack on the classes"
    summary = "Accuracy on held-out events changed as little as makes it err, beside clean ones."
    references = "Madry et al. 2018"
    Config: ClassVar[type[Config]] = AttackConfig

    @classmethod
    def problems(cls, asked: Asked, config: AttackConfig) -> Problems:
        yield from real_only(asked, "radius")
        yield from slope_problems(asked)
        objections = list(label_problems(asked, config.target, "target"))
        if config.target == EACH:
            objections.append(("target", "must be one class, got all of them."))
        yield from objections
        labels = asked.data.held_out_labels
        if labels is None:
            yield "", "Held-out data of known classes are needed, and these have none."
        elif config.target and not objections and _only(asked, labels, config.target):
            yield "target", "must leave held-out events of another class, and all are of it."

    @classmethod
    def answer(cls, asked: Asked, config: AttackConfig, generator: torch.Generator) -> Answer:
        data, known = asked.data, asked.data.held_out_labels
        assert known is not None
        z, labels = data.held_out, known
        target = label_of(asked, config.target) if config.target else None
        if target is not None:
            z, labels = z[labels != target], labels[labels != target]
        z, labels = z[: config.num], labels[: config.num]
        attacked = attack(asked, z, labels, config, generator, target)
        random = attacks.ball_of(config, data).edge(z, generator)
        sets = {"clean": z, "random": random, "attacked": attacked}
        called = {name: class_log_probs(asked, x) for name, x in sets.items()}
        accuracies = {name: accuracy(log_probs, labels) for name, log_probs in called.items()}
        floor = float(labels.bincount().amax() / len(labels))
        figures = {
            "accuracy": accuracies["attacked"],
            "accuracy/clean": accuracies["clean"],
            "accuracy/random": accuracies["random"],
            "accuracy/floor": floor,
        }
        summary = (
            f"Of {len(z):,} held-out events {accuracies['clean']:.1%} are told right, "
            f"{accuracies['attacked']:.1%} under attack and {accuracies['random']:.1%} with random "
            f"changes as large; the most frequent class alone would be right of {floor:.1%}."
        )
        if target is not None:
            share = float((called["attacked"].argmax(1) == target).double().mean())
            figures["success"] = share
            summary += f" {share:.1%} are taken for class {config.target}."
        values: dict[str, Tensor] = {}
        if asked.method.has_energy:
            values = {name: energies(asked.method.energy(), x) for name, x in sets.items()}
            figures |= {f"energy/{name}": float(value.mean()) for name, value in values.items()}
            figures["energy/gap"] = figures["energy/attacked"] - figures["energy/clean"]
            summary += (
                f" Mean energies are {nats(figures['energy/clean'])} and "
                f"{nats(figures['energy/attacked'])}."
            )
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "attacked": pictures.in_units(data.restore(attacked)),
            "label": labels.cpu().numpy(),
            "called": called["attacked"].argmax(1).cpu().numpy(),
        }
        events = [
            *cloud("natural", data, z, "data", values.get("clean")),
            *cloud("attacked", data, attacked, "noise", values.get("attacked")),
            _table(accuracies, values, floor),
        ]
        return Answer(summary, figures, arrays, tuple(events))


def attack(
    asked: Asked,
    z: Tensor,
    labels: Tensor,
    config: AttackConfig,
    generator: torch.Generator,
    target: int | None = None,
) -> Tensor:
    """Standardised z (num, *event_shape) changed within the ball so that labels (num,) get less
    likely, or one class more."""
    return attacks.attacked(
        log_probs_of(asked),
        z,
        labels,
        config,
        asked.data,
        generator,
        targets=None if target is None else torch.full_like(labels, target),
        random_start=config.random_start,
    )


def _only(asked: Asked, labels: Tensor, target: str) -> bool:
    number = label_of(asked, target)
    return number is not None and bool(labels.eq(number).all())


def _table(accuracies: dict[str, float], values: dict[str, Tensor], floor: float) -> Event:
    rows: list[Cells] = [
        [name, value, *([float(values[name].mean())] if values else [])]
        for name, value in accuracies.items()
    ]
    rows.append(["most frequent class", floor, *([None] if values else [])])
    energy = ["mean energy, nats"] if values else []
    return Table("table", ["held-out events", "accuracy", *energy], rows)
