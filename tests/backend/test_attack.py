"""Attacks on a classifier of two unit Gaussians, where the best one is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.abilities.attack import AttackConfig, attack
from backend.ability import Asked
from backend.config import Config
from backend.energies.classifier import Classifier
from backend.energies.location import LocationConfig, LocationEnergy
from backend.errors import BadInput
from backend.events import Curve, Field, Scalar, Table
from backend.method import Method, Preset, Task
from backend.observe.context import MEASURE, WATCH, Context, Subject
from backend.observe.sizes import Sizes
from backend.observers.classification import ClassificationObserver
from backend.randomness import generator_of
from backend.requests import asking

MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])


class TwoGaussians(Method):
    """The class of the nearer mean: log p(1 | x) − log p(0 | x) = 2 x₀."""

    id = "two_gaussians"
    title = "Two Gaussians"
    Config = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        shape = torch.Size((2,))
        network = LocationEnergy(LocationConfig(), shape, generator_of(0), num_outputs=2)
        network.mean.data.copy_(MEANS)
        self.classifier = Classifier(network)

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError

    def class_log_probs(self, x: Tensor) -> Tensor:
        return self.classifier.log_probs(x)

    @property
    def num_labels(self) -> int:
        return 2


@pytest.fixture(scope="module")
def asked() -> Asked:
    data = catalogue.resolve_data({"name": "moons", "num": 400, "num_held_out": 300}).load()
    labels = torch.arange(300) % 2
    noise = torch.randn(300, 2, generator=generator_of("two", 0))
    data = replace(data, held_out=MEANS[labels] + noise, held_out_labels=labels)
    task = Task(data, torch.device("cpu"), generator_of("task", 0))
    return Asked(TwoGaussians(Config(), task), data, seed=0)


def margins(asked: Asked) -> Tensor:
    """How far each held-out point is on its own side of the boundary x₀ = 0."""
    assert asked.data.held_out_labels is not None
    return asked.data.held_out[:, 0] * (2 * asked.data.held_out_labels - 1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("radius", [0.1, 0.5, 2.0])
def test_what_is_nearer_to_the_boundary_than_the_radius_falls(
    asked: Asked, norm: str, radius: float
) -> None:
    """The log-odds are linear, so the best attack goes straight to the boundary."""
    answer = asking.ask(asked, "attack", {"norm": norm, "radius": radius}, generator_of("a", 0))
    standing = float((margins(asked) > radius).double().mean())
    assert answer.figures["accuracy"] == pytest.approx(standing, abs=0.011)
    clean = float((margins(asked) > 0).double().mean())
    assert answer.figures["accuracy/clean"] == pytest.approx(clean)
    assert answer.figures["accuracy"] < answer.figures["accuracy/random"]
    assert answer.figures["accuracy/floor"] == 0.5
    change = torch.from_numpy(answer.arrays["attacked"] - answer.arrays["x"]) / asked.data.scale
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert size.max() <= radius * (1 + 1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_stay_in_the_ball_and_between_black_and_white(norm: Any) -> None:
    digits = catalogue.resolve_data({"name": "digits"}).load()
    task = Task(digits, torch.device("cpu"), generator_of("task", 0))
    method = catalogue.methods()["joint_energy"]
    config = method.Config.model_validate({"buffer_size": 10})
    of_digits = Asked(method(config, task), digits, seed=0)
    assert digits.held_out_labels is not None
    z, labels = digits.held_out[:20], digits.held_out_labels[:20]
    settings = AttackConfig(norm=norm, radius=0.7, num_steps=5)
    x = attack(of_digits, z, labels, settings, generator_of("a", 1))
    change = (x - z).flatten(1)
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert size.max() <= 0.7 * (1 + 1e-5) and size.min() > 0.1
    assert x.min() >= -1 and x.max() <= 1


def test_classes_come_with_their_probabilities(asked: Asked) -> None:
    answer = asking.ask(asked, "classify", {}, generator_of("c", 0))
    odds = torch.from_numpy(answer.arrays["probability"]).log()
    assert torch.allclose(odds[:, 1] - odds[:, 0], 2 * asked.data.held_out[:, 0], atol=1e-3)
    assert (answer.arrays["label"] == (asked.data.held_out[:, 0] > 0).numpy()).all()
    assert answer.figures["accuracy/floor"] == 0.5
    # the true log-odds of two such Gaussians: nearly calibrated, up to 300 draws
    assert answer.figures["calibration_error"] < 0.1


def test_a_target_is_what_the_others_are_taken_for(asked: Asked) -> None:
    settings = {"target": "1", "radius": 2.0, "norm": "l2"}
    answer = asking.ask(asked, "attack", settings, generator_of("a", 2))
    assert set(answer.arrays["label"].tolist()) == {0}
    assert answer.figures["success"] == 1 - answer.figures["accuracy"]
    assert answer.figures["success"] > 0.8
    with pytest.raises(BadInput, match="target"):
        asking.ask(asked, "attack", {"target": "7"}, generator_of("a", 2))


def test_the_path_to_the_other_class_is_straight_and_ends_beyond_the_boundary(
    asked: Asked,
) -> None:
    settings = {"num": 20, "step_size": 0.1, "num_steps": 36}
    answer = asking.ask(asked, "counterfactual", settings, generator_of("c", 1))
    path = torch.from_numpy(answer.arrays["path"])
    z = asked.data.standardise(path)
    assert torch.allclose(z[:, :, 1], z[0, :, 1].expand(37, 20), atol=1e-3)
    (table,) = (event for event in answer.events if isinstance(event, Table))
    for row, start in zip(table.rows, asked.data.held_out[:20, 0].tolist(), strict=True):
        # the first of the steps that is past x₀ = 0
        assert abs(start) <= float(row[2] or 0) <= abs(start) + 0.1 + 1e-4
    assert answer.figures["arrived"] == 1


def test_a_classifier_of_the_true_odds_is_as_right_as_it_says(asked: Asked) -> None:
    """The reliability diagram and the calibration error are of the same bins."""
    answer = asking.ask(asked, "classify", {}, generator_of("c", 0))
    (curve,) = (event for event in answer.events if isinstance(event, Curve))
    right, confidence = curve.y
    assert np.array_equal(confidence, curve.x) and (np.diff(curve.x) > 0).all()
    called = answer.arrays["probability"].max(1)
    counts = np.histogram(called, np.linspace(0, 1, 16))[0]
    gaps = np.abs(right - confidence) * counts[counts > 0] / counts.sum()
    assert gaps.sum() == pytest.approx(answer.figures["calibration_error"], abs=1e-6)


@torch.no_grad()
def test_the_observer_tells_the_same_and_maps_the_decision(asked: Asked) -> None:
    subject = Subject(asked.method, asked.data, 0, Sizes(field=16))
    observer = ClassificationObserver(subject)
    (floor,) = observer.begin(Context(subject, None, 0, MEASURE))
    assert isinstance(floor, Scalar) and floor.value == 0.5
    events = list(observer.measure(Context(subject, None, 0, MEASURE)))
    figures = {event.path: event.value for event in events if isinstance(event, Scalar)}
    assert figures["classification/accuracy"] == float((margins(asked) > 0).double().mean())
    (table,) = (event for event in events if isinstance(event, Table))
    assert sum(int(cell) for row in table.rows for cell in row[1:]) == 300  # type: ignore[arg-type]
    (image,) = observer.watch(Context(subject, None, 0, WATCH))
    assert isinstance(image, Field) and image.quantity == "probability"
    assert image.values.shape == (16, 16) and 0 <= image.values.min() < image.values.max() <= 1


@pytest.mark.parametrize("ability", ["classify", "attack"])
def test_methods_that_tell_no_classes_apart_are_refused(asked: Asked, ability: str) -> None:
    class Silent(TwoGaussians):
        def class_log_probs(self, x: Tensor) -> Tensor | None:  # type: ignore[override]
            return None

    silent = Asked(Silent(Config(), asked.method.task), asked.data, seed=0)
    with pytest.raises(BadInput, match="tells no classes apart"):
        asking.ask(silent, ability, {}, generator_of("c", 0))
    assert (
        list(
            ClassificationObserver(Subject(silent.method, silent.data, 0, Sizes())).measure(
                Context(Subject(silent.method, silent.data, 0, Sizes()), None, 0, MEASURE)
            )
        )
        == []
    )
