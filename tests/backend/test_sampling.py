"""The method that only samples: the statistics of its draws, its knobs, when it ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from backend.data import Data
from backend.energies.closed_form import Gaussian, GaussianMixture
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Cost, Curve, Event, Field, Scalar, Table
from backend.method import Task
from backend.methods.sampling import GRADIENTS_A_POINT, Sampling, SamplingConfig
from backend.observe.observation import Observation
from backend.randomness import generator_of
from backend.sampler import Info, Sampler, State
from backend.samplers.langevin import LangevinConfig
from backend.system import discovery
from backend.truth import Truth
from jobs.models import method_state

CPU = torch.device("cpu")
MEAN = torch.tensor([3.0, -2.0])
COVARIANCE = torch.tensor([[4.0, 1.0], [1.0, 0.5]])


def known(target: Any, truth: Truth, modes: torch.Tensor | None = None) -> Data:
    """A target in the user's units, whose data are exact draws."""
    x = target.draw(2000, generator_of("data"))
    mean, scale = x.mean(0), x.std(0)
    z = (x - mean) / scale
    return Data(
        name="known",
        title="Known",
        train=z[:1000],
        held_out=z[1000:],
        mean=mean,
        scale=scale,
        noise_low=z.amin(0),
        noise_high=z.amax(0),
        density=target,
        draw=target.draw,
        truth=truth,
        modes=modes,
        mode_sd=None if modes is None else 0.3,
    )


def gaussian() -> Data:
    target = Gaussian(MEAN, COVARIANCE)
    entropy = 0.5 * math.log((2 * math.pi * math.e) ** 2 * float(COVARIANCE.det()))
    mean, covariance = MEAN.double(), COVARIANCE.double()
    truth = Truth("closed form", mean, covariance.diagonal(), 0.0, mean_energy=entropy)
    return known(target, truth)


def two_modes() -> Data:
    modes = torch.tensor([[-1.5, 0.0], [1.5, 0.0]])
    target = GaussianMixture(modes, 0.5, torch.tensor([0.3, 0.7]))
    mean, covariance = target.moments()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    return known(target, Truth("closed form", mean, covariance.diagonal(), 0.0, weights), modes)


def sampling(data: Data, **config: Any) -> Sampling:
    task = Task(data=data, device=CPU, generator=generator_of("run", 1))
    given = {"num_chains": 256, "num_warm_up": 50, **config}
    return Sampling(SamplingConfig.model_validate(given), task)


def run(method: Sampling, steps: int) -> dict[str, float]:
    metrics: dict[str, torch.Tensor] = {}
    for index in range(steps):
        metrics = method.step(index / steps)
    return {path: float(value) for path, value in metrics.items()}


def scalars(events: list[Event]) -> dict[str, float]:
    return {event.path: event.value for event in events if isinstance(event, Scalar)}


def test_an_exact_sampler_comes_near_the_truth_as_fast_as_its_ess_says() -> None:
    method = sampling(gaussian(), sampler={"kind": "hmc", "step_size": 0.4}, num_steps=1)
    metrics = run(method, 550)
    method.spent = Cost(550, method.gradient_evaluations, 2.0, None)
    seen = scalars(Observation(method, method.task.data, 0).measure(550))
    ess = seen["sampler/bulk_ess"]
    assert ess > 20_000
    assert seen["sampler/r_hat"] < 1.01
    assert metrics["error/mean"] < 4 / math.sqrt(ess)
    assert metrics["error/variance"] < 4 * math.sqrt(2 / ess)
    assert metrics["error/energy"] < 4 / math.sqrt(ess)
    assert seen["error/mean/floor"] == pytest.approx(1.05 / math.sqrt(ess), rel=0.02)
    gradients = method.gradient_evaluations * 256
    assert seen["sampler/ess_per_kilogradient"] == pytest.approx(1000 * ess / gradients)
    assert seen["sampler/ess_per_second"] == pytest.approx(ess / 2.0)
    assert "sampler/ess_per_joule" not in seen, "what nobody measures is not said"


def test_a_biased_sampler_stops_short_of_the_truth_where_theory_says() -> None:
    """ULA on N(0, 1) in standard units: variance 1 / (1 − a/2)."""
    target = Gaussian(torch.zeros(2), torch.eye(2))
    truth = Truth("closed form", torch.zeros(2).double(), torch.ones(2).double(), 0.0)
    step_size = 0.4
    method = sampling(
        known(target, truth),
        sampler={"kind": "langevin", "step_size": step_size},
        num_chains=4096,
        num_steps=5,
    )
    scale = method.task.data.scale.square().mean()
    expected = 1 / (1 - step_size / 2 * float(scale)) - 1
    assert run(method, 80)["error/variance"] == pytest.approx(expected, rel=0.1)


