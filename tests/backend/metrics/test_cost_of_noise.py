"""KL that noise on the data costs by itself, against a closed form."""

from __future__ import annotations

import math
from typing import Any

import pytest
from torch import Tensor

from backend.catalogue import datasets
from backend.data import Data
from backend.energy import Energy
from backend.metrics.quality import GridTruth


class Blurred(Energy):
    """Equal Gaussians about the data's modes, widened by noise of a standard deviation in data
    sd, which differs by axis in the user's units."""

    def __init__(self, data: Data, noise_sd: float) -> None:
        super().__init__()
        self.data = data
        assert data.mode_sd is not None
        self.variance = data.mode_sd**2 + (noise_sd * data.scale.expand(2)).square()

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        assert self.data.modes is not None
        offsets = self.data.restore(x)[:, None] - self.data.modes.to(x)
        return -(-0.5 * (offsets.square() / self.variance).sum(2)).logsumexp(1)


@pytest.mark.parametrize("noise_sd", [0.05, 0.1, 0.2])
def test_noise_costs_what_a_mixture_widened_by_it_does(noise_sd: float) -> None:
    cls = datasets()["ring"]
    data = cls(cls.Config()).load()
    truth = GridTruth.of(data)
    assert truth is not None
    exact = truth.kl(Blurred(data, noise_sd), 1.0)
    assert 1e-3 < exact == pytest.approx(truth.cost_of_noise(noise_sd), rel=0.03)


def test_a_tenth_of_the_spread_as_noise_costs_moons_a_fifth_of_a_nat() -> None:
    cls = datasets()["moons"]
    truth = GridTruth.of(cls(cls.Config()).load())
    assert truth is not None and math.isclose(truth.cost_of_noise(0.1), 0.21, abs_tol=0.01)
