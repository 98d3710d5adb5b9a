"""Simultaneous perturbation: unbiased on a quadratic, and calibrated by history as written."""

from __future__ import annotations

import torch

from backend.objectives.zeroth_order import HistoryCalibration, spsa
from backend.randomness import generator_of


def test_the_estimate_is_unbiased_on_a_quadratic_whatever_its_width() -> None:
    a = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    a[0, 1] = a[1, 0] = 0.7
    weights = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    generator = generator_of("spsa", 0)

    def loss(w: torch.Tensor) -> torch.Tensor:
        return 0.5 * w @ a @ w

    for width in (1e-2, 3.0):
        mean, each = spsa(loss, weights, width, 1500, generator)
        error = each.std(0) / len(each) ** 0.5
        assert torch.equal(mean, each.mean(0))
        assert ((mean - a @ weights).abs() < 4 * error).all()
        assert (error < 0.5).all()


def test_history_weighs_by_directions_and_makes_steps_longer() -> None:
    calibration = HistoryCalibration(1.2, torch.zeros(2))
    one = torch.ones(2)
    assert torch.equal(calibration.calibrated(one, 4), one)
    # N_past = N_now = 4 from the second estimate on: β = 0.6
    assert torch.allclose(calibration.calibrated(one, 4), 1.6 * one)
    for _ in range(60):
        steady = calibration.calibrated(one, 4)
    assert torch.allclose(steady, 2.5 * one)
    # four directions remembered against one: β = 1.2 · 4 / 5
    assert torch.allclose(calibration.calibrated(one, 1), 0.96 * steady + one)
    assert torch.allclose(calibration.num_past, torch.tensor(3.7))
    forgetful = HistoryCalibration(0.0, torch.zeros(2))
    forgetful.calibrated(5 * one, 4)
    assert torch.equal(forgetful.calibrated(one, 4), one)