def test_draws_of_the_warm_up_do_not_count() -> None:
    method = sampling(gaussian(), sampler={"kind": "langevin"}, num_steps=5, num_warm_up=20)
    run(method, 4)
    assert float(method.statistics.moments.total) == 256, "the statistics begin as the warm-up ends"
    mean = method.state.position.double().mean(0)
    assert torch.allclose(method.statistics.moments.mean(), mean)
    run(method, 3)
    assert float(method.statistics.moments.total) == 4 * 256
    assert len(method.statistics.draws.draws) == 4


def test_mode_weights_are_told_from_one_mode() -> None:
    stuck = sampling(
        two_modes(),
        chains="one_mode",
        num_warm_up=0,
        num_steps=1,
        sampler={"kind": "mala", "step_size": 0.001},
    )
    error = run(stuck, 20)["error/mode_weights"]
    assert min(abs(error - 0.3), abs(error - 0.7)) < 0.01


def test_points_lie_about_as_many_gradients_apart_for_every_sampler() -> None:
    method = sampling(gaussian(), sampler={"kind": "langevin"})
    before = method.gradient_evaluations
    method.step(0.0)
    assert method.gradient_evaluations - before == GRADIENTS_A_POINT


def test_a_knob_is_turned_at_the_next_step_and_kept_over_a_resume() -> None:
    method = sampling(gaussian(), sampler={"kind": "langevin", "step_size": 0.01}, num_steps=2)
    run(method, 3)
    assert method.turn({"sampler.step_size": 0.25}) == {"sampler.step_size": (0.01, 0.25)}
    twin = sampling(gaussian(), sampler={"kind": "langevin", "step_size": 0.01}, num_steps=2)
    tensors, tree = method_state.collect(method)
    method_state.restore(twin, tensors, tree, CPU)
    ends = [run(each, 2) for each in (method, twin)]
    assert ends[0] == pytest.approx(ends[1], nan_ok=True)
    assert torch.equal(method.state.position, twin.state.position)
    assert isinstance(twin.kernel.config, LangevinConfig)
    assert twin.kernel.config.step_size == 0.25
    third = sampling(gaussian(), sampler={"kind": "langevin", "step_size": 0.01}, num_steps=2)
    tensors, tree = method_state.collect(method)  # now that it is in force
    method_state.restore(third, tensors, tree, CPU)
    run(method, 1), run(third, 1)
    assert torch.equal(method.state.position, third.state.position)


def test_a_tuned_step_size_may_be_turned_too() -> None:
    method = sampling(gaussian(), sampler={"kind": "mala", "step_size": 0.05}, num_steps=10)
    first = run(method, 6)["sampler/step_size"]
    assert first != pytest.approx(0.05, rel=0.1), "tuned in the warm-up"
    turned = method.turn({"sampler.step_size": 0.001})
    assert turned["sampler.step_size"] == (pytest.approx(first), 0.001)
    assert run(method, 1)["sampler/step_size"] == pytest.approx(0.001)
    assert run(method, 1)["sampler/acceptance_rate"] > 0.95


def test_another_temperature_counts_draws_anew() -> None:
    method = sampling(gaussian(), sampler={"kind": "hmc"}, num_warm_up=0, num_steps=1)
    run(method, 30)
    assert float(method.statistics.moments.total) == 30 * 256
    method.turn({"sampler.temperature": 4.0})
    metrics = run(method, 1)
    assert math.isnan(metrics["error/mean"]), "the truth is that of T = 1"
    assert float(method.statistics.moments.total) == 256
    hot = run(method, 200)
    assert hot["energy/model"] == pytest.approx(
        float(method.truth.mean_energy or 0) + 3.0, abs=0.5
    ), "two dimensions gain (T − 1) nats"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler.step_size": -1.0}, "must be > 0"),
        ({"sampler.step_size": 1e9}, "must be ≤ 100"),
        ({"sampler.temperature": 2.0}, "cannot be turned"),
    ],
)
def test_a_knob_that_cannot_be_turned_says_why(settings: dict[str, float], words: str) -> None:
    method = sampling(gaussian(), sampler={"kind": "langevin"})
    with pytest.raises(BadInput, match=words):
        method.turn(settings)
    assert method.turned == {}


