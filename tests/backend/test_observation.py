"""Looking at a run: everything is shown, nothing is touched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backend import panels
from backend.alarms import Alarms, Finding, flattery, missed_modes, runaway, stuck, unmixed
from backend.catalogue import resolve_data
from backend.chains import diagnose, run_chains
from backend.config import Config, KindConfig
from backend.data import Data
from backend.energies.closed_form import Gaussian, Ring
from backend.energy import Energy, InUnits, energy_and_gradient
from backend.events import (
    Cost,
    Event,
    Field,
    Histogram,
    Images,
    Points,
    Table,
    Text,
    Trajectory,
    encode,
)
from backend.figures import FIGURES, chart_of
from backend.method import Method, Preset, Start, Task
from backend.observation import Observation, Sizes
from backend.randomness import generator_of
from backend.sampler import Info, Sampler, State

SMALL = Sizes(
    field=24, num_walkers=40, num_measured=100, num_evaluated=200, long_run_steps=40,
    image_num_measured=64, image_num_evaluated=80, image_measured_steps=10,
    image_long_run_steps=20,
)  # fmt: skip


class SmallLangevinConfig(KindConfig):
    kind: Literal["small_langevin"] = "small_langevin"
    step_size: float = 0.01


class SmallLangevin(Sampler):
    """x - a E' + √(2a) ξ."""

    Config: ClassVar[type[KindConfig]] = SmallLangevinConfig
    exact: ClassVar[bool] = False

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        step = self.config.step_size
        noise = torch.randn(state.position.shape, generator=generator)
        position = state.position - step * state.gradient + math.sqrt(2 * step) * noise
        after = State(position, *energy_and_gradient(energy, position))
        ones = torch.ones(len(position))
        return after, Info(ones, ones.bool(), position, 1)


class SmallNet(Energy):
    """A network whose answer depends on the mode it is in, and on how often it was trained."""

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(dim, 16), nn.SiLU(), nn.Linear(16, 1))
        self.norm = nn.BatchNorm1d(1)
        for parameter in self.net.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.norm(self.net(x))[:, 0] + 0.5 * x.flatten(1).square().sum(1)


class Small(Method):
    """Contrastive divergence in twenty lines: persistent chains, or short runs from noise."""

    id: ClassVar[str] = "small"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}

    def __init__(self, config: Any, task: Task, *, persistent: bool = True) -> None:
        super().__init__(config, task)
        self.net = SmallNet(task.data.event_shape.numel(), self.generator)
        self.net.train()
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-2)
        self.persistent = persistent
        self.chains = task.data.noise(64, self.generator)
        self.langevin = SmallLangevin(SmallLangevinConfig())

    def step(self, progress: float) -> dict[str, Tensor]:
        x_data = self.task.data.batch(64, self.generator)
        walk = run_chains(self.langevin, self.net, self.chains, 3, self.generator, keep_last=1)
        self.chains = walk.position
        loss = self.net(x_data).mean() - self.net(self.chains).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss/total": loss.detach()}

    def energy(self) -> Energy:
        return self.net

    def sampler(self) -> Sampler | None:
        return self.langevin

    def start(self, num: int, generator: torch.Generator) -> Start | None:
        if not self.persistent:
            return Start(self.task.data.noise(num, generator), False, 30)
        return Start(self.chains[torch.arange(num) % 64].clone(), True, 3)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        return self.chains[torch.randint(64, (num,), generator=generator)]


class Exact(Small):
    """Holds the true energy of its data; its chains are exact draws."""

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.density is not None
        self.truth = InUnits(data.density, -data.mean / data.scale, 1 / data.scale)

    def energy(self) -> Energy:
        return self.truth

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        data = self.task.data
        assert data.draw is not None
        return data.standardise(data.draw(num, generator))


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
    with observation._look(0, 0) as look:
        x = ring.train[:10]
        assert torch.allclose(look.energy(x)[:3], look.energy(x[:3]), atol=1e-5)
        assert not method.net.training
    with pytest.raises(ZeroDivisionError), observation._look(0, 0):
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
    grid = Ring()(observation.grid_points).min()
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
    assert observation._walkers is not None
    kept = observation._walkers[2].clone()
    observation._walkers[0], observation._walkers[1] = math.nan, 1e6
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
    assert observation._walk is not None and observation._walk.gradient_evaluations == 31


def test_the_trajectory_is_the_path_taken() -> None:
    energy = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = SmallLangevin(SmallLangevinConfig())
    start = torch.randn((8, 2), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 5, generator_of(1), keep_last=5)
    state, generator = sampler.init(start, energy, generator_of(1)), generator_of(1)
    for position, value in zip(chains.path, chains.energies, strict=True):
        assert torch.equal(position, state.position) and torch.equal(value, state.energy)
        state, _ = sampler.step(state, energy, generator)
    assert len(chains.path) == 6 and len(chains.accepted) == 5
    assert chains.gradient_evaluations == 6


