"""Routing by energy: thresholds beside enumeration, two networks trained at once, other runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from backend import catalogue
from backend.abilities.route import RouteAbility, RouteConfig
from backend.ability import Asked
from backend.method import Task
from backend.methods.energy_routing import EnergyRouting
from backend.methods.joint_energy import JointEnergy
from backend.metrics import routing
from backend.randomness import generator_of

SMALL = torch.tensor([True, False, True, False, False, True])
LARGE = torch.tensor([True, True, False, True, False, True])
SCORE = torch.tensor([0.1, 0.9, 0.8, 0.7, 0.2, 0.3])


def asked(**config: Any) -> Asked:
    data = catalogue.resolve_data({"name": "moons", "num": 400, "num_held_out": 300}).load()
    settings = EnergyRouting.Config.model_validate(
        {"larger": {"kind": "mlp", "width": 32, "depth": 2}, "small_rows": 6, **config}
    )
    task = Task(data, torch.device("cpu"), generator_of("routing", 0))
    return Asked(EnergyRouting(settings, task), data, 0)


def test_accuracy_by_share_is_that_of_sending_the_highest_scores_one_by_one() -> None:
    curve = routing.accuracies(SCORE, SMALL, LARGE)
    expected = []
    for num in range(7):
        sent = SCORE.argsort(descending=True)[:num]
        right = SMALL.clone()
        right[sent] = LARGE[sent]
        expected.append(float(right.double().mean()))
    assert curve.tolist() == pytest.approx(expected)
    inner = sum(expected[1:-1])
    assert routing.area(curve) == pytest.approx((inner + (expected[0] + expected[-1]) / 2) / 6)


def test_an_oracle_is_never_below_any_score_at_any_share() -> None:
    generator = generator_of("oracle", 0)
    best = routing.accuracies(routing.oracle_score(SMALL, LARGE), SMALL, LARGE)
    for _ in range(20):
        score = torch.rand(6, generator=generator)
        assert (best >= routing.accuracies(score, SMALL, LARGE) - 1e-12).all()


def test_the_share_needed_is_where_accuracy_no_longer_falls_short() -> None:
    curve = torch.tensor([0.5, 0.9, 0.7, 0.8, 0.9], dtype=torch.float64)
    assert routing.share_needed(curve, 0.1) == 0.75
    assert routing.share_needed(curve, 0.0) == 1.0
    assert routing.share_needed(curve, 0.5) == 0.0


def test_a_threshold_is_judged_on_inputs_that_had_no_say_in_it() -> None:
    """Scores that know on which even places to send on know nothing of the odd ones."""
    generator = generator_of("threshold", 0)
    small = torch.rand(4000, generator=generator) < 0.8
    large = torch.ones(4000, dtype=torch.bool)
    routed = routing.with_chosen_threshold((~small).double() - 0.5, small, large, 0.0)
    assert routed.accuracy == 1.0 and routed.share == pytest.approx(0.2, abs=0.03)
    by_chance = routing.with_chosen_threshold(
        torch.rand(4000, generator=generator), small, large, 0.05
    )
    assert by_chance.share == pytest.approx(0.75, abs=0.05)
    assert by_chance.accuracy == pytest.approx(0.95, abs=0.02) and by_chance.large == 1.0


def test_scores_are_highest_where_the_small_one_is_least_sure() -> None:
    log_probs = torch.tensor([[0.98, 0.01, 0.01], [0.4, 0.35, 0.25]]).log()
    scores = routing.scores_of(log_probs, torch.tensor([-5.0, -1.0]))
    assert tuple(scores) == routing.SCORES
    assert all(score[1] > score[0] for score in scores.values())
    entropy = torch.distributions.Categorical(logits=log_probs).entropy()
    assert torch.allclose(scores["entropy"], entropy, atol=1e-5)
    assert "energy" not in routing.scores_of(log_probs, None)


def test_both_networks_learn_and_the_small_one_only_from_its_rows() -> None:
    run = asked(train={"learning_rate": 0.01, "beta1": 0.9, "batch_size": 64})
    method = run.method
    assert isinstance(method, EnergyRouting) and len(method.few) == 6
    for index in range(120):
        metrics = method.step(index / 120)
    assert torch.allclose(metrics["loss/total"], metrics["loss/small"] + metrics["loss/large"])
    answer = RouteAbility.answer(run, RouteConfig(share=0.5), generator_of("route", 0))
    figures = answer.figures
    assert figures["accuracy/larger"] > 0.9 > figures["accuracy/small"]
    assert figures["area/oracle"] >= max(figures[f"area/{name}"] for name in routing.SCORES)
    assert 0.5 < figures["cost"] < 0.6  # twelve units beside two layers of 32
    assert answer.arrays["sent"].sum() == 150
    x = run.data.held_out
    right = (method.class_log_probs(x).argmax(1) == run.data.held_out_labels).numpy()
    large = (method.larger_log_probs(x).argmax(1) == run.data.held_out_labels).numpy()
    sent = answer.arrays["sent"]
    assert figures["accuracy"] == pytest.approx((sent * large + ~sent * right).mean())


def test_another_run_may_be_the_larger_model_and_none_is_asked_for() -> None:
    run = asked()
    jem = JointEnergy(JointEnergy.Config(), replace(run.method.task))
    alone = Asked(jem, run.data, 0, load={"large": run}.__getitem__)
    said = dict(RouteAbility.problems(alone, RouteConfig()))
    assert said["larger_run"].startswith("is needed")
    config = RouteConfig(larger_run="large")
    assert not list(RouteAbility.problems(alone, config))
    figures = RouteAbility.answer(alone, config, generator_of("route", 0)).figures
    own = RouteAbility.answer(run, RouteConfig(), generator_of("route", 0)).figures
    assert figures["accuracy/larger"] == own["accuracy/small"]
    ring = catalogue.resolve_data({"name": "breast_cancer"}).load()
    other = Asked(run.method, ring, 0)
    said = dict(RouteAbility.problems(replace(alone, load={"large": other}.__getitem__), config))
    assert "another than this run's" in said["larger_run"]
