"""Pictures of what has more than two coordinates: principal axes, slices, diagnostics of chains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend import catalogue
from backend.config import Config
from backend.data import Data
from backend.energies.closed_form import Gaussian
from backend.events import Curve, Event, Field, Histogram, Images, Points
from backend.method import Task
from backend.metric_names.pictures import PICTURES
from backend.observe import chain_pictures, pictures
from backend.observe.context import EVALUATE, MEASURE, MOST_NARROW
from backend.observe.observation import Observation
from backend.observe.principal_axes import PrincipalAxes
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from tests.backend.small_method import Small

SCALES = (3.0, 1.0, 0.2)


def table(num: int = 400, more: int = 0) -> Data:
    """Three columns with names, whose principal axes are nearly the coordinates, and `more`."""
    ring = catalogue.resolve_data({"name": "ring", "num": 100, "num_held_out": 100}).load()
    x = torch.randn((num, 3), generator=generator_of(0)) * torch.tensor(SCALES)
    x = torch.cat([x, torch.randn((num, more), generator=generator_of(1))], 1)
    ones = torch.ones(3 + more)
    return replace(
        ring,
        train=x,
        held_out=x[:100],
        mean=torch.zeros(3),
        scale=ones,
        noise_low=-9 * ones,
        noise_high=9 * ones,
        density=None,
        truth=None,
        draw=None,
        modes=None,
        columns=("flow", "head", "power", *map(str, range(more))),
    )


def task(data: Data) -> Task:
    return Task(data, torch.device("cpu"), generator_of(0))


def test_wide_events_have_as_few_chains_as_images() -> None:
    """Thousands of long chains of 1,500 columns took hours."""
    data = table(more=MOST_NARROW)
    sizes = Sizes(
        image_num_measured=16,
        image_num_evaluated=24,
        image_measured_steps=5,
        image_long_run_steps=8,
    )
    observation = Observation(Small(Config(), task(data)), data, 0, sizes)
    for tier, num, num_steps in ((MEASURE, 16, 5), (EVALUATE, 24, 8)):
        with observation.moment(1, tier) as context:
            assert context.num_samples == len(context.long_run.position) == num
            assert context.long_run.num_steps == num_steps
            assert context.quality.num == num, "floors are of as many"
    assert observation.judging_ratio == 24 * 8 / (16 * 5)


def test_principal_axes_are_those_of_the_data() -> None:
    data = table()
    axes = PrincipalAxes.of(data)
    assert axes is not None
    assert torch.allclose(axes.axes.abs(), torch.eye(3)[:, :2], atol=0.1)
    assert axes.shares[0] == pytest.approx(9 / 10.04, abs=0.03)
    points = axes.points("principal/data", data.train, "data")
    assert points.positions.shape == (400, 2)
    assert points.positions.std(0) == pytest.approx([3, 1], rel=0.15)
    assert points.axes[0].startswith("principal axis 1, ") and "%" in points.axes[0]
    assert points.labels is None
    classes = torch.arange(400) % 3
    points = axes.points("principal/data", data.train, "data", labels=classes)
    assert points.labels is not None and points.labels.dtype == np.int32
    assert points.labels.tolist() == classes.tolist()


def test_a_slice_is_the_energy_on_the_plane() -> None:
    data = table()
    axes = PrincipalAxes.of(data)
    assert axes is not None
    energy = Gaussian(torch.zeros(3), torch.diag(torch.tensor(SCALES).square()))
    field = axes.slice("principal/energy", energy, data, 31, 1.0)
    assert field.values.shape == (31, 31) and field.values.min() == 0
    row, column = np.unravel_index(field.values.argmin(), field.values.shape)
    (left, right), (bottom, top) = axes.box
    lowest = torch.tensor(
        [left + (column + 0.5) / 31 * (right - left), bottom + (row + 0.5) / 31 * (top - bottom)]
    )
    place = axes.centre + axes.axes @ lowest.float()
    assert (place.abs() < torch.tensor([0.5, 0.25, 0.15])).all()


def test_there_are_none_of_the_plane_of_whole_numbers_and_of_one_point() -> None:
    data = table()
    assert PrincipalAxes.of(replace(data, train=data.train[:, :2])) is None
    assert PrincipalAxes.of(replace(data, num_values=2)) is None
    assert PrincipalAxes.of(replace(data, train=torch.ones(50, 3))) is None


def test_wide_events_have_axes_too() -> None:
    data = replace(table(), train=torch.randn((60, 5000), generator=generator_of(1)))
    axes = PrincipalAxes.of(data)
    assert axes is not None and axes.axes.shape == (5000, 2)


def test_a_table_is_seen_by_column_at_every_moment() -> None:
    data = table()
    method = Small(Config(), task(data))
    sizes = Sizes(num_walkers=40, num_measured=60, long_run_steps=40, slice=8)
    observation = Observation(method, data, 0, sizes)
    begun, watched, measured = (
        {event.path: event for event in events}
        for events in (observation.begin(), observation.watch(1), observation.measure(1))
    )
    for events, path in (
        (begun, "samples/data"),
        (watched, "chains/positions"),
        (measured, "samples/long_run"),
    ):
        points = events[path]
        assert isinstance(points, Points) and points.axes == ("flow", "head", "power"), path
    assert "principal/data" in begun
    assert isinstance(measured["principal/energy"], Field)
    assert {"chains/trace", "chains/ranks", "chains/ess_growth", "chains/r_hat"} <= set(measured)


def pictures_of(draws: torch.Tensor) -> dict[str, Event]:
    return {event.path: event for event in chain_pictures.of_draws(draws, 5, first=100)}


def test_chains_that_mix_and_chains_that_do_not() -> None:
    draws = torch.randn((8, 100, 3), generator=generator_of(2))
    mixed = pictures_of(draws)
    assert set(mixed) <= set(PICTURES), "every picture has a name"
    trace = mixed["chains/trace"]
    assert isinstance(trace, Curve)
    assert trace.y.shape == (4, 100) and trace.x[0] == 105 and trace.x[-1] == 600
    growth, hats = mixed["chains/ess_growth"], mixed["chains/r_hat"]
    assert isinstance(growth, Curve) and isinstance(hats, Curve)
    assert growth.y[2, -1] == 800 and growth.y[0, -1] > 400
    assert hats.y[0, -1] < 1.05
    draws[:4, :, 1] += 5
    apart = pictures_of(draws)["chains/r_hat"]
    assert isinstance(apart, Curve) and apart.y[0, -1] > 1.5
    draws[0, 0, 0] = torch.nan
    assert pictures_of(draws) == {} == pictures_of(torch.ones(4, 50, 2))


def test_a_chain_that_stays_low_has_low_ranks() -> None:
    draws = torch.randn((8, 64, 2), generator=generator_of(3))
    draws[0, :, 0] -= 10
    ranks = pictures_of(draws)["chains/ranks"]
    assert isinstance(ranks, Histogram)
    assert ranks.counts.sum(1) == pytest.approx(np.ones(5))
    assert ranks.counts[0, :2].sum() == pytest.approx(1)


def test_the_energy_plot_has_energies_and_jumps() -> None:
    rows = [torch.full((3,), float(step)) for step in range(20)]
    (plot,) = chain_pictures.of_hamiltonians(rows)
    assert isinstance(plot, Histogram) and plot.path == "chains/energy"
    assert plot.names == ["energy about its mean", "jumps between trajectories"]
    assert plot.counts[1].max() == pytest.approx(1), "every jump is one"
    assert list(chain_pictures.of_hamiltonians(rows[:3])) == []


def test_sequences_of_whole_numbers_are_drawn_as_strips() -> None:
    data = catalogue.resolve_data({"name": "rbm", "num": 100, "num_held_out": 100}).load()
    length = data.event_shape[0]
    assert length > 2 and data.num_values == 2
    picture = pictures.cloud(
        "samples", data, data.train, "data", data.train.sum(1), num_dots=1000, num_cells=9
    )
    assert isinstance(picture, Images) and picture.high == 1
    assert picture.pixels.shape == (9, max(1, length // pictures.STRIP), length)
    np.testing.assert_array_equal(picture.pixels[:, 0] / 255, data.train[:9].numpy())
    assert (picture.pixels == picture.pixels[:, :1]).all()
    assert picture.energies is not None and len(picture.energies) == 9
