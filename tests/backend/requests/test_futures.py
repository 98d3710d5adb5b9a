"""Pictures of what may follow a context, by predictors that know the law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.data import Data
from backend.events import Curve, Table
from backend.randomness import generator_of
from backend.requests import futures
from backend.requests.predicting import Given, Predictor


class Knowing(Predictor):
    """Goes to the first of two futures; its energy is the squared distance to the nearer one."""

    num_steps = 2

    def __init__(self, data: Data) -> None:
        self.data = data

    def possible(self, given: Given) -> Tensor:
        assert self.data.future is not None
        both = self.data.future.possible(given["context"])
        assert both is not None
        return self.data.standardise(both[0]).float()

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        return torch.zeros(len(given["context"]), *self.data.event_shape)

    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        return (x + self.possible(given)[:, 0]) / 2 if index + 1 < num_steps else self.end(given)

    def end(self, given: Given) -> Tensor:
        return self.possible(given)[:, 0]

    def energy(self, x: Tensor, given: Given) -> Tensor:
        return (self.possible(given) - x[:, None]).square().sum(2).amin(1)


@pytest.mark.parametrize("name", ["forked_future", "reach"])
def test_the_cut_has_a_well_on_each_future_and_its_top_at_their_mean(name: str) -> None:
    data = catalogue.resolve_data({"name": name, "num": 60, "num_held_out": 60}).load()
    knows = Knowing(data)
    given = futures.repeated(data, futures.telling_row(data), 1)
    [cut] = futures.cut(data, knows, given, knows.end(given))
    assert isinstance(cut, Curve) and data.future is not None
    at = dict(zip(cut.x.round(3).tolist(), cut.y[0].tolist(), strict=True))
    assert at[1.0] == pytest.approx(0, abs=1e-6) and at[-1.0] == pytest.approx(0, abs=1e-6)
    inside = np.abs(cut.x) <= 1
    assert cut.x[inside][cut.y[0][inside].argmax()] == pytest.approx(0, abs=1e-6)
    one, other = data.future.two
    assert cut.marks[:3] == [(1.0, one), (0.0, "their mean"), (-1.0, other)]
    assert [(round(place, 4), word) for place, word in cut.marks[3:]] == [(1.0, "")]


def test_predictions_land_where_they_were_sent_and_least_squares_on_neither_branch() -> None:
    data = catalogue.resolve_data({"name": "forked_future", "num": 300, "num_held_out": 200}).load()
    rows, knows = data.held_out_rows(slice(None)), Knowing(data)
    landed = futures.landings(data, rows, knows, generator_of("a"), (2, 5), {"other": knows})
    assert list(landed) == [
        "the data",
        "this run, 2 steps",
        "this run, 5 steps",
        "other",
        "least squares",
    ]
    assert landed["this run, 2 steps"] == landed["other"] == [1, 0, 0]
    assert landed["least squares"][2] > 0.95 > 0.05 > landed["the data"][2]
    assert landed["the data"][0] == pytest.approx(0.5, abs=0.15)
    [table] = futures.landings_table(data, landed)
    assert isinstance(table, Table) and table.columns[1:] == ["left", "right", "neither"]
    assert futures.landings_table(data, {}) == []
