"""Figures of classifiers against cases that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from backend.metrics.classification import accuracy, calibration_error, confusion, log_loss


def log_probs(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_accuracy_log_loss_and_confusion_of_three_rows() -> None:
    probabilities = log_probs([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    labels = torch.tensor([0, 1, 2])
    assert accuracy(probabilities, labels) == pytest.approx(2 / 3)
    expected = -(2 * math.log(0.7) + math.log(0.3)) / 3
    assert log_loss(probabilities, labels) == pytest.approx(expected, rel=1e-6)
    assert confusion(probabilities, labels).tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(("num_right", "expected"), [(7, 0.0), (10, 0.3), (0, 0.7), (5, 0.2)])
def test_one_confidence_is_off_by_its_distance_from_how_often_it_is_right(
    num_right: int, expected: float
) -> None:
    rows = log_probs([[0.7, 0.3]] * 10)
    labels = torch.tensor([0] * num_right + [1] * (10 - num_right))
    assert calibration_error(rows, labels) == pytest.approx(expected, abs=1e-6)


def test_bins_count_by_how_many_fall_into_them() -> None:
    """Three of confidence 0.9, all right, and one of 0.6, wrong: 3/4 · 0.1 + 1/4 · 0.6."""
    rows = log_probs([[0.9, 0.1]] * 3 + [[0.6, 0.4]])
    labels = torch.tensor([0, 0, 0, 1])
    assert calibration_error(rows, labels) == pytest.approx(0.75 * 0.1 + 0.25 * 0.6, abs=1e-6)
    # in one bin for all they make up for each other: |3/4 − (2.7 + 0.6)/4|
    assert calibration_error(rows, labels, num_bins=1) == pytest.approx(0.075, abs=1e-6)


def test_certain_and_right_is_calibrated_certain_and_wrong_is_off_by_one() -> None:
    rows = log_probs([[1.0, 0.0]] * 4)
    assert calibration_error(rows, torch.zeros(4, dtype=torch.int64)) == 0
    assert calibration_error(rows, torch.ones(4, dtype=torch.int64)) == pytest.approx(1)
