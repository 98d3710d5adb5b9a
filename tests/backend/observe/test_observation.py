"""Looking at a run: everything is shown, nothing is touched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.catalogue import resolve_data
from backend.config import Config
from backend.data import Data
from backend.energies.closed_form import Ring
from backend.events import (
    Cost,
    Event,
    Field,
    Images,
    Points,
    Table,
    Text,
    Trajectory,
    encode,
)
from backend.method import Task
from backend.metric_names import FIGURES, chart_of
from backend.observe.context import WATCH
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.samplers.langevin import LangevinConfig
from tests.backend.small_method import Exact, Small

SMALL = Sizes(
    field=24,
    num_walkers=40,
    num_measured=100,
    num_evaluated=200,
    long_run_steps=40,
    image_num_measured=64,
    image_num_evaluated=80,
    image_measured_steps=10,
    image_long_run_steps=20,
    image_num_annealed=3200,
    image_num_annealed_evaluated=3200,
)


@pytest.fixture(scope="module")
def ring() -> Data:
    return resolve_data({"name": "ring", "num": 2000, "num_held_out": 500}).load()


@pytest.fixture(scope="module")
def digits() -> Data:
    return resolve_data({"name": "digits"}).load()


def task(data: Data) -> Task:
    return Task(data, torch.device("cpu"), generator_of(0))


def everything(observation: Observation) -> list[Event]:
    _, final, _ = observation.evaluate(3)
    return [*observation.begin(), *observation.watch(1), *observation.measure(2), *final]


def shown(observation: Observation) -> bytes:
    """Every event as it would be written."""
    events = everything(observation)
    return b"".join(encode(event, run="", seq=0, time=0, cost=Cost()) for event in events)


def of(events: list[Event], path: str) -> Any:
    (found,) = [event for event in events if event.path == path]
    return found


def weights_after(data: Data, looks: int, num_steps: int = 6) -> Iterator[Tensor]:
    method = Small(Config(), task(data))
    observation = Observation(method, data, 0, SMALL)
    observation.begin()
    before = torch.get_rng_state()
    for step in range(num_steps):
        method.step(step / num_steps)
        for _ in range(looks):
            observation.watch(step)
            observation.measure(step)
            observation.evaluate(step)
    assert torch.equal(before, torch.get_rng_state())
    assert method.gradient_evaluations == 0
    yield from method.net.state_dict().values()
    yield method.chains
    yield method.generator.get_state()


def test_looking_changes_nothing(ring: Data) -> None:
    unseen = list(weights_after(ring, looks=0))
    seen = list(weights_after(ring, looks=1))
    assert all(torch.equal(a, b) for a, b in zip(unseen, seen, strict=True))


def test_modes_of_modules_are_put_back(ring: Data) -> None:
    method = Small(Config(), task(ring))
    method.net.norm.eval()
    observation = Observation(method, ring, 0, SMALL)
    everything(observation)
    assert method.net.training and method.net.net.training and not method.net.norm.training
    # in evaluation mode an energy depends on the point alone
    with observation.moment(0, WATCH) as context:
        x = ring.train[:10]
        assert torch.allclose(context.energy(x)[:3], context.energy(x[:3]), atol=1e-5)
        assert not method.net.training
    with pytest.raises(ZeroDivisionError), observation.moment(0, WATCH):
        _ = 1 / 0
    assert method.net.training


def test_equal_looks_show_equal_things(ring: Data) -> None:
    method = Small(Config(), task(ring))
    first, again, other = (shown(Observation(method, ring, seed, SMALL)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_what_a_2d_run_shows(ring: Data) -> None:
    method = Small(Config(), task(ring))
    observation = Observation(method, ring, 0, SMALL)
    begin = observation.begin()
    data = of(begin, "samples/data")
    assert isinstance(data, Points) and data.positions.shape == (500, 2) and data.role == "data"
    assert np.allclose(data.positions, ring.restore(ring.train[:500]))
    truth = of(begin, "landscape/truth")
    assert truth.values.shape == (24, 24) and truth.values.min() == 0
    assert of(begin, "quality/grid_kl/goal").value == 0.05
    # 1 - exp(-2), from three sets of 100 exact draws
    assert of(begin, "quality/mode_share/floor").value == pytest.approx(0.865, abs=0.08)

    watch = observation.watch(1)
    field = of(watch, "landscape/model")
    assert isinstance(field, Field) and field.values.shape == (24, 24)
    assert field.values.min() == 0 and field.temperature == 1
    assert field.x_range == truth.x_range
    walk = of(watch, "chains/walk")
    assert isinstance(walk, Trajectory) and walk.positions.shape == (25, 32, 2)
    assert walk.energies is not None and walk.energies.shape == (25, 32)
    assert walk.accepted is None and walk.role == "train_time"
    histogram = of(watch, "energy/histogram")
    assert histogram.names == ["data", "train_time", "noise"]

    measure = observation.measure(2)
    assert of(measure, "samples/long_run").positions.shape == (100, 2)
    assert isinstance(of(measure, "chains/diagnostics"), Table)
    assert math.isfinite(of(measure, "quality/grid_kl").value)
    assert of(observation.watch(3), "energy/histogram").names == [
        "data",
        "train_time",
        "long_run",
        "noise",
    ]
    for event in (*begin, *watch, *measure):
        if event.kind == "scalar":
            assert chart_of(event.path) in FIGURES, event.path


def test_every_point_of_the_curve_and_the_final_figure_are_of_one_grid(ring: Data) -> None:
    """To the last digit, in which any other grid would differ."""
    observation = Observation(Small(Config(), task(ring)), ring, 0, SMALL)
    observation.begin()
    watches = [
        event.value
        for step in range(1, 10)
        for event in observation.watch(step)
        if event.path == "quality/grid_kl"
    ]
    measured = of(observation.measure(10), "quality/grid_kl").value
    figures, *_ = observation.evaluate(10)
    assert len(watches) == 3
    assert {*watches, measured, figures["quality/grid_kl"]} == {measured}


def test_the_landscape_is_the_energy_in_the_users_units(ring: Data) -> None:
    method = Exact(Config(), task(ring))
    observation = Observation(method, ring, 0, SMALL)
    truth = of(observation.begin(), "landscape/truth")
    model = of(observation.watch(0), "landscape/model")
    assert np.allclose(model.values, truth.values, atol=1e-3)
    # row 0 is the lowest y, column 0 the lowest x: the value at a cell's middle
    (left, right), (bottom, top) = model.x_range, model.y_range
    x = left + (right - left) * 5.5 / 24
    y = bottom + (top - bottom) * 17.5 / 24
    energies = Ring()(torch.tensor([[x, y]]))
    grid = Ring()(observation.subject.grid_points).min()
    assert model.values[17, 5] == pytest.approx(min(float(energies - grid), 60), abs=1e-2)


def test_persistent_walkers_go_on(ring: Data) -> None:
    observation = Observation(Small(Config(), task(ring)), ring, 0, SMALL)
    first, second = (of(observation.watch(step), "chains/walk") for step in (0, 1))
    assert np.array_equal(first.positions[-1], second.positions[0])
    assert not np.array_equal(first.positions[0], second.positions[0])


def test_walkers_that_ran_away_start_anew(ring: Data) -> None:
    method = Small(Config(), task(ring))
    observation = Observation(method, ring, 0, SMALL)
    observation.watch(0)
    assert observation.subject.walk is not None
    walkers = observation.subject.walk.position
    kept = walkers[2].clone()
    walkers[0], walkers[1] = math.nan, 1e6
    walk = of(observation.watch(1), "chains/walk")
    start = ring.standardise(torch.from_numpy(walk.positions[0]))
    assert torch.allclose(start[:2], method.chains[:2], atol=1e-5)
    assert torch.allclose(start[2], kept, atol=1e-5)


def test_short_runs_start_anew_and_run_their_length(ring: Data) -> None:
    method = Small(Config(), task(ring), persistent=False)
    observation = Observation(method, ring, 0, SMALL)
    first, second = (of(observation.watch(step), "chains/walk") for step in (0, 1))
    # 30 steps an update, of which the last 24 are shown
    assert first.positions.shape == (24, 32, 2)
    assert not np.array_equal(first.positions[-1], second.positions[0])
    walk = observation.subject.walk
    assert walk is not None and walk.gradient_evaluations == 31


def test_what_an_image_run_shows(digits: Data) -> None:
    method = Small(Config(), task(digits))
    observation = Observation(method, digits, 0, SMALL)
    begin, watch, measure = observation.begin(), observation.watch(1), observation.measure(2)
    data = of(begin, "samples/data")
    assert isinstance(data, Images) and data.pixels.shape == (64, 8, 8)
    assert (data.low, data.high) == (-1, 1)
    expected = ((digits.train[:64] + 1) / 2 * 255).round()
    assert np.array_equal(data.pixels, expected.numpy().astype(np.uint8))
    train_time = of(watch, "samples/train_time")
    assert train_time.pixels.dtype == np.uint8 and train_time.energies.shape == (64,)
    assert of(measure, "samples/long_run").pixels.shape == (64, 8, 8)
    paths = {event.path for event in measure}
    assert "quality/frechet_pca/long_run" in paths and "quality/out_of_range/train_time" in paths
    assert not {event.path for event in watch} & {"landscape/model", "chains/walk"}
    assert of(begin, "quality/out_of_range/floor").value == 0
    figures, events, arrays = observation.evaluate(3)
    assert arrays["long_run"].shape == (80, 8, 8)
    assert figures["quality/frechet_pca/floor"] < 2
    # the features of a classifier, and what one Gaussian a class would have
    assert "quality/coverage/long_run" in paths
    assert of(begin, "quality/frechet_features/class_gaussian").value < 1
    assert figures["quality/frechet_features/class_gaussian"] < 1
    # of pixels with noise, beside baselines of the same; a net that learned nothing is not better
    assert -10 < of(measure, "density/log_likelihood/gaussian").value < 60
    known = figures.get("density/log_likelihood", -math.inf)
    assert known < figures["density/log_likelihood/gaussian"]
    assert known > -math.inf or of(events, "density/not_known").message
    assert of(measure, "density/log_likelihood/at_most").value < 60
    final = of(events, "quality/final")
    assert final.columns[-1] == "one Gaussian a class"
    assert {len(row) for row in final.rows} == {len(final.columns)}


def test_chains_far_below_the_energys_temperature_have_no_density_of_pixels(digits: Data) -> None:
    method = Small(Config(), task(digits))
    method.langevin = samplers.build(LangevinConfig(step_size=1.0, noise_scale=0.01))
    observation = Observation(method, digits, 0, SMALL)
    assert not any(event.path.startswith("density/") for event in observation.measure(2))
    figures, events, _ = observation.evaluate(3)
    assert "T = 0.0001" in of(events, "density/not_known").message
    assert not any(path.startswith("density/") for path in figures)


def test_a_perfect_model_sits_on_its_floors(ring: Data) -> None:
    sizes = Sizes(num_evaluated=500, long_run_steps=400)
    observation = Observation(Exact(Config(), task(ring)), ring, 0, sizes)
    figures, events, arrays = observation.evaluate(0)
    assert figures["quality/grid_kl"] == pytest.approx(0, abs=1e-5)
    for name in ("energy_distance", "mmd", "sliced_wasserstein"):
        floor = figures[f"quality/{name}/floor"]
        assert figures[f"quality/{name}/train_time"] < 3 * floor
        assert figures[f"quality/{name}/long_run"] < 6 * floor
    # 500 draws: a standard error of .015
    assert figures["quality/mode_share/train_time"] == pytest.approx(0.865, abs=0.06)
    assert not [event for event in events if isinstance(event, Text) and event.level == "alarm"]
    assert set(arrays) == {"train_time", "long_run", "long_run_energy"}
    # samples in a file are in the user's units: radius 2, not data sd
    assert np.linalg.norm(arrays["train_time"], axis=1).mean() == pytest.approx(2, abs=0.1)
    table = of(events, "quality/final")
    assert table.rows[0][0] == FIGURES["quality/energy_distance"].title


def test_samples_that_are_not_finite_give_nan(ring: Data) -> None:
    observation = Observation(Small(Config(), task(ring)), ring, 0, SMALL)
    x = ring.held_out[:100].clone()
    x[3, 1] = math.inf
    assert all(math.isnan(value) for value in observation.subject.quality.of(x).values())


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "checkerboard"},
        {"name": "funnel"},
        pytest.param({"name": "funnel", "dim": 12}, marks=pytest.mark.slow),
        {"name": "moons", "num_held_out": 100},
        {"name": "banana"},
        {"name": "file", "shape": (60, 1)},
        {"name": "file", "shape": (60, 3)},
        {"name": "file", "shape": (60, 6, 5, 3)},
    ],
    ids=lambda spec: "-".join(map(str, spec.values())),
)
def test_every_kind_of_data_can_be_watched(spec: dict[str, Any], tmp_path: Path) -> None:
    if "shape" in spec:
        values = np.random.default_rng(0).normal(size=spec["shape"])
        np.save(tmp_path / "x.npy", values)
        spec = {"name": "file", "path": str(tmp_path / "x.npy")}
    data = resolve_data(spec).load()
    events = everything(Observation(Small(Config(), task(data)), data, 0, SMALL))
    for event in events:
        assert encode(event, run="r", seq=1, time=0.0, cost=Cost())
        for name in getattr(event, "__slots__", ()):
            value = getattr(event, name)
            if isinstance(value, np.ndarray):
                assert np.isfinite(value).all(), (event.path, name)
    paths = {event.path for event in events}
    assert {"samples/data", "energy/histogram", "quality/energy_distance/long_run"} <= paths
    assert ("landscape/model" in paths) == (data.event_shape == (2,))
    with_box = data.density is not None and spec["name"] != "funnel"
    assert ("quality/grid_kl" in paths) == with_box
