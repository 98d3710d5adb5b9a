"""Alarms about a density in ten dimensions, where log Z is drawn and no grid can be looked at."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.config import Config
from backend.data import Data, noise_box
from backend.energy import Energy
from backend.events import Event, Text
from backend.method import Task
from backend.observe.observation import Observation
from tests.backend.observe.test_density_alarms import SMALL, Given, said

DIM = 10
APART = 3.0
"""each part's centre from 0 along (1, ..., 1), per coordinate: parts are 19 sd apart"""
LARGE = 0.7


class Parts(Energy):
    """−log of a mixture of unit Gaussians, normalised."""

    def __init__(self, parts: list[tuple[float, float, float]]) -> None:
        """parts: share, place of each coordinate, sd."""
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        terms = [
            math.log(share)
            - 0.5 * ((x - place) / sd).square().sum(1)
            - DIM * math.log(sd * math.sqrt(2 * math.pi))
            for share, place, sd in self.parts
        ]
        return -torch.stack(terms).logsumexp(0)


TRUTH = Parts([(LARGE, -APART, 1.0), (1 - LARGE, APART, 1.0)])


@cache
def data() -> Data:
    generator = torch.Generator().manual_seed(0)
    place = torch.where(torch.rand(5000, 1, generator=generator) < LARGE, -APART, APART)
    x = place + torch.randn(5000, DIM, generator=generator)
    low, high = noise_box(x)
    still, one = torch.zeros(DIM), torch.ones(DIM)
    return Data("parts", "Two parts", x[:4000], x[4000:], still, one, low, high, density=TRUTH)


class Flattering(Given):
    """Shows real data for the samples of training, as short chains from data would."""

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self.task.data.train[:num]


def final(energy: Energy, method: type[Given] = Given) -> tuple[dict[str, float], list[Event]]:
    trained = method(Config(), Task(data(), torch.device("cpu"), torch.Generator()))
    trained.known = energy
    figures, events, _ = Observation(trained, data(), 0, SMALL).evaluate(1)
    return figures, events


def names(events: list[Event]) -> set[str]:
    return {path.removeprefix("alarm/") for path in said(events, "warning", "alarm")}


def test_the_truth_is_quiet_and_has_its_nats() -> None:
    figures, events = final(TRUTH)
    path = "density/log_likelihood"
    assert figures[path] == pytest.approx(figures[f"{path}/truth"], abs=0.02)
    assert names(events) == set()


def test_parts_with_each_others_masses_are_said_and_cost_their_divergence() -> None:
    swapped = Parts([(1 - LARGE, -APART, 1.0), (LARGE, APART, 1.0)])
    figures, events = final(swapped)
    path = "density/log_likelihood"
    divergence = (2 * LARGE - 1) * math.log(LARGE / (1 - LARGE))
    assert figures[f"{path}/truth"] - figures[path] == pytest.approx(divergence, abs=0.05)
    assert "masses" in names(events)
    assert "density" not in names(events)  # it is still better than one Gaussian


@pytest.mark.slow
@pytest.mark.parametrize(
    "energy",
    [
        pytest.param(Parts([(1.0, 0.0, 8.0)]), id="a Gaussian twice as wide as the data"),
        pytest.param(Parts([(1.0, -APART, 1.0)]), id="a part that is missing"),
        pytest.param(Parts([(1.0, 0.0, 0.5)]), id="a mode where no data are"),
    ],
)
def test_what_is_worse_than_one_gaussian_is_no_density_in_the_strongest_voice(
    energy: Energy,
) -> None:
    _, events = final(energy)
    assert said(events, "alarm")["alarm/density"].startswith("This energy is no density.")


def test_samples_that_flatter_do_not_quiet_an_energy_that_is_no_density() -> None:
    flat = Parts([(1.0, 0.0, 8.0)])
    figures, events = final(flat, Flattering)
    distance = "quality/energy_distance"
    assert figures[f"{distance}/train_time"] < 0.1 * figures[f"{distance}/long_run"]
    assert {"density", "flattery"} <= names(events)


@pytest.mark.slow
def test_mass_that_leaked_costs_its_logarithm() -> None:
    leaking = Parts([(0.7 * LARGE, -APART, 1.0), (0.7 * (1 - LARGE), APART, 1.0), (0.3, 0.0, 8.0)])
    figures, events = final(leaking)
    path = "density/log_likelihood"
    lost = figures[f"{path}/truth"] - figures[path]
    assert lost == pytest.approx(-math.log(0.7), abs=0.05)
    assert figures["density/mass_outside"] == pytest.approx(0.3, abs=0.06)
    assert "mass_outside" in names(events)


@pytest.mark.slow
def test_an_energy_that_does_not_fall_off_has_no_nats() -> None:
    class Flat(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return 0 * x.sum(1)

    figures, events = final(Flat())
    assert math.isnan(figures.get("density/log_likelihood", math.nan))
    messages = [event.message for event in events if isinstance(event, Text)]
    assert "density" in names(events), messages
