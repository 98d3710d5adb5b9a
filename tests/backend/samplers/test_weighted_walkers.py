"""Weighted walkers against closed forms: masses of modes that no walker crosses, and log Z."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend import catalogue
from backend.distributions import Distribution
from backend.energy import Energy
from backend.method import Task
from backend.metrics.log_z_grid import NormaliserGrid
from backend.randomness import generator_of
from backend.samplers.mala import MALA, MALAConfig
from backend.samplers.weighted_walkers import WeightedWalkers
from backend.spec import from_dict

APART = 12.0
"""Half the distance of two modes of width 1, which nothing crosses."""


class TwoModes(Distribution):
    """½ N(−APART, 1) + ½ N(APART, 1)."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        side = 2.0 * torch.randint(2, (num, 1), generator=generator) - 1
        return APART * side + torch.randn((num, 1), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        parts = torch.cat([z - APART, z + APART], 1)
        return (-0.5 * parts.square()).logsumexp(1) - math.log(2 * math.sqrt(2 * math.pi))


class Raised(Energy):
    """−log q of two modes, the right one raised by `height`: masses 1 and e^−height, over 2."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.base, self.height = TwoModes(), height

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return -self.base.log_prob(x) + self.height * (x[:, 0] > 0)


def moved(walkers: WeightedWalkers, height: float, renewed: float, seed: int) -> Tensor:
    """Weights after a move to the energy raised so far."""
    kernel, generator = MALA(MALAConfig(step_size=0.3)), generator_of("move", seed)
    return walkers.move(kernel, Raised(height), TwoModes(), renewed, 2, generator).weights


def share_right(walkers: WeightedWalkers, weights: Tensor) -> float:
    return float(weights[walkers.positions[:, 0] > 0].sum())


@pytest.mark.parametrize("renewed", [0.0, 0.05])
def test_masses_of_modes_that_no_walker_crosses_follow_the_energy(renewed: float) -> None:
    num, height = 4000, 3.0
    walkers = WeightedWalkers(TwoModes(), num, generator_of("start", 0))
    for step in range(30):
        weights = moved(walkers, height * (step + 1) / 30, renewed, step)
    right = math.exp(-height) / (1 + math.exp(-height))
    assert walkers.num_resampled > 0, "resampling is in it"
    assert share_right(walkers, weights) == pytest.approx(right, abs=5 * (right / num) ** 0.5)
    log_z = math.log((1 + math.exp(-height)) / 2)
    assert float(walkers.log_z(Raised(height))) == pytest.approx(log_z, abs=0.06)
    there = math.log((1 + math.exp(-height - 0.5)) / 2)
    assert float(walkers.log_z(Raised(height + 0.5))) == pytest.approx(there, abs=0.06)


def test_a_mode_that_resampling_lost_comes_back_with_its_mass() -> None:
    walkers = WeightedWalkers(TwoModes(), 1000, generator_of("start", 0))
    walkers.positions = -walkers.positions.abs()
    lost = moved(walkers, 0.0, 0.0, 0)
    assert share_right(walkers, lost) == 0
    for step in range(100):
        weights = moved(walkers, 0.0, 0.05, step)
    assert share_right(walkers, weights) == pytest.approx(0.5, abs=0.08)


def test_resampling_keeps_expectations() -> None:
    """Averaged over the offsets of systematic resampling, Σ w φ is what it was."""
    num = 50
    walkers = WeightedWalkers(TwoModes(), num, generator_of("start", 1))
    walkers.log_weights = torch.randn(num, generator=generator_of("weights", 0))
    weights, before = walkers.log_weights.softmax(0), walkers.positions.clone()
    log_mean = float(walkers.log_weights.logsumexp(0)) - math.log(num)
    kernel, energy = MALA(MALAConfig()), Raised(0.0)
    state = kernel.init(before, energy, generator_of("init", 0))
    means = []
    for seed in range(400):
        copy = WeightedWalkers(TwoModes(), num, generator_of("start", 1))
        copy.log_weights = walkers.log_weights
        drawn = copy._resampled(state, weights, torch.tensor(True), generator_of("offset", seed))
        assert float(copy.log_scale) == pytest.approx(log_mean, abs=1e-5)
        assert (copy.log_weights == 0).all()
        means.append(drawn.position.square().mean())
    spread = torch.stack(means)
    exact = float((weights * before[:, 0].square()).sum())
    error = float(spread.std()) / len(means) ** 0.5
    assert float(spread.mean()) == pytest.approx(exact, abs=4 * error)


def test_a_trained_energy_has_the_log_z_that_its_walkers_say() -> None:
    fields = {
        "method": "contrastive_divergence",
        "preset": "persistent",
        "data": {"name": "moons"},
        "config": {
            "energy": {"base": {"num_components": 1}},
            "buffer_size": 2000,
            "train": {"ema_decay": 0, "batch_size": 128},
        },
    }
    resolved = catalogue.resolve(from_dict(fields))
    data = resolved.dataset.load()
    task = Task(data, torch.device("cpu"), generator_of("train", 0))
    method = resolved.method(resolved.config, task)
    for step in range(80):
        said = method.step(step / 80)
    grid = NormaliserGrid(data, 300)
    estimate = method.log_z()
    assert grid is not None and estimate is not None
    with torch.no_grad():
        exact = float(grid.log_z(method.energy()))
    assert abs(exact) > 0.2, "the network has moved it"
    assert float(estimate) == pytest.approx(exact, abs=0.1)
    assert float(said["log_z/estimate"]) == float(estimate)
    assert 0 < float(said["sampler/weight_ess"]) <= 1
