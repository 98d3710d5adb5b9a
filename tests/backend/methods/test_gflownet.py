"""GFlowNets: what balances, what is drawn, and how near it comes to the reward."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend.data import Data
from backend.energies.discrete import enumerate_states, state_index
from backend.energies.hypergrid import Hypergrid
from backend.errors import BadInput
from backend.method import SampleRequest
from backend.methods.gflownet import (
    Flows,
    GFlowNet,
    GFlowNetConfig,
    Policies,
    exact_probabilities,
    residuals,
    roll_out,
)
from backend.metrics.quality import Quality
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.spec import RunSpec
from jobs.models.method_setup import Prepared, prepare

CPU = torch.device("cpu")


def prepared(side: int = 4, seed: int = 0, **config: object) -> Prepared:
    data = {"name": "hypergrid", "side": side, "num": 2000}
    spec = RunSpec(method="gflownet", data=data, config=config, seed=seed)
    return prepare(spec, CPU, None)


def distance(run: Prepared) -> float:
    method = run.method
    assert isinstance(method, GFlowNet) and method.truth is not None
    learned = exact_probabilities(method.policies)
    return float((learned - method.truth.probabilities).abs().sum())


class Line(Policies):
    """The policies that balance on a line of given rewards: there is one way to every event."""

    def __init__(self, rewards: Tensor, data: Data) -> None:
        super().__init__(GFlowNetConfig(width=4), data, generator_of("line", 0))
        self.flow = rewards.flip(0).cumsum(0).flip(0)
        self.rewards = rewards
        with torch.no_grad():
            self.log_z.copy_(rewards.sum().log())

    def forward(self, states: Tensor) -> Flows:
        at = states[..., 0].long()
        stop = self.rewards[at] / self.flow[at]
        forward = torch.stack([1 - stop, stop], -1).log()
        return Flows(forward, torch.zeros_like(states), self.flow[at].log())


@pytest.mark.parametrize("loss", ["trajectory_balance", "detailed_balance"])
def test_flows_that_are_in_proportion_to_the_reward_balance(loss: str) -> None:
    rewards = torch.tensor([1.0, 0.5, 3.0, 0.1, 2.0, 0.7])
    data = {"name": "hypergrid", "side": 6, "dimension": 1}
    run = prepare(RunSpec(method="gflownet", data=data), CPU, None)
    line = Line(rewards, run.data)
    ways = roll_out(line, 50, generator_of("ways", 0))
    log_reward = rewards[ways.ends[:, 0].long()].log()
    assert residuals(line, ways, log_reward, loss).abs().max() < 1e-5
    assert residuals(line, ways, log_reward + 1, loss).abs().max() > 0.5
    torch.testing.assert_close(exact_probabilities(line).float(), rewards / rewards.sum())


def test_events_are_drawn_as_often_as_dynamic_programming_says() -> None:
    policies, num = prepared(3).method.policies, 20_000  # type: ignore[attr-defined]
    probabilities = exact_probabilities(policies)
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-6)
    ends = roll_out(policies, num, generator_of("ends", 0)).ends
    counts = torch.bincount(state_index(ends, 3), minlength=9).double()
    chi_square = float(((counts - num * probabilities).square() / (num * probabilities)).sum())
    assert chi_square < 8 + 4 * 16**0.5


def test_every_step_raises_one_site_until_it_stops() -> None:
    ways = roll_out(prepared(4).method.policies, 64, generator_of("ways", 1))  # type: ignore[attr-defined]
    assert len(ways.states) == 2 * 3 + 1, "the longest way to the far corner, and the stop"
    risen = ways.states[1:].sum(-1) - ways.states[:-1].sum(-1)
    assert torch.equal(risen, (ways.going & (ways.actions < 2))[:-1].float())
    assert not (ways.going[1:] & ~ways.going[:-1]).any()
    assert (ways.actions[ways.going].reshape(-1) == 2).sum() == 64


@pytest.mark.parametrize("loss", ["trajectory_balance", "detailed_balance"])
def test_it_comes_near_the_reward_and_its_log_z(loss: str) -> None:
    run = prepared(4, loss=loss, width=48, train={"batch_size": 32, "learning_rate": 5e-3})
    begin = distance(run)
    for step in range(250):
        run.method.step(step / 250)
    method = run.method
    assert isinstance(method, GFlowNet) and method.truth is not None
    assert distance(run) < 0.1 < 0.3 < begin
    assert float(method.log_z()) == pytest.approx(method.truth.log_z, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["trajectory_balance", "detailed_balance"])
def test_on_the_grid_of_the_paper_nothing_is_left_to_see(loss: str) -> None:
    run = prepared(8, loss=loss)
    for step in range(1000):
        run.method.step(step / 1000)
    assert distance(run) < 0.02
    figures = run.method.final_figures(Quality(run.data, 2000), generator_of("final", 0))
    assert figures["quality/l1/train_time"] < 1.5 * figures["quality/l1/floor"]
    assert figures["log_z/exact"] == pytest.approx(3.1091, abs=1e-4)
    assert figures["log_z/error"] < 0.01


def test_the_reward_has_a_peak_in_each_corner() -> None:
    run = prepared(8)
    target = run.data.density
    assert target is not None
    reward = (-target(enumerate_states((2,), 8))).exp().reshape(8, 8)
    assert (reward >= 0.999 * reward.max()).nonzero().tolist() == [[1, 1], [1, 6], [6, 1], [6, 6]]
    assert float(reward.max() / reward.min()) == pytest.approx(2.6 / 0.1, rel=1e-4)
    assert float(reward.sum()) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("side", [8, 11, 16, 21, 41])
def test_the_corners_are_alike(side: int) -> None:
    grid = Hypergrid(side, 2, 0.1, 0.5, 2.0)
    energy = grid(enumerate_states((2,), side)).reshape(side, side)
    assert torch.equal(energy, energy.flip(0)) and torch.equal(energy, energy.flip(1))


def test_both_maps_are_said_as_probability_mass() -> None:
    run = prepared(4)
    maps = [event for event in run.method.observe(generator_of("look", 0)) if event.kind == "field"]
    assert [event.path for event in maps] == ["distribution/truth", "distribution/model"]
    for event in maps:
        assert event.quantity == "probability_mass"  # type: ignore[attr-defined]
        assert float(event.values.sum()) == pytest.approx(1, abs=1e-5)  # type: ignore[attr-defined]


def test_what_it_cannot_take_or_draw_is_refused() -> None:
    with pytest.raises(BadInput, match="real numbers") as real:
        prepare(RunSpec(method="gflownet", data={"name": "ring"}), CPU, None)
    assert [problem.field for problem in real.value.problems] == ["data.name"]
    with pytest.raises(BadInput) as endless:
        prepare(
            RunSpec(method="gflownet", data={"name": "hypergrid"}, budget={"gradients": 9}),
            CPU,
            None,
        )
    assert [problem.field for problem in endless.value.problems] == ["budget.gradients"]
    with pytest.raises(BadInput) as large:
        prepare(
            RunSpec(method="gflownet", data={"name": "hypergrid", "side": 64, "dimension": 4}),
            CPU,
            None,
        )
    assert [problem.field for problem in large.value.problems] == ["data.side"]
    method = prepared(4).method
    for request in (SampleRequest(3, num_steps=5), SampleRequest(3, start=torch.zeros(3, 2))):
        with pytest.raises(BadInput, match="no effect"):
            conditional_sampling.draw(method, request, generator_of("draws", 0))


def test_more_states_than_can_be_listed_are_learned_unseen() -> None:
    spec = RunSpec(
        method="gflownet",
        data={"name": "ising", "rows": 5, "columns": 5, "field": 0.0, "num": 100},
        config={"width": 8, "train": {"batch_size": 4}},
    )
    run = prepare(spec, CPU, None)
    assert math.isfinite(float(run.method.step(0.0)["loss/total"]))
    assert list(run.method.observe(generator_of("look", 0))) == []
