"""A Gaussian energy of which only the place is learned."""

from __future__ import annotations

import pytest
import torch

from backend import catalogue
from backend.energies.location import LocationConfig, LocationEnergy
from backend.randomness import generator_of


def located(start: float, shape: tuple[int, ...]) -> LocationEnergy:
    return LocationEnergy(LocationConfig(start=start), torch.Size(shape), generator_of(0))


def test_it_is_half_the_squared_distance_in_any_shape() -> None:
    x = torch.randn(4, 2, 3, generator=generator_of("x", 0))
    expected = 0.5 * (x - 1.5).square().sum((1, 2))
    assert torch.allclose(located(1.5, (2, 3))(x), expected)


def test_it_reads_where_it_is_and_how_far_off_in_the_users_units() -> None:
    data = catalogue.resolve_data({"name": "shifted_gaussian", "mean": 3.0, "dim": 4}).load()
    energy = located(1.0, (4,))
    reading = energy.readings()["parameter/location"]
    assert float(reading) == 1.0 and not reading.requires_grad
    assert float(energy.errors(data)["parameter/error"]) == pytest.approx(2 * 4**0.5)
    ring = catalogue.resolve_data({"name": "ring"}).load()
    shift = (ring.mean - 0).norm()
    assert float(located(0.0, (2,)).errors(ring)["parameter/error"]) == pytest.approx(float(shift))
    spirals = catalogue.resolve_data({"name": "digits"}).load()
    assert located(0.0, (8, 8)).errors(spirals) == {}
