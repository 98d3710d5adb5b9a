"""GFlowNets: what is built, what is drawn, and how near it comes to the reward."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend.energies.discrete import enumerate_states
from backend.energies.hypergrid import Hypergrid
from backend.errors import BadInput
from backend.events import Curve, Event, Field, Scalar
from backend.generative_flows.policies import fragments, roll_out
from backend.method import SampleRequest
from backend.methods.gflownet import GFlowNet
from backend.metrics.quality import Quality
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from backend.spec import RunSpec
from jobs.models.method_setup import Prepared, prepare

CPU = torch.device("cpu")
GRID = {"name": "hypergrid", "side": 4}
SETS = {"name": "sets", "num_elements": 7, "size": 3}
BAGS = {"name": "bags", "num_kinds": 4, "size": 5, "repeats": 3}
SPINS = {"name": "ising", "rows": 2, "columns": 3}
LOSSES = ("trajectory_balance", "detailed_balance", "subtrajectory_balance")


def prepared(data: dict[str, object], seed: int = 0, **config: object) -> Prepared:
    data = {"num": 400, "num_held_out": 200, **data}
    return prepare(RunSpec(method="gflownet", data=data, config=config, seed=seed), CPU, None)


def method_of(run: Prepared) -> GFlowNet:
    assert isinstance(run.method, GFlowNet)
    return run.method


def looks(run: Prepared) -> dict[str, Event]:
    return {event.path: event for event in run.method.observe(generator_of("look", 0))}


def figure(run: Prepared, path: str) -> float:
    event = looks(run)[path]
    assert isinstance(event, Scalar)
    return event.value


@pytest.mark.parametrize(
    ("data", "building"),
    [(GRID, "raise"), (SETS, "raise"), (BAGS, "raise"), (SPINS, "left_to_right")],
)
def test_events_are_drawn_as_often_as_the_graph_says(
    data: dict[str, object], building: str
) -> None:
    method, num = method_of(prepared(data, building=building)), 20_000
    graph = method.graph()
    assert graph is not None
    chances = method.learned(graph)
    assert float(chances.sum()) == pytest.approx(1, abs=1e-5)
    drawn = method.train_time_samples(num, generator_of("ends", 0)).flatten(1)
    rows = (drawn[:, None] == graph.events[None]).all(2).nonzero()
    assert len(rows) == num, "every draw is one of the events"
    counts = torch.bincount(rows[:, 1], minlength=len(chances)).double()
    chi_square = float(((counts - num * chances).square() / (num * chances)).sum())
    freedom = len(chances) - 1
    assert abs(chi_square - freedom) < 4.5 * (2 * freedom) ** 0.5


def test_every_step_raises_one_site_until_it_stops() -> None:
    ways = method_of(prepared(GRID)).trajectories(64, generator_of("ways", 1))
    assert len(ways.actions) == 2 * 3 + 1, "the longest way to the far corner, and the stop"
    risen = ways.states[1:].sum(-1) - ways.states[:-1].sum(-1)
    assert torch.equal(risen, (ways.made & (ways.actions < 2)).float())
    assert not (ways.made[1:] & ~ways.made[:-1]).any()
    assert (ways.actions[ways.made] == 2).sum() == 64 and ways.ended.all()


@torch.no_grad()
def test_a_share_of_the_steps_is_drawn_uniformly() -> None:
    policies, num = method_of(prepared(SETS)).policies, 20_000
    bias = policies.net[-1].bias
    assert isinstance(bias, Tensor)
    bias[0] = 50.0  # the first element is always chosen where nothing is explored
    for exploration in (0.0, 0.3):
        ways = roll_out(policies, num, generator_of("explored", 0), exploration)
        share = float((ways.actions[0] != 0).double().mean())
        expected = exploration * 6 / 7
        assert abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / num)


def test_strings_are_built_from_left_to_right_or_in_any_order() -> None:
    for building, num_orders in (("left_to_right", 1), ("any_order", 100)):
        ways = method_of(prepared(SPINS, building=building)).trajectories(
            200, generator_of("ways", 2)
        )
        order = (ways.states[1:] != ways.states[:-1]).float().argmax(-1)
        assert ways.made.all() and torch.equal(order.sort(0).values[:, 0], torch.arange(6))
        assert len(order.T.unique(dim=0)) >= num_orders
        assert num_orders > 1 or torch.equal(order[:, 0], torch.arange(6))


@pytest.mark.parametrize(
    ("data", "config"),
    [
        (GRID, {"loss": "trajectory_balance"}),
        (GRID, {"loss": "detailed_balance", "backward": "learned"}),
        (SETS, {"loss": "detailed_balance", "forward_looking": True}),
        pytest.param(
            BAGS,
            {"loss": "subtrajectory_balance", "forward_looking": True},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            SPINS,
            {"loss": "subtrajectory_balance", "building": "any_order"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_it_comes_near_the_reward_and_its_log_z(
    data: dict[str, object], config: dict[str, object]
) -> None:
    train = {"batch_size": 64, "learning_rate": 1e-2}
    run = prepared(data, width=48, train=train, exploration=0.05, log_z_rate=40.0, **config)
    begin, num_steps = figure(run, "quality/l1"), 150 if data in (GRID, SETS) else 600
    for step in range(num_steps):
        run.method.step(step / num_steps)
    assert figure(run, "quality/l1") < 0.12 < 0.3 < begin
    assert figure(run, "log_z/error") < 0.05
    assert figure(run, "modes/found") == figure(run, "modes/found/goal")
    assert figure(run, "reward/learned") == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_on_the_grid_of_the_paper_nothing_is_left_to_see(loss: str) -> None:
    run = prepared({"name": "hypergrid", "num_held_out": 2000}, loss=loss)
    for step in range(1500):
        run.method.step(step / 1500)
    figures = run.method.final_figures(Quality(run.data, 2000), generator_of("final", 0))
    assert figures["quality/l1"] < 0.01
    assert figures["quality/l1/train_time"] < 1.5 * figures["quality/l1/floor"]
    assert figures["log_z/exact"] == pytest.approx(3.1091, abs=1e-4)
    assert figures["log_z/error"] < 0.01


def test_without_an_end_the_loss_says_nothing_and_the_run_says_so() -> None:
    config = {"loss": "detailed_balance", "forward_looking": True}
    train = {"learning_rate": 1e-2}
    sets = {"name": "sets", "num_elements": 10, "size": 6}
    run = prepared(sets, width=48, trajectories="unfinished", train=train, **config)
    for step in range(100):
        metrics = run.method.step(step / 100)
    assert float(metrics["loss/total"]) < 0.3 and float(metrics["trajectory/ended"]) == 0
    assert figure(run, "quality/l1") > 0.2 and figure(run, "log_z/error") > 1
    (finding,) = run.method.findings(generator_of("find", 0))
    assert f"L1 is {figure(run, 'quality/l1'):.2f}" in finding.message
    assert not list(prepared(SETS, **config).method.findings(generator_of("find", 0)))


def test_one_trajectory_in_as_many_as_it_has_steps_ends_where_they_are_stopped() -> None:
    run = prepared(SETS, trajectories="stopped", train={"batch_size": 4000})
    metrics = run.method.step(0.0)
    share = float(metrics["trajectory/ended"])
    assert abs(share - 1 / 3) < 4 * math.sqrt(2 / 9 / 4000)


def test_fragments_begin_at_any_set_of_any_size() -> None:
    policies = method_of(prepared(SETS)).policies
    start = fragments(policies, 12_000, generator_of("parts", 0)).states[0]
    size = start.sum(1).long()
    for k, num_sets in enumerate((1, 7, 21)):
        share = 1 / 3 / num_sets
        counts = start[size == k].unique(dim=0, return_counts=True)[1]
        assert len(counts) == num_sets
        sd = math.sqrt(12_000 * share * (1 - share))
        assert (counts - 12_000 * share).abs().max() < 5 * sd


@pytest.mark.slow
def test_fragments_teach_the_law_sooner_where_flows_look_forward() -> None:
    distances = []
    for forward_looking in (True, False):
        config = {"loss": "detailed_balance", "forward_looking": forward_looking}
        train = {"learning_rate": 1e-3, "schedule": "constant"}
        sets = {"name": "sets"}
        run = prepared(sets, trajectories="fragments", exploration=0.0, train=train, **config)
        for step in range(200):
            metrics = run.method.step(step / 200)
            assert all(value.isfinite() for value in metrics.values())
        distances.append(figure(run, "quality/l1"))
    assert distances[0] < 0.4 and distances[0] < distances[1]


def test_energies_are_counted_those_of_parts_too() -> None:
    config = {"loss": "detailed_balance", "train": {"batch_size": 8}}
    for forward_looking, a_step in ((False, 8), (True, 8 + 8 * 4)):
        run = prepared(SETS, forward_looking=forward_looking, **config)
        calls = [float(run.method.step(0.0)["reward/calls"]) for _ in range(2)]
        assert calls == [a_step, 2 * a_step]


@pytest.mark.parametrize("preset", GFlowNet.presets)
def test_presets_train_on_sixteen_trajectories(preset: str) -> None:
    data = GFlowNet.presets[preset].data
    spec = RunSpec(method="gflownet", preset=preset, data={"num": 200, **(data or {})})
    train = prepare(spec, CPU, None).config.train
    assert (train.batch_size, train.beta1, train.gradient_clip) == (16, 0.9, 0)
    assert train.schedule == ("constant" if preset == "forward_looking" else "cosine")


def test_the_reward_has_a_peak_in_each_corner() -> None:
    target = prepared({"name": "hypergrid"}).data.density
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


def test_target_and_learned_law_are_shown_as_maps_or_by_rank() -> None:
    run = prepared(GRID)
    maps = {path: event for path, event in looks(run).items() if isinstance(event, Field)}
    assert list(maps) == ["distribution/truth", "distribution/model"]
    largest = max(float(item.values.max()) for item in maps.values())
    assert all(item.colour_range == pytest.approx((0, largest)) for item in maps.values())
    for event in maps.values():
        assert event.quantity == "probability_mass"
        assert float(event.values.sum()) == pytest.approx(1, abs=1e-5)
    energy = run.data.density
    assert energy is not None
    at = torch.tensor([[1.0, 3.0]])
    assert maps["distribution/truth"].values[3, 1] == pytest.approx(float((-energy(at)).exp()))
    ranked = looks(prepared(SETS))["distribution/by_rank"]
    assert isinstance(ranked, Curve) and ranked.names == ["target", "learned"]
    target: Tensor = torch.from_numpy(ranked.y[0])
    assert (target.diff() <= 0).all() and len(target) == 35


def test_what_it_cannot_take_or_draw_is_refused() -> None:
    for data, config, field in (
        ({"name": "ring"}, {}, "data.name"),
        ({**SETS, "size": 7}, {}, "data.size"),
        ({**BAGS, "repeats": 6}, {}, "data.repeats"),
        (SETS, {"building": "any_order"}, "config.building"),
        ({"name": "hypergrid", "side": 64, "dimension": 4}, {}, "data.side"),
    ):
        with pytest.raises(BadInput) as refused:
            prepared(data, **config)
        assert [problem.field for problem in refused.value.problems] == [field]
    endless = RunSpec(method="gflownet", data=GRID, budget={"gradients": 9})
    with pytest.raises(BadInput, match=r"budget\.gradients"):
        prepare(endless, CPU, None)
    for request in (SampleRequest(3, num_steps=5), SampleRequest(3, start=torch.zeros(3, 2))):
        with pytest.raises(BadInput, match="no effect"):
            conditional_sampling.draw(prepared(GRID).method, request, generator_of("draws", 0))


def test_more_states_than_can_be_listed_are_learned_unseen() -> None:
    data = {"name": "ising", "rows": 5, "columns": 5, "field": 0.0, "num": 100}
    run = prepared(data, width=8, train={"batch_size": 4})
    assert math.isfinite(float(run.method.step(0.0)["loss/total"]))
    assert list(looks(run)) == ["policy/entropy"]
