"""Small changes of held-out events that make a classifier err, within a ball around each."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.abilities import Problems, cloud, real_only
from backend.abilities.classify import class_log_probs, class_problems
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.data import Data
from backend.events import Table
from backend.metrics.classification import accuracy
from backend.observe import pictures
from backend.sampler import per_chain

Norm = Literal["linf", "l2"]
STEP = 2.5
"""Length of all steps together, in radii: enough to reach any place in the ball and turn back."""


class AttackConfig(Config):
    norm: Norm = option(
        "linf", "How a change is measured: its largest coordinate, or its length.", main=True
    )
    radius: float = option(
        0.2, "Largest change of an event.", unit="data sd", gt=0, le=100, main=True, log=True
    )
    num_steps: int = option(20, "Gradient steps of an attack.", ge=1, le=1000, main=True, log=True)
    num: int = option(
        500, "At most so many held-out events.", ge=1, le=100_000, main=True, log=True
    )
    random_start: bool = option(True, "Start anywhere in the ball; off, at the event itself.")


class AttackAbility(Ability):
    """x ← P(x + a ∇ direction of −log p(label | x)), P onto the ball of `radius` around the event
    and, for images, between black and white.

    The direction is the gradient's sign (linf) or the gradient over its length (l2). `random`: the
    same ball, one change drawn at its edge. An upper bound on the accuracy under attack: stronger
    attacks may exist. Madry et al. 2018.
    """

    id = "attack"
    title = "Attack on the classes"
    summary = "Accuracy on held-out events changed as little as makes it err, beside clean ones."
    references = "Madry et al. 2018"
    Config: ClassVar[type[Config]] = AttackConfig

    @classmethod
    def problems(cls, asked: Asked, config: AttackConfig) -> Problems:
        yield from real_only(asked, "radius")
        yield from class_problems(asked)
        if asked.data.held_out_labels is None:
            yield "", "needs held-out data of known classes, and these have none."

    @classmethod
    def answer(cls, asked: Asked, config: AttackConfig, generator: torch.Generator) -> Answer:
        data, known = asked.data, asked.data.held_out_labels
        assert known is not None
        z, labels = data.held_out[: config.num], known[: config.num]
        attacked = attack(asked, z, labels, config, generator)
        noise = torch.randn(z.shape, generator=generator, device=z.device)
        random = _inside(data, z, z + _direction(noise, config.norm) * config.radius, config)
        sets = {"clean": z, "random": random, "attacked": attacked}
        accuracies = {name: accuracy(class_log_probs(asked, x), labels) for name, x in sets.items()}
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
        rows: list[list[str | float | int | None]] = [
            [name, value] for name, value in (*accuracies.items(), ("most frequent class", floor))
        ]
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "attacked": pictures.in_units(data.restore(attacked)),
            "label": labels.cpu().numpy(),
        }
        events = (
            *cloud("attacked", data, attacked, "noise"),
            Table("table", ["held-out events", "accuracy"], rows),
        )
        return Answer(summary, figures, arrays, events)


def attack(
    asked: Asked, z: Tensor, labels: Tensor, config: AttackConfig, generator: torch.Generator
) -> Tensor:
    """Standardised z (num, *event_shape) changed within the ball so that labels (num,) get less
    likely."""
    x = z
    if config.random_start:
        noise = torch.randn(z.shape, generator=generator, device=z.device)
        share = torch.rand((len(z),), generator=generator, device=z.device)
        x = _inside(
            asked.data,
            z,
            z + config.radius * per_chain(share, z) * _direction(noise, config.norm),
            config,
        )
    step = STEP * config.radius / config.num_steps
    for _ in range(config.num_steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            log_probs = asked.method.class_log_probs(x)
            assert log_probs is not None
            loss = F.nll_loss(log_probs, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
        x = _inside(asked.data, z, x.detach() + step * _direction(gradient, config.norm), config)
    return x


def _direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The steepest direction of size 1 in a norm."""
    if norm == "linf":
        return gradient.sign()
    length = gradient.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return gradient / per_chain(length, gradient)


def _inside(data: Data, centre: Tensor, x: Tensor, config: AttackConfig) -> Tensor:
    """The nearest place in the ball around each centre; of images, between black and white."""
    change = x - centre
    if config.norm == "linf":
        change = change.clamp(-config.radius, config.radius)
    else:
        length = change.flatten(1).norm(dim=1)
        change = change * per_chain((config.radius / length.clamp(min=config.radius)), change)
    x = centre + change
    # an event lies between black and white itself, so this takes nothing out of the ball
    return x.clamp(data.noise_low, data.noise_high) if data.is_image else x