def test_it_ends_when_it_is_as_precise_as_was_asked() -> None:
    method = sampling(
        gaussian(), sampler={"kind": "hmc", "step_size": 0.4}, num_steps=1, stop_at_error=0.02
    )
    look = Observation(method, method.task.data, 0)
    for index in range(1, 400):
        method.step(0.0)
        if index % 20 == 0:
            look.measure(index)
        if method.done:
            break
    assert "within" in method.done and index < 300
    assert float(method.statistics.errors["error/mean"]) <= 0.02
    asked = sampling(
        gaussian(), sampler={"kind": "hmc", "step_size": 0.4}, num_steps=1, stop_at_ess=10_000
    )
    look = Observation(asked, asked.task.data, 0)
    run(asked, 60)
    look.measure(60)
    assert not asked.done
    run(asked, 340)
    look.measure(400)
    assert "independent draws" in asked.done


def test_what_has_no_truth_cannot_stop_at_an_error() -> None:
    data = gaussian()
    config = SamplingConfig(stop_at_error=0.1)
    assert not list(Sampling.problems(config, data))
    blind = Data(**{**vars(data), "truth": None})
    fields = [field for field, _ in Sampling.problems(config, blind)]
    assert fields == ["stop_at_error"]


def test_the_table_says_what_is_biased_and_what_the_truth_is_from() -> None:
    biased = sampling(gaussian(), sampler={"kind": "langevin"}, num_steps=1, num_warm_up=0)
    run(biased, 20)
    events = Observation(biased, biased.task.data, 0).measure(20)
    (table,) = (event for event in events if isinstance(event, Table))
    cells = {row[0]: row for row in table.rows}
    assert str(cells["sampler"][2]).startswith("biased: ")
    assert cells["truth"][2] == "from closed form"
    assert "error of the mean" in cells and "error of as many independent draws" in cells
    curves = {event.path: event for event in events if isinstance(event, Curve)}
    curve = curves["chains/autocorrelation"]
    assert curve.y[0, 0] == pytest.approx(1.0, abs=0.1)


def test_the_true_landscape_is_that_of_the_data_whatever_is_sampled() -> None:
    data = gaussian()
    other = Gaussian(MEAN + 1, torch.eye(2))
    task = Task(
        data=data, device=CPU, generator=generator_of("run", 1), load_energy=lambda run: other
    )
    trained = Sampling(SamplingConfig(energy_of="run", num_chains=8), task)
    own = sampling(data, num_chains=8)
    fields = [
        {e.path: e for e in Observation(each, data, 0).begin() if isinstance(e, Field)}
        for each in (trained, own)
    ]
    assert (fields[0]["landscape/truth"].values == fields[1]["landscape/truth"].values).all()
    assert (fields[0]["landscape/truth"].values != fields[0]["landscape/model"].values).any()


def test_draws_after_the_warm_up_are_shown_as_long_run_samples() -> None:
    method = sampling(gaussian(), num_chains=16, num_steps=1, num_warm_up=10)
    look = Observation(method, method.task.data, 0)
    run(method, 9)
    assert not any(event.path == "samples/long_run" for event in look.measure(9))
    run(method, 1)
    assert any(event.path == "samples/long_run" for event in look.measure(10))


class Annealer(Sampler):
    """Every third step ends a pass with weights; in between positions are nonsense."""

    anneals = True
    weighs = True
    exact = True
    Config = LangevinConfig

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        passed = int(state.extra["count"]) + 1
        complete = torch.tensor(passed % 3 == 0)
        noise = torch.randn(state.position.shape, generator=generator)
        position = 1.5 * noise if complete else torch.full_like(noise, math.nan)
        value = energy(position)
        log_w = -value + 0.5 * (position / 1.5).square().sum(1) + math.log(2 * math.pi * 2.25)
        after = State(position, value, torch.zeros_like(position))
        rate = torch.ones(len(position))
        info = Info(rate, rate > 0, position, 1, {}, log_w, complete)
        return after.carrying(count=torch.tensor(passed)), info

    def init(self, position: torch.Tensor, energy: Energy, generator: Any) -> State:
        return super().init(position, energy, generator).carrying(count=torch.tensor(0))


def test_weighted_passes_give_moments_and_log_z(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importance sampling of the standardised Gaussian from N(0, 1.5²)."""
    found = {**discovery.samplers(), "langevin": Annealer}
    monkeypatch.setattr(discovery, "samplers", lambda: found)
    method = sampling(gaussian(), num_warm_up=0, num_steps=3, num_chains=2000)
    metrics = run(method, 20)
    assert metrics["error/log_z"] < 0.03
    assert metrics["error/mean"] < 0.05
    seen = scalars(Observation(method, method.task.data, 0).measure(1))
    assert 2000 < seen["sampler/bulk_ess"] < 40_000
    assert "sampler/r_hat" not in seen, "sets that start anew have nothing to mix"
