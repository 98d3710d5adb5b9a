"""Cells that log Z is summed over: even ones, and ones that follow the data."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.distributions import Distribution, build_distribution
from backend.distributions.mixture import MixtureConfig
from backend.energies.location import LocationConfig, LocationEnergy
from backend.energy import Energy
from backend.metrics.log_z_grid import DataCells, NormaliserGrid
from backend.randomness import generator_of


class Minus(Energy):
    """−log q(x), of log Z 0."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return -self.distribution.log_prob(x)


def located(start: float, shape: tuple[int, ...]) -> LocationEnergy:
    return LocationEnergy(LocationConfig(start=start), torch.Size(shape), generator_of(0))


@pytest.mark.parametrize(("name", "dim"), [("shifted_gaussian", 1), ("ring", 2)])
@pytest.mark.parametrize("start", [0.0, 0.7])
def test_a_grid_has_its_log_z(name: str, dim: int, start: float) -> None:
    data = catalogue.resolve_data({"name": name}).load()
    grid = NormaliserGrid(data, 128)
    with torch.no_grad():
        log_z = float(grid.log_z(located(start, (dim,))))
    # the box in the plane cuts the Gaussian at 4 data sd or so
    assert log_z == pytest.approx(0.5 * dim * math.log(2 * math.pi), abs=1e-5 if dim == 1 else 0.01)


def test_the_grid_holds_the_origin_and_the_data() -> None:
    data = catalogue.resolve_data({"name": "shifted_gaussian", "mean": 100.0}).load()
    grid = NormaliserGrid(data, 64)
    assert grid.points.shape == (64**2, 1)
    assert float(grid.points.min()) < -8 and float(grid.points.max()) > 108


@pytest.mark.parametrize("name", ["ring", "moons", "shifted_gaussian"])
def test_cells_that_follow_the_data_have_the_log_z_of_what_lies_there(name: str) -> None:
    data = catalogue.resolve_data({"name": name}).load()
    config = MixtureConfig(num_components=20, wide_share=0.05)
    base = build_distribution(config, data, generator_of("base", 0))
    cells, generator = DataCells(data), generator_of("shift", 0)
    uniforms = torch.rand((200, *data.event_shape), generator=generator) - 0.5
    sums = torch.stack([cells.log_z(Minus(base), uniform) for uniform in uniforms]).exp()
    # a t of 3 degrees of freedom leaves a little outside the box
    assert float(sums.mean()) == pytest.approx(1.0, abs=0.01)
    assert len(cells.points) < 8000
