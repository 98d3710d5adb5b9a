"""Balance of flow: the flow of the exact law balances in every form, and no other does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, enumerate_states
from backend.energies.factor_graph import FactorGraph
from backend.energies.hypergrid import Hypergrid
from backend.energies.multiset import Multiset
from backend.generative_flows.environments import Building, Environment, environment_of
from backend.generative_flows.exact_law import Graph, graph_of
from backend.generative_flows.policies import (
    Cut,
    Policies,
    Policy,
    flows_of,
    fragments,
    roll_out,
    shortened,
)
from backend.objectives.flow_balance import Balance, Flows, imbalance, parts
from backend.randomness import generator_of

CPU = torch.device("cpu")


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator_of("tables", *shape))


def triples() -> FactorGraph:
    groups = ((0,), (0, 1), (2, 1), (0, 1, 2))
    return FactorGraph(3, 2, [(group, normal(*[2] * len(group))) for group in groups])


WAYS: dict[str, tuple[DiscreteEnergy, Building]] = {
    "grid": (Hypergrid(3, 2, 0.1, 0.5, 2.0), "raise"),
    "sets": (Multiset(normal(4, 2), 2), "raise"),
    "bags": (Multiset(normal(3, 4), 3), "raise"),
    "left to right": (triples(), "left_to_right"),
    "any order": (triples(), "any_order"),
}


def built(name: str) -> tuple[Environment, Graph]:
    environment = environment_of(*WAYS[name])
    graph = graph_of(environment, CPU)
    assert graph is not None
    return environment, graph


class Exact(Policies):
    """The flow of the exact law: F(event) = R and F(s) = Σ F(s′) P_B(s|s′), P_B even."""

    def __init__(self, environment: Environment, graph: Graph, forward_looking: bool) -> None:
        super().__init__(environment, 4, 1, False, generator_of("unused"))
        self.forward_looking = forward_looking
        self.flow: dict[int, float] = {}
        self.led: dict[int, Tensor] = {}
        beyond = graph.log_reward.exp()
        for layer in reversed(graph.layers):
            led = torch.zeros(len(layer.states), environment.actions, dtype=torch.float64)
            after = environment.step(layer.states[layer.before], layer.action)
            ways_back = environment.undoable(after).sum(-1)
            ways_back[environment.stops(layer.action)] = 1
            for edge in range(len(layer.before)):
                if layer.ends[edge]:
                    flow = float(beyond[layer.after[edge]])
                else:
                    flow = self.flow[int(environment.key(after[edge]))]
                led[layer.before[edge], layer.action[edge]] = flow / float(ways_back[edge])
            for state, row in zip(layer.states, led, strict=True):
                key = int(environment.key(state))
                self.flow[key], self.led[key] = float(row.sum()), row / row.sum()
        start = int(environment.key(environment.start(1, CPU)[0]))
        self.log_z = torch.nn.Parameter(torch.tensor(self.flow[start]).log(), requires_grad=False)

    def forward(self, states: Tensor) -> Policy:
        flat = states.flatten(0, -2)
        keys = self.environment.key(flat).tolist()
        even = torch.full((self.environment.actions,), 1.0, dtype=torch.float64)
        ahead = torch.stack([self.led.get(key, even) for key in keys]).log().clamp(min=-1e30)
        flow = torch.tensor([self.flow.get(key, 1.0) for key in keys]).log()
        if self.forward_looking:
            flow = flow + self.environment.part_energy(flat)
        back = super().forward(flat).backward
        shape = states.shape[:-1]
        return Policy(ahead.float().reshape(*shape, -1), back.reshape(*shape, -1), flow.view(shape))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("forward_looking", [False, True])
def test_the_flow_of_the_exact_law_balances_in_every_form(name: str, forward_looking: bool) -> None:
    environment, graph = built(name)
    exact = Exact(environment, graph, forward_looking)
    torch.testing.assert_close(graph.law(lambda x: exact(x).forward), graph.probabilities)
    assert exact.log_z.item() == pytest.approx(graph.log_z, abs=1e-5)
    ways = roll_out(exact, 24, generator_of("ways", 0), 0.3)
    assert ways.ended.all()
    for cut in get_args(Cut):
        if cut == "fragments":
            seen = fragments(exact, 24, generator_of("cut", 0), 0.3)
            assert seen.ended.any() and not seen.from_nothing.all()
        else:
            seen = shortened(ways, cut, generator_of("cut", 0))
            assert bool(seen.ended.all()) == (cut == "complete")
        assert cut != "unfinished" or not seen.ended.any()
        flows = flows_of(exact, seen, forward_looking)
        for balance in get_args(Balance):
            off = imbalance(flows, balance, 0.9)
            assert off.residuals.abs().max() < 2e-5, (cut, balance)
            assert float(off.weights.sum()) == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        exact.log_z += 1
    flows = flows_of(exact, ways, forward_looking)
    for balance in get_args(Balance):
        assert float(imbalance(flows, balance, 0.9).loss()) > 0.01
        wrong = flows._replace(log_backward=flows.log_backward - 1)
        assert float(imbalance(wrong, balance, 0.9).loss()) > 0.01


def trajectories(
    policies: Policies, state: Tensor, chance: float
) -> Iterator[tuple[tuple[float, ...], float]]:
    """(event, probability) of every trajectory that goes on from a state, one by one."""
    environment = policies.environment
    forward = policies(state[None]).forward[0].double().exp()
    for action in environment.possible(state).nonzero()[:, 0]:
        after = environment.step(state[None], action[None])[0]
        here = chance * float(forward[action])
        if environment.stops(action) or environment.complete(after):
            yield tuple(after.tolist()), here
        else:
            yield from trajectories(policies, after, here)


@pytest.mark.parametrize("name", WAYS)
@torch.no_grad()
def test_the_law_passed_through_the_graph_is_that_of_all_trajectories(name: str) -> None:
    environment, graph = built(name)
    policies = Policies(environment, 16, 1, False, generator_of("policies", name))
    policies.net[-1].weight.mul_(8)  # type: ignore[union-attr,operator]
    shares: dict[tuple[float, ...], float] = {}
    for event, chance in trajectories(policies, environment.start(1, CPU)[0], 1.0):
        shares[event] = shares.get(event, 0.0) + chance
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    learned = graph.law(lambda x: policies(x).forward)
    expected = [shares[tuple(event)] for event in graph.events.tolist()]
    assert len(expected) == len(shares) and learned.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", WAYS)
def test_the_graph_ends_in_every_event_and_in_no_other(name: str) -> None:
    (environment, graph), energy = built(name), WAYS[name][0]
    states = enumerate_states(energy.event_shape, energy.num_values)
    possible = states[energy(states).isfinite()]
    assert sorted(graph.events.tolist()) == sorted(possible.tolist())
    log_z = float((-energy(possible.double())).logsumexp(0))
    assert graph.log_z == pytest.approx(log_z, abs=1e-6)
    assert sum(len(layer.states) for layer in graph.layers) <= environment.num_states
    law = energy.law()
    assert law is not None and law.log_z == pytest.approx(log_z, abs=1e-6)


def test_parts_count_less_the_longer_they_are_and_trajectories_alike() -> None:
    made = torch.tensor([[True, True], [True, False], [True, False]])
    zeros = torch.zeros(3, 2)
    flows = Flows(torch.arange(8.0).reshape(4, 2), zeros, zeros, made)
    off = parts(flows, 0.5)
    assert off.weights.sum((0, 1)).tolist() == pytest.approx([0.5, 0.5])
    assert off.weights[0, 1, 1] == 0.5, "there is one part of a trajectory of one step"
    first = off.weights[:, :, 0]
    # three parts of one step, two of two and one of three
    assert first[0, 1] / first[0, 3] == pytest.approx(4)
    assert first[0, 1] == pytest.approx(0.5 / (3 + 2 * 0.5 + 0.25))
    assert off.residuals[0, 3, 0] == -6 and off.residuals[3, 0, 0] == 0
