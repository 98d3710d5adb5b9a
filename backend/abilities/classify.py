"""Classes of positions with their probabilities: of held-out data, or of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from backend.abilities import Problems, label_name, nats, positions_problems, read_positions
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.events import Curve, Event, Table
from backend.metrics import classification
from backend.observe import pictures

CHUNK = 4096


class ClassifyConfig(Config):
    path: str = option(
        "",
        "Positions in a file, .npy (num, ...) or a table, in the data's units; else held-out data.",
        max_length=1000,
        main=True,
    )
    num: int = option(
        2000, "At most so many of the positions.", ge=1, le=1_000_000, main=True, log=True
    )


def class_problems(asked: Asked, field: str = "") -> Problems:
    """(field, sentence) where a run cannot be asked for classes of positions."""
    if asked.method.class_log_probs(asked.data.held_out[:1]) is None:
        yield field, f"{asked.method.title} tells no classes apart, so it knows none of positions."


def slope_problems(asked: Asked) -> Problems:
    """(field, sentence) where probabilities of classes have no gradient in x to follow."""
    if objections := [*class_problems(asked)]:
        yield from objections
        return
    with torch.enable_grad():
        z = asked.data.held_out[:1].clone().requires_grad_()
        if not log_probs_of(asked)(z).requires_grad:
            title = asked.method.title
            yield "", f"{title} answers by a descent of its own here, which has no gradient in x."


def class_log_probs(asked: Asked, z: Tensor) -> Tensor:
    """log p(label | z), (num, num_labels), a chunk at a time."""
    parts = [asked.method.class_log_probs(part) for part in z.split(CHUNK)]
    return torch.cat([part for part in parts if part is not None])


def log_probs_of(asked: Asked) -> Callable[[Tensor], Tensor]:
    """log p(label | z) (batch, num_labels) of standardised z, with a graph where z wants its
    gradient, of a run without `class_problems`."""

    def log_probs(z: Tensor) -> Tensor:
        values = asked.method.class_log_probs(z)
        assert values is not None
        return values

    return log_probs


class ClassifyAbility(Ability):
    """p(label | x) of every position: softmax of the logits.

    Of held-out data with known classes also the accuracy, −log p of the true class, the expected
    calibration error and the reliability diagram: how often calls of a confidence are right.
    """

    id = "classify"
    title = "Classes of positions"
    order = 2
    summary = "The class of every position and how probable it is."
    references = "Guo et al. 2017"
    Config: ClassVar[type[Config]] = ClassifyConfig

    @classmethod
    def problems(cls, asked: Asked, config: ClassifyConfig) -> Problems:
        yield from class_problems(asked)
        yield from positions_problems(asked.data, config.path)

    @classmethod
    def answer(cls, asked: Asked, config: ClassifyConfig, generator: torch.Generator) -> Answer:
        data = asked.data
        z = (read_positions(data, config.path) if config.path else data.held_out)[: config.num]
        log_probs = class_log_probs(asked, z)
        confidence, called = log_probs.exp().max(1)
        names = [label_name(data, label) for label in range(log_probs.shape[1])]
        shares = called.bincount(minlength=len(names)).double() / len(called)
        figures = {f"share/{name}": float(s) for name, s in zip(names, shares, strict=True)}
        figures["confidence"] = float(confidence.mean())
        events: list[Event] = [
            Table("classes", ["class", "share"], [[n, figures[f"share/{n}"]] for n in names])
        ]
        summary = (
            f"The {len(z):,} positions are called of their most likely class with a probability of "
            f"{nats(figures['confidence'])} on average."
        )
        if not config.path and data.held_out_labels is not None:
            labels = data.held_out_labels[: config.num]
            figures |= {
                "accuracy": classification.accuracy(log_probs, labels),
                "accuracy/floor": float(labels.bincount().amax() / len(labels)),
                "log_loss": classification.log_loss(log_probs, labels),
                "calibration_error": classification.calibration_error(log_probs, labels),
            }
            counts = classification.confusion(log_probs, labels).tolist()
            rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
            events.append(Table("confusion", ["true class", *names], rows))
            events.append(reliability_curve("reliability", log_probs, labels))
            summary += (
                f" {figures['accuracy']:.1%} are right; the most frequent class alone would be "
                f"right of {figures['accuracy/floor']:.1%}."
            )
        arrays = {
            "x": pictures.in_units(data.restore(z)),
            "label": called.cpu().numpy(),
            "probability": pictures.float32(log_probs.exp()),
        }
        return Answer(summary, figures, arrays, tuple(events))


def reliability_curve(path: str, log_probs: Tensor, labels: Tensor) -> Curve:
    """Share of right calls over confidence, beside the diagonal where they are equal."""
    confidence, right = classification.reliability(log_probs, labels)
    y = np.stack([right, confidence]).astype(np.float32)
    x = confidence.astype(np.float32)
    return Curve(path, x, y, ["share of right calls", "as right as it says"], "confidence")
