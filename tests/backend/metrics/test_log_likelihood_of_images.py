"""Held-out log-likelihoods of images by annealing both ways, against normalisers known exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.catalogue import datasets
from backend.data import Data
from backend.energy import Energy
from backend.metrics import density_baselines
from backend.metrics.log_likelihood import dequantised, held_out, log_likelihood, refusal
from backend.randomness import generator_of

SHIFT = 7.0
"""Put on energies, whose constant must not matter."""


class Blobs(Energy):
    """Gaussians of equal weights in the data, about images that are bright above or below, whose
    energies are lowered by `lifts`; log Z is known."""

    def __init__(self, side: int, lifts: tuple[float, ...], sd: float = 0.3) -> None:
        super().__init__()
        self.side, self.sd = side, sd
        rows = torch.linspace(-0.6, 0.6, side)[:, None].expand(side, side)
        self.centres = torch.stack([rows, -rows][: len(lifts)])
        self.lifts = torch.tensor(lifts)

    @property
    def log_z(self) -> float:
        log_each = 0.5 * self.side**2 * math.log(2 * math.pi * self.sd**2)
        return log_each - SHIFT + float(self.lifts.logsumexp(0)) - math.log(len(self.lifts))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        squares = (x[:, None] - self.centres).flatten(2).square().sum(2)
        logs = self.lifts - 0.5 * squares / self.sd**2
        return SHIFT + math.log(len(self.lifts)) - logs.logsumexp(1)

    def draws(self, shares: Tensor, num: int, seed: int) -> Tensor:
        generator = generator_of("draws", seed)
        chosen = torch.multinomial(shares, num, True, generator=generator)
        shape = (num, self.side, self.side)
        return self.centres[chosen] + self.sd * torch.randn(shape, generator=generator)

    def data(self) -> Data:
        """Images of which each centre has an equal share."""
        cls = datasets()["digits"]
        equal = torch.ones(len(self.centres))
        train, held_out = self.draws(equal, 6400, 0), self.draws(equal, 500, 1)
        box = torch.full((self.side, self.side), 1.0)
        digits = cls(cls.Config()).load()
        return replace(digits, train=train, held_out=held_out, noise_low=-box, noise_high=box)


@pytest.mark.parametrize("side", [8, pytest.param(28, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lifts", [(0.0,), (3.0, 0.0)])
def test_both_ways_meet_at_the_true_log_z(side: int, lifts: tuple[float, ...]) -> None:
    model = Blobs(side, lifts)
    data, draws = model.data(), model.draws(model.lifts.softmax(0), 32, 2)
    result = log_likelihood(model, data, generator_of("test"), num=32_000, draws=draws)
    assert result.doubt == "" and result.way == "annealing"
    assert abs(result.log_z - model.log_z) < 3 * result.log_z_error
    assert result.log_z_error < 1.0
    truth = float(-model(held_out(data)).double().mean()) - model.log_z
    assert result.value == pytest.approx(truth, abs=3 * result.log_z_error)


@pytest.mark.parametrize("lift", [6.0, 30.0])
def test_draws_that_have_not_mixed_make_log_z_unknown(lift: float) -> None:
    model = Blobs(8, (lift, 0.0))
    unmixed = model.draws(torch.ones(2), 32, 2)
    result = log_likelihood(model, model.data(), generator_of("test"), num=16_000, draws=unmixed)
    assert "disagree" in result.doubt and "not reached" in result.doubt
    assert math.isnan(result.value)
    truth = float(-model(model.data().held_out).double().mean()) - model.log_z
    assert truth - 0.5 < result.at_most < truth + 1.5


def test_an_energy_too_far_away_for_its_annealing_is_not_known() -> None:
    model = Blobs(8, (0.0,), sd=0.02)
    data = replace(model.data(), train=Blobs(8, (0.0, 0.0)).data().train)
    draws = model.draws(torch.ones(1), 32, 2)
    result = log_likelihood(model, data, generator_of("test"), num=3_200, draws=draws)
    assert result.doubt and math.isnan(result.value)


def test_chains_whose_energy_still_falls_make_log_z_unknown_though_both_ways_agree() -> None:
    model = Blobs(8, (0.0,))
    draws = model.draws(torch.ones(1), 32, 2)
    settled, falling = (
        log_likelihood(
            model, model.data(), generator_of("test"), num=16_000, draws=draws, drift=drift
        )
        for drift in ((-1.0, 0.5), (-3.0, 0.5))
    )
    assert settled.doubt == "" and "still changes (-3.0" in falling.doubt
    assert falling.at_most == pytest.approx(settled.value, abs=3 * settled.error)


def test_without_draws_of_the_model_log_z_is_not_known() -> None:
    model = Blobs(8, (0.0,))
    result = log_likelihood(model, model.data(), generator_of("test"), num=3_200)
    assert "no draws" in result.doubt


def test_pixels_are_judged_with_noise_on_them_and_points_as_they_are() -> None:
    cls = datasets()["digits"]
    digits = cls(cls.Config()).load()
    noisy = dequantised(digits, 0.2, generator_of("noise"))
    assert len(noisy.train) >= 3200 and float(noisy.train.abs().max()) <= 1
    change = (noisy.held_out - digits.held_out).square().mean().sqrt()
    assert 0.12 < float(change) < 0.2  # reflected at black and white
    assert float((dequantised(digits, 0.0, generator_of("noise")).train - noisy.train).std()) > 0.1
    beside = density_baselines.means(density_baselines.baselines(noisy, generator_of("test")))
    assert set(beside) == {"gaussian", "mixture"}
    assert -17 < beside["gaussian"] < beside["mixture"] < -4
    assert refusal(digits) == ""
    ring = datasets()["ring"](datasets()["ring"].Config()).load()
    assert dequantised(ring, 0.2, generator_of("noise")) is ring
