"""Rows made without a model, and what rows are worth."""

from __future__ import annotations

import torch

from backend.metrics.augmentation import Rows, balanced_accuracies, jittered, smote
from backend.randomness import generator_of


def test_smote_stays_between_rows_of_a_class() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 5.0], [2.0, 5.0]])
    labels, wanted = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 0] * 50)
    made = smote(x, labels, wanted, generator_of("smote", 0))
    first, second = made[wanted == 0], made[wanted == 1]
    assert torch.allclose(first[:, 0], first[:, 1]) and (first >= 0).all() and (first <= 1).all()
    assert (second[:, 1] == 5).all() and second[:, 0].std() > 0.3
    alone = smote(x[:1], labels[:1], torch.zeros(3, dtype=torch.long), generator_of("smote", 0))
    assert (alone == 0).all()


def test_jitter_is_a_row_of_the_class_with_noise_of_that_size() -> None:
    x, labels = torch.tensor([[0.0], [100.0]]), torch.tensor([0, 1])
    made = jittered(x, labels, torch.ones(4000, dtype=torch.long), 0.3, generator_of("jitter", 0))
    assert abs(float(made.mean()) - 100) < 0.02 and abs(float(made.std()) - 0.3) < 0.02


def test_balanced_accuracy_counts_every_class_alike() -> None:
    """A rare class that is never called right costs half, however rare."""
    train = Rows.of(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), torch.tensor([0, 0, 1, 1]))
    test = Rows.of(torch.tensor([[0.0]] * 9 + [[0.05]]), torch.tensor([0] * 9 + [1]))
    accuracies = balanced_accuracies(train, test, 0)
    assert len(accuracies) == 5 and set(accuracies.values()) == {50.0}
