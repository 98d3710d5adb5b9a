"""Presets of classifiers on other data than they were made for: tables, and images of real size."""

from __future__ import annotations

import pytest
import torch

from backend import catalogue
from backend.data import Data
from backend.method import Task
from backend.methods.classifiers import ClassifierMethod
from backend.randomness import generator_of
from jobs.execution.divergence_guard import ENERGY_BOUND, radius_bound

CPU = torch.device("cpu")
OF_DIGITS = [
    ("joint_energy", "digits"),
    ("adversarial_training", "default"),
    ("adversarial_training", "trades"),
    ("adversarial_training", "weat"),
    ("adversarial_training", "classifier"),
    ("dual_adversarial_training", "default"),
]
OF_POINTS = [
    ("joint_energy", "default"),
    ("adversarial_training", "classifier"),
    ("adversarial_training", "trades"),
]
"""Of moons, and of digits; others meet attacks there that reach from one circle to the other."""
OF_32 = ["joint_energy", "adversarial_training", "dual_adversarial_training"]


def made(method: str, preset: str, data: Data, **changes: object) -> ClassifierMethod:
    cls = catalogue.methods()[method]
    config = catalogue.configured(cls, preset, changes)
    return cls(config, Task(data, CPU, generator_of("elsewhere", 0)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
@pytest.mark.parametrize(("method", "preset"), OF_DIGITS)
def test_a_preset_of_digits_learns_a_table_without_running_away(
    method: str, preset: str, name: str
) -> None:
    """A twentieth of its budget, with its schedule over that. Larger classes alone would be right
    of 63 and 40 %."""
    data = catalogue.resolve_data({"name": name}).load()
    run = made(method, preset, data)
    steps = catalogue.methods()[method].presets[preset].budget.steps
    assert steps is not None
    for index in range(steps // 20):
        said = run.advance(index / (steps // 20))
    assert all(value.isfinite() for value in said.values())
    assert float(said["energy/max"]) < ENERGY_BOUND / 1e4
    assert float(said.get("sampler/radius", torch.zeros(()))) < radius_bound(data.train)
    right = run.class_log_probs(data.held_out).argmax(1) == data.held_out_labels
    assert float(right.float().mean()) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("method", "preset"), OF_POINTS)
def test_a_preset_learns_one_circle_from_another(method: str, preset: str) -> None:
    data = catalogue.resolve_data({"name": "circles"}).load()
    run = made(method, preset, data)
    for index in range(150):
        said = run.advance(index / 150)
    assert all(value.isfinite() for value in said.values())
    assert float(said["energy/max"]) < ENERGY_BOUND / 1e4
    right = run.class_log_probs(data.held_out).argmax(1) == data.held_out_labels
    assert float(right.float().mean()) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("method", OF_32)
def test_a_preset_of_32_by_32_takes_its_first_steps_in_colour(method: str) -> None:
    """Its settings but the width of the network and the number of images, on noise in the shape
    and with the classes of CIFAR-10."""
    data = catalogue.resolve_data({"name": "cifar_10"}).stand_in()
    changes: dict[str, object] = {"energy": {"features": 8}, "train": {"batch_size": 4}}
    if method == "joint_energy":
        changes["buffer_size"] = 20
    run = made(method, "images_32", data, **changes)
    before = [parameter.clone() for parameter in run.classifier.parameters()]
    for progress in (0.0, 0.9):
        said = run.advance(progress)
        assert all(value.isfinite() for value in said.values())
    after = list(run.classifier.parameters())
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert run.class_log_probs(data.train[:2]).shape == (2, 10)
