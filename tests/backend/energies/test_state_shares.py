"""Shares of draws in the states of a law, against counting by hand and against chance."""

from __future__ import annotations

import math

import pytest
import torch

from backend.energies.discrete import enumerated, state_index
from backend.energies.hypergrid import Hypergrid
from backend.energies.lattices import Ising
from backend.energies.state_shares import StateShares, l1_of_draws
from backend.methods.sampling import Sampling
from backend.metrics.event_histograms import histogram_distances
from backend.observe.observation import Observation
from backend.randomness import generator_of
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")


def test_shares_are_what_counting_gives() -> None:
    law = enumerated(Ising(2, 2, 0.3, 0.1))
    assert law is not None
    x = law.draw(50, generator_of("x"))
    shares = StateShares(law, CPU)
    for part in x.split(7):
        shares.add(part)
    index = state_index(x, 2).tolist()
    by_hand = sum(abs(index.count(k) / 50 - float(p)) for k, p in enumerate(law.probabilities))
    assert shares.l1(law) == pytest.approx(by_hand, abs=1e-12)
    assert l1_of_draws(law, x) == shares.l1(law)
    drawn = state_index(shares.draw(4000, generator_of("draw")), 2)
    assert set(drawn.tolist()) <= set(index)
    often = torch.bincount(drawn, minlength=16) / 4000
    assert (often - shares.counts / 50).abs().max() < 0.04


def test_exact_draws_come_as_near_as_chance_lets_them() -> None:
    law = enumerated(Hypergrid(8, 2, 0.1, 0.5, 2.0))
    assert law is not None
    num, p = 20_000, law.probabilities
    # a binomial's mean absolute deviation
    expected = float((2 * p * (1 - p) / (math.pi * num)).sqrt().sum())
    distances = [l1_of_draws(law, law.draw(num, generator_of("x", k))) for k in range(5)]
    assert sum(distances) / 5 == pytest.approx(expected, rel=0.15)
    far = l1_of_draws(law, torch.zeros(num, 2))
    assert far == pytest.approx(2 * (1 - float(p[0])))


@pytest.mark.parametrize("kind", ["gibbs", "gibbs_with_gradients", "discrete_metropolis"])
def test_chains_are_judged_by_all_their_draws(kind: str) -> None:
    config = {"sampler": {"kind": kind}, "num_chains": 64, "num_warm_up": 20, "num_steps": 1}
    data = {"name": "hypergrid", "side": 4, "num": 400, "num_held_out": 300}
    prepared = prepare(RunSpec(method="sampling", data=data, config=config), CPU, None)
    method = Sampling.of(prepared.method)
    for _ in range(19):
        method.step(0.0)
    statistics = method.statistics
    assert statistics.shares is not None and float(statistics.shares.counts.sum()) == 0
    drawn = []
    for _ in range(200):
        method.step(0.0)
        drawn.append(method.state.position)
    figures = Observation(method, prepared.data, 0).evaluate(219)[0]
    law = statistics.law
    assert law is not None
    assert figures["quality/l1"] == pytest.approx(l1_of_draws(law, torch.cat(drawn)))
    assert figures["quality/l1"] < 0.1, "12,800 draws"
    assert figures["quality/num_samples"] == 300
    assert figures["quality/l1/train_time"] < 2 * figures["quality/l1/floor"] < 0.6
    assert figures["quality/energy_tv"] < 0.1 + figures["quality/energy_tv/floor"]


def test_histograms_tell_draws_of_another_law() -> None:
    spec = RunSpec(method="sampling", data={"name": "ising", "coupling": 0.2, "field": 0.2})
    data = spec.model_copy(update={"config": {"sampler": {"kind": "gibbs"}}})
    prepared = prepare(data, CPU, None)
    law = enumerated(prepared.data.density)
    energy = prepared.data.density

    def log_target(x: torch.Tensor) -> torch.Tensor:
        return -energy(x.reshape(-1, 4, 4))

    same = law.draw(2000, generator_of("same"))
    other = prepared.data.noise(2000, generator_of("other"))
    near = histogram_distances(prepared.data, same, log_target)
    far = histogram_distances(prepared.data, other, log_target)
    for name in ("energy_tv", "mean_value_tv"):
        assert near[f"quality/{name}"] < 2 * near[f"quality/{name}/floor"] < 0.3
        assert far[f"quality/{name}"] > 0.5
