"""Figures of concepts: told right, where others are known, and how often each class has them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from backend.randomness import generator_of


class ConceptAnswer(NamedTuple):
    """Concepts and class of positions, together."""

    log_labels: Tensor
    """(batch, num_labels): log p(y | x, what is known of c)"""
    present: Tensor
    """(batch, num_concepts, num_labels): p(c_k = 1, y | x, what is known of c)"""

    @property
    def concepts(self) -> Tensor:
        """p(c_k = 1 | x, what is known of c), (batch, num_concepts)."""
        return self.present.sum(2)


class Accuracies(NamedTuple):
    """Shares told right where some concepts are known."""

    label: float
    rest: float
    """of the concepts that are not known; NaN where all are"""


def known(concepts: Tensor, num: int) -> Tensor:
    """(batch, num_concepts): `num` of the true concepts of each row, NaN for the others.

    Which ones is drawn for each row, the same at every call, and they stay where there are more.
    """
    generator = generator_of("known concepts", len(concepts))
    order = torch.rand(concepts.shape, generator=generator).argsort(1).argsort(1)
    return torch.where(order.to(concepts.device) < num, concepts, torch.nan)


def accuracies(
    log_labels: Tensor, present: Tensor, given: Tensor, concepts: Tensor, labels: Tensor
) -> Accuracies:
    """Shares of classes by log_labels (batch, num_labels), and of concepts by their probabilities
    present (batch, num_concepts), that are right; given: what was known, as from `known`."""
    right = (present > 0.5) == (concepts > 0.5)
    label = (log_labels.argmax(1) == labels).double().mean()
    return Accuracies(float(label), float(right[given.isnan()].double().mean()))


def by_class(present: Tensor, log_labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """p(c_k = 1 | y) (num_concepts, num_labels) float64, over all rows, of present (batch,
    num_concepts, num_labels), p(c_k = 1, y | x), and log_labels (batch, num_labels), log p(y | x).

    weight (batch,): p(c' | x) where both are of rows in which c' is known, so that the answer is
    p(c_k = 1 | y, c'); 1 without it.
    """
    rows = torch.ones(len(present), device=present.device) if weight is None else weight
    of_rows = torch.einsum("b,bkm->km", rows.double(), present.double())
    return of_rows / (rows.double() @ log_labels.double().exp())


def shares(concepts: Tensor, labels: Tensor, num_labels: int) -> Tensor:
    """Share of rows of each class that have each concept, (num_concepts, num_labels) float64; NaN
    for a class without rows. concepts (batch, num_concepts), labels (batch,)."""
    of_class = torch.nn.functional.one_hot(labels, num_labels).double()
    return concepts.double().T @ of_class / of_class.sum(0)


def error(model: Tensor, truth: Tensor) -> float:
    """Mean |model − truth| over concepts and those classes that have rows."""
    return float((model - truth).abs().nanmean())


def majority(concepts: Tensor) -> float:
    """Share told right by saying of every concept what is more frequent in concepts (batch,
    num_concepts)."""
    share = concepts.double().mean(0)
    return float(torch.maximum(share, 1 - share).mean())
