"""Held-out log-likelihoods against closed forms, and the baselines beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.catalogue import datasets
from backend.data import Data
from backend.energy import Energy
from backend.metrics import density_baselines
from backend.metrics.cubature import integrated
from backend.metrics.log_likelihood import log_likelihood, refusal
from backend.randomness import generator_of

SHIFT = 7.0
"""Put on energies, whose constant must not matter."""


class Known(Energy):
    """−log of a density over the user's units, as an energy of standardised positions."""

    def __init__(self, data: Data, factor: float = 1.0) -> None:
        super().__init__()
        self.data, self.factor = data, factor

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        assert self.data.density is not None
        return self.factor * self.data.density(self.data.restore(x)) + SHIFT


@cache
def data_of(name: str) -> Data:
    cls = datasets()[name]
    return cls(cls.Config()).load()


def truth_of(data: Data) -> float:
    return density_baselines.means(density_baselines.baselines(data, generator_of("test")))["truth"]


@pytest.mark.parametrize(
    "name",
    [
        *("moons", "pinwheel", "mixture"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("ring", "spirals", "banana")),
    ],
)
def test_quadrature_normalises_whatever_constant_an_energy_has(name: str) -> None:
    data = data_of(name)
    result = log_likelihood(Known(data), data, generator_of("test"), num=60_000)
    assert result.value == pytest.approx(truth_of(data), abs=1e-3)
    assert result.doubt == "" and result.mass_outside < 1e-3


def test_edges_that_fit_no_cell_cost_more_and_stay_within_the_error_that_is_said() -> None:
    data = data_of("checkerboard")
    result = log_likelihood(Known(data), data, generator_of("test"), num=60_000)
    assert 1e-4 < abs(result.value - truth_of(data)) < result.log_z_error < 0.1
    assert (
        abs(log_likelihood(Known(data), data, generator_of("test")).value - truth_of(data)) < 5e-3
    )


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_temperature_divides_the_energy(temperature: float) -> None:
    data = data_of("ring")
    result = log_likelihood(
        Known(data, temperature), data, generator_of("test"), temperature=temperature
    )
    assert result.value == pytest.approx(truth_of(data), abs=1e-3)


def test_importance_sampling_is_right_in_ten_dimensions() -> None:
    data = data_of("gaussian")
    result = log_likelihood(Known(data), data, generator_of("test"), num=20_000)
    assert result.way == "importance sampling" and result.doubt == ""
    assert abs(result.value - truth_of(data)) < 4 * result.log_z_error < 0.05


def test_chains_that_have_not_arrived_cast_no_doubt_on_a_density() -> None:
    data = data_of("gaussian")
    draws = data.train[:500].clone()
    draws[:50] *= 6  # hundreds of nats above the others
    result = log_likelihood(Known(data), data, generator_of("test"), num=20_000, draws=draws)
    assert result.way == "importance sampling" and result.doubt == ""
    assert abs(result.value - truth_of(data)) < 4 * result.log_z_error < 0.08


def test_a_mode_that_only_the_models_own_draws_have_met_is_in_log_z() -> None:
    data = data_of("gaussian")
    place = 4 * data.train.amax(0)

    class Leaky(Known):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            known = super().forward(x)
            return -torch.logaddexp(-known, -super().forward(x - place))

    ends = place + data.train[:200]
    result = log_likelihood(Leaky(data), data, generator_of("test"), num=20_000, draws=ends)
    assert result.mass_outside == pytest.approx(0.5, abs=0.05) or result.doubt
    assert result.at_most == pytest.approx(truth_of(data) - math.log(2), abs=0.1)


def test_a_constant_energy_does_not_fall_off_and_has_no_log_likelihood() -> None:
    class Flat(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0 * x.flatten(1).sum(1)

    result = log_likelihood(Flat(), data_of("ring"), generator_of("test"))
    assert math.isnan(result.value) and "fall off" in result.doubt
    assert result.mass_outside > 0.99 and math.isfinite(result.at_most)


def test_a_spike_away_from_the_data_is_seen_where_chains_ended_in_it() -> None:
    data = data_of("ring")
    place = 3.0 * data.train.amax(0)

    class Leaky(Known):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            spike = 0.5 * ((x - place) / 1e-3).square().sum(1) - math.log(1e6 / (2 * math.pi))
            ring = super().forward(x) - self.data.scale.log().expand(2).sum() - SHIFT
            return -torch.logaddexp(-ring, -spike)

    ends = place + 1e-3 * torch.randn((50, 2), generator=generator_of("ends"))
    result = log_likelihood(Leaky(data), data, generator_of("test"), draws=ends)
    assert result.log_z == pytest.approx(math.log(2), abs=2e-3)
    assert result.mass_outside == pytest.approx(0.5, abs=1e-3)
    assert result.value == pytest.approx(truth_of(data) - math.log(2), abs=2e-3)


def test_one_dimension_has_the_same_quadrature() -> None:
    data = data_of("ring")
    line = {name: getattr(data, name)[..., :1] for name in ("train", "held_out")}
    line |= {name: getattr(data, name)[:1] for name in ("noise_low", "noise_high")}
    scales = {name: torch.ones(1) for name in ("mean", "scale")}
    data = replace(data, density=None, modes=None, **line, **scales)

    class Narrow(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0.5 * (x[:, 0] / 0.01).square()

    exact = math.log(0.01 * math.sqrt(2 * math.pi))
    assert integrated(Narrow(), data).log_z == pytest.approx(exact, abs=1e-4)


def test_baselines_stand_in_their_order_and_none_beats_the_truth() -> None:
    values = density_baselines.means(
        density_baselines.baselines(data_of("pinwheel"), generator_of("test"))
    )
    assert values["gaussian"] < values["kernel"] - 0.5
    assert values["gaussian"] < values["mixture"] - 0.5
    assert max(values["kernel"], values["mixture"]) < values["truth"] + 0.01
    assert values["kernel"] > values["truth"] - 0.15


def test_the_truth_is_minus_the_entropy() -> None:
    data = data_of("gaussian")
    assert data.truth is not None and data.truth.mean_energy is not None
    assert truth_of(data) == pytest.approx(-data.truth.mean_energy, abs=0.2)


def test_whole_numbers_have_no_log_likelihood() -> None:
    assert "whole numbers" in refusal(data_of("ising"))
    with pytest.raises(ValueError, match="whole numbers"):
        log_likelihood(Known(data_of("ring")), data_of("ising"), generator_of("test"))
