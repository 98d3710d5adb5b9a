"""Dual adversarial training: its two stages, its curriculum and its walks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backend import catalogue
from backend.data import Data
from backend.method import Task
from backend.methods.dual_adversarial_training import DualAdversarialTraining, _auroc
from backend.metrics.detection import auroc
from backend.randomness import generator_of
from jobs.models import method_state

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Data:
    return catalogue.resolve_data({"name": "digits"}).load()


def made(data: Data, **config: Any) -> DualAdversarialTraining:
    fields = catalogue.merge(DualAdversarialTraining.presets["default"].config, config)
    settings = DualAdversarialTraining.Config.model_validate(fields)
    return DualAdversarialTraining(settings, Task(data, CPU, generator_of("dat", 0)))


def test_the_first_stage_is_adversarial_training_alone(digits: Data) -> None:
    method = made(digits, first_steps=3)
    first, second = method.step(0.29), method.step(0.31)
    assert torch.equal(first["loss/total"], first["loss/under_attack"])
    total = second["loss/under_attack"] + second["loss/generation"]
    assert torch.allclose(second["loss/total"], total, atol=1e-5)
    assert float(first["sampler/walk_steps"]) == 0 and float(second["sampler/walk_steps"]) == 3
    # five steps of the attack and one fit; then as many, three steps of a walk and three sets
    assert method.gradient_evaluations == 6 + 11


@pytest.mark.parametrize(("goal", "longest"), [(0.0, 3), (1.0, 0)])
def test_walks_get_a_step_longer_where_a_window_reaches_the_goal(
    digits: Data, goal: float, longest: int
) -> None:
    """Each window is of two updates, and of a third while its mean comes to the host."""
    method = made(digits, goal=goal, window=2, most_steps=3, energy={"width": 16})
    lengths = [float(method.advance(0.5)["sampler/walk_steps"]) for _ in range(12)]
    grown = [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0] * 3
    assert lengths == (grown if longest else [0.0] * 12)
    assert method.walk_steps == longest


def test_a_window_whose_mean_is_on_its_way_is_taken_up_where_it_was_saved(digits: Data) -> None:
    """After each of the updates of two windows the rest comes to the same lengths and numbers."""
    settings = {"goal": 0.0, "window": 2, "energy": {"width": 16}}
    run = made(digits, **settings)
    saved = []
    for _ in range(6):
        saved.append(method_state.collect(run))
        run.advance(0.5)
    last = run.advance(0.5)
    for index, (tensors, tree) in enumerate(saved):
        again = made(digits, **settings)
        method_state.restore(again, tensors, tree, CPU)
        for _ in range(6 - index):
            again.advance(0.5)
        assert {path: float(value) for path, value in again.advance(0.5).items()} == {
            path: float(value) for path, value in last.items()
        }


def test_without_a_curriculum_walks_are_long_from_the_start(digits: Data) -> None:
    method = made(digits, first_steps=15, energy={"width": 16})
    said = method.step(0.9)
    assert float(said["sampler/walk_steps"]) == 15
    assert 0 < float(said["sampler/straightness"]) <= 1


def test_the_auroc_of_the_curriculum_is_that_of_every_figure() -> None:
    data, drawn = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([1.0, 2.0, -1.0])
    assert float(_auroc(data, drawn)) == pytest.approx(auroc(data, drawn))


def test_it_tells_digits_from_noise_and_draws_what_it_takes_for_digits(digits: Data) -> None:
    method = made(digits, energy={"width": 64})
    for index in range(150):
        method.advance(index / 150)
    assert method.walk_steps >= 2
    held_out, noise = digits.held_out, digits.noise(500, generator_of("n", 0))
    assert auroc(method.energy()(held_out), method.energy()(noise)) > 0.95
    drawn = method.train_time_samples(100, generator_of("d", 0))
    assert drawn is not None and drawn.abs().max() <= 1
    called = method.class_log_probs(drawn).argmax(1)
    assert (called == torch.arange(100) % 10).float().mean() > 0.6


def test_walks_that_never_get_longer_are_said(digits: Data) -> None:
    method = made(digits)
    method.share_spent = 0.9
    (finding,) = method.findings(generator_of("f", 0))
    assert finding.level == "warning" and "0 steps" in finding.message
    method.walk_steps = 2
    assert list(method.findings(generator_of("f", 0))) == []