def test_drift_over_noise() -> None:
    """For a unit Gaussian in equilibrium: a·|x| over √(2a)·|ξ|, that is √(a / 2)."""
    step = 0.02
    energy = Gaussian(torch.zeros(3), torch.eye(3))
    sampler = SmallLangevin(SmallLangevinConfig(step_size=step))
    start = torch.randn((2000, 3), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 40, generator_of(1), keep_last=40)
    assert chains.gradient_to_noise == pytest.approx(math.sqrt(step / 2), rel=0.05)


def test_diagnose_looks_at_the_energy_and_every_coordinate() -> None:
    energy = Gaussian(torch.zeros(2), torch.eye(2))
    sampler = SmallLangevin(SmallLangevinConfig(step_size=0.3))
    start = torch.randn((32, 2), generator=generator_of(0))
    chains = run_chains(sampler, energy, start, 500, generator_of(1), keep_last=400)
    good = diagnose(chains)
    assert good.r_hat < 1.05 and good.bulk_ess > 200
    # chains that stay on their own side have one energy and two places
    for position in chains.path:
        position[:16, 1] += 20
    apart = diagnose(chains)
    assert apart.r_hat > 1.5 and apart.r_hat_energy == good.r_hat_energy
    chains.path[0][0, 0] = math.nan
    assert math.isnan(diagnose(chains).r_hat)


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
    figures, _, arrays = observation.evaluate(3)
    assert arrays["long_run"].shape == (80, 8, 8)
    assert figures["quality/frechet_pca/floor"] < 2


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
    assert all(math.isnan(value) for value in observation.quality.of(x).values())


def test_histogram_counts_everything() -> None:
    sets = {
        "data": torch.linspace(0, 1, 100),
        "noise": torch.cat([torch.full((50,), 1e9), torch.tensor([math.nan, math.inf])]),
    }
    event = panels.histogram("energy/histogram", sets, 10)
    assert isinstance(event, Histogram)
    assert event.names == ["data", "noise"] and event.edges.shape == (11,)
    assert event.edges[-1] == pytest.approx(0.995 + 3 * 0.99, abs=0.01)
    assert event.clipped[1].tolist() == [0, 52] and event.counts[1].sum() == 0
    inside = event.counts[0].sum() * 100
    assert inside + event.clipped[0].sum() == pytest.approx(100)
    same = panels.histogram("h", {"data": torch.ones(5), "noise": torch.ones(5)}, 4)
    assert same.counts.sum() == pytest.approx(2)


def test_view_is_square_unless_units_differ() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 1.0]])

    def data(scale: list[float]) -> Data:
        unit = torch.ones(2)
        return Data("x", "x", x, x, 0 * unit, torch.tensor(scale), -unit, unit)

    assert panels.view_of(data([1.0, 1.0])) == (
        pytest.approx((-0.4, 2.4)),
        pytest.approx((-0.9, 1.9)),
    )
    left, _ = panels.view_of(data([1.0, 1000.0])) or ((0, 0), (0, 0))
    assert left == pytest.approx((-0.4, 2.4))


def test_alarms_are_said_once_when_they_last() -> None:
    alarms = Alarms()
    finding = [Finding("x", "warning", "A thing.")]
    said = [alarms.say(found) for found in (finding, finding, finding, [], finding, finding)]
    assert [len(texts) for texts in said] == [0, 1, 0, 0, 0, 1]
    assert said[1][0].path == "alarm/x" and said[1][0].level == "warning"
    assert len(Alarms().say(finding, final=True)) == 1
    assert alarms.say(finding, final=True) == []


def test_each_alarm_has_its_condition() -> None:
    assert flattery(0.002, 0.04, 0.004) and not flattery(0.002, 0.01, 0.004)
    assert not flattery(0.02, 0.04, 0.004)
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    near = torch.zeros(100, 2)
    assert "visit 1 of 2 modes" in missed_modes(near, modes)[0].message
    near[:40, 0] = 4
    assert not missed_modes(near, modes)
    assert stuck(0.01, 1.0) and stuck(1.0, 1e-5) and not stuck(0.6, 0.5)
    assert unmixed(1.5, "x") and not unmixed(1.05, "x") and not unmixed(math.nan, "x")
    far = torch.zeros(100, 2)
    assert not runaway(far, 3.0)
    far[:5] = math.nan
    far[5:10] = 1e4
    assert "10 of 100" in runaway(far, 3.0)[0].message
