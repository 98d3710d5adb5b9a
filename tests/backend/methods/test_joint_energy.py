"""JEM, a classifier and an energy in one: what it learns in a hundred steps, and refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backend import catalogue
from backend.data import Data
from backend.errors import BadInput
from backend.method import Task
from backend.methods.joint_energy import JointEnergy
from backend.randomness import generator_of
from backend.requests import fitting


def data_of(name: str) -> Data:
    return catalogue.resolve_data({"name": name, "num": 600, "num_held_out": 400}).load()


def made(data: Data, **config: Any) -> JointEnergy:
    fields = catalogue.merge(JointEnergy.presets["default"].config, config)
    settings = JointEnergy.Config.model_validate(fields)
    return JointEnergy(settings, Task(data, torch.device("cpu"), generator_of("jem", 0)))


SHORT = {"num_steps": 5, "train": {"batch_size": 64, "learning_rate": 0.01, "ema_decay": 0.0}}


def test_moons_come_with_the_class_that_each_was_drawn_from() -> None:
    data = data_of("moons")
    assert data.labels is not None and set(data.labels.tolist()) == {0, 1}
    x = data.restore(data.train)
    # the upper moon is the half circle around (0, 0), the lower the one around (1, 0.5)
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.5]])[data.labels]
    assert ((x - centres).norm(dim=1) - 1).abs().max() < 0.3


def test_it_learns_to_tell_classes_apart_and_data_from_its_samples() -> None:
    data = data_of("moons")
    method = made(data, **SHORT)
    for index in range(120):
        said = method.step(index / 120)
        total = said["loss/classification"] + said["energy/gap"]
        assert torch.allclose(said["loss/total"], total, atol=1e-5)
    log_probs = method.class_log_probs(data.held_out)
    assert log_probs.shape == (400, 2)
    assert torch.allclose(log_probs.exp().sum(1), torch.ones(400), atol=1e-5)
    assert (log_probs.argmax(1) == data.held_out_labels).float().mean() > 0.9
    noise = data.noise(400, generator_of("noise", 0))
    assert method.energy()(data.held_out).mean() < method.energy()(noise).mean()


def test_class_energies_and_class_probabilities_are_of_one_law() -> None:
    """E(x | y) − E(x) = −log p(y | x), for every class."""
    data = data_of("moons")
    method = made(data)
    x = data.held_out[:20]
    for label in range(2):
        difference = method.conditional_energy(label)(x) - method.energy()(x)
        assert torch.allclose(difference, -method.class_log_probs(x)[:, label], atol=1e-5)
    with pytest.raises(BadInput, match="one of 2 classes, got 2"):
        method.conditional_energy(2)


def test_without_the_generative_term_it_is_a_classifier_alone() -> None:
    method = made(data_of("moons"), generative_weight=0.0, **SHORT)
    said = method.step(0.0)
    assert torch.allclose(said["loss/total"], said["loss/classification"])


def test_data_without_classes_are_refused() -> None:
    config = JointEnergy.Config()
    (problem,) = fitting.problems(JointEnergy, config, data_of("ring"))
    assert problem[0] == "data.name" and "classes" in problem[1]


def test_a_buffer_of_one_class_is_an_alarm() -> None:
    data = data_of("moons")
    method = made(data)
    with torch.no_grad():
        last = method.classifier.network.net[-1]  # type: ignore[union-attr,index]
        last.bias[0] -= 100.0
    (finding,) = method.findings(generator_of("f", 0))
    assert finding.level == "alarm" and "100%" in finding.message


def test_chains_of_classes_start_from_their_gaussians_and_keep_their_class() -> None:
    """−log p(x | y) weighs f_y alone, of data and of chains by their place in the buffer."""
    data = data_of("moons")
    method = made(data, term="by_class", start="class_gaussian", **SHORT)
    assert data.labels is not None
    for label in range(2):
        chains = method.buffer[label::2]
        spread = (chains.mean(0) - data.train[data.labels == label].mean(0)).abs()
        assert spread.max() < 0.05
    said = method.step(0.0)
    total = said["loss/classification"] + said["energy/gap"]
    assert torch.allclose(said["loss/total"], total, atol=1e-5)
    marginal = made(data, start="class_gaussian", **SHORT).step(0.0)
    assert said["energy/data"] != marginal["energy/data"]


def test_a_classifier_alone_says_that_it_is_no_density() -> None:
    data = data_of("moons")
    assert made(data, generative_weight=0.0).not_a_density and not made(data).not_a_density
