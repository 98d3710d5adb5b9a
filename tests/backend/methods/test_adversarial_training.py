"""Adversarial training, TRADES and WEAT: their losses, their attacks and what they are for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backend import catalogue
from backend.data import Data
from backend.events import Histogram, Images, Scalar, Table
from backend.method import SampleRequest, Task
from backend.methods.adversarial_training import AdversarialTraining, Objective, loss
from backend.objectives import attacks
from backend.objectives.attacks import AttackConfig
from backend.observe.context import MEASURE, Context, Subject
from backend.observe.sizes import Sizes
from backend.observers.robustness import RobustnessObserver
from backend.randomness import generator_of
from backend.requests import conditional_sampling

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Data:
    return catalogue.resolve_data({"name": "digits"}).load()


def made(data: Data, preset: str = "default", **config: Any) -> AdversarialTraining:
    small = {"energy": {"width": 64}, **config}
    fields = catalogue.merge(AdversarialTraining.presets[preset].config, small)
    settings = AdversarialTraining.Config.model_validate(fields)
    return AdversarialTraining(settings, Task(data, CPU, generator_of("at", 0)))


def test_each_objective_is_its_formula() -> None:
    generator = generator_of("logits", 0)
    natural, attacked = (3 * torch.randn(6, 4, generator=generator) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    p, q = natural.softmax(1), attacked.softmax(1)
    clean = -p[torch.arange(6), labels].log()
    near = -q[torch.arange(6), labels].log()
    kl = (p * (p / q).log()).sum(1)
    weight = 1 / torch.log1p(natural.exp().sum(1).log().abs().exp())
    expected: dict[Objective, torch.Tensor] = {
        "cross_entropy": clean,
        "adversarial": near,
        "trades": clean + 6 * kl,
        "weat_natural": weight * (clean + 6 * kl),
        "weat_adversarial": weight * (near + 6 * kl),
    }
    for objective, value in expected.items():
        assert torch.allclose(loss(objective, natural, attacked, labels, 6.0), value, atol=1e-5)


def test_the_weight_of_an_event_is_a_constant_to_the_gradient() -> None:
    logits = torch.randn(5, 3, generator=generator_of("logits", 1)).requires_grad_(True)
    labels = torch.tensor([0, 1, 2, 0, 1])
    terms = loss("weat_natural", logits, logits.detach(), labels, 0.0)
    (slope,) = torch.autograd.grad(terms.sum(), logits)
    weight = 1 / F.softplus(logits.detach().logsumexp(1).abs())
    expected = weight[:, None] * (logits.softmax(1) - F.one_hot(labels, 3))
    assert torch.allclose(slope, expected, atol=1e-6)


@pytest.mark.parametrize("objective", ["adversarial", "trades"])
def test_an_update_counts_the_steps_of_its_attack_and_stays_in_the_ball(
    digits: Data, objective: Objective
) -> None:
    method = made(digits, objective=objective)
    x, labels = digits.train[:20], digits.train[:20].new_zeros(20).long()
    change = method._attacked(x, labels) - x
    assert change.abs().max() <= 0.4 + 1e-6 and change.abs().amax((1, 2)).min() > 0.3
    before = method.gradient_evaluations
    method.step(0.0)
    assert method.gradient_evaluations - before == method.config.attack.num_steps + 1


def test_it_stands_attacks_that_fool_a_plain_classifier(digits: Data) -> None:
    assert digits.held_out_labels is not None
    accuracies = {}
    for preset in ("classifier", "default", "weat"):
        method = made(digits, preset)
        for index in range(150):
            method.step(index / 150)
        x = attacks.attacked(
            method.class_log_probs,
            digits.held_out,
            digits.held_out_labels,
            AttackConfig(radius=0.4, num_steps=10),
            digits,
            generator_of("a", 0),
        )
        right = method.class_log_probs(x).argmax(1) == digits.held_out_labels
        accuracies[preset] = float(right.float().mean())
    assert min(accuracies["default"], accuracies["weat"]) > accuracies["classifier"] + 0.2


def test_samples_walk_up_the_logit_of_the_class_that_was_asked_for(digits: Data) -> None:
    method = made(digits, walk_steps=6, start="class_gaussian")
    for index in range(40):
        method.step(index / 40)
    labels = torch.tensor([3, 3, 7, 7])
    request = SampleRequest(4, labels=labels)
    walked = conditional_sampling.draw(method, request, generator_of("s", 0)).position
    start = conditional_sampling.draw(
        method, SampleRequest(4, labels=labels, num_steps=0), generator_of("s", 0)
    ).position
    logits = [method.energy().logits(x).gather(1, labels[:, None]) for x in (start, walked)]
    assert (logits[1] > logits[0]).all()
    assert (walked - start).flatten(1).norm(dim=1).max() <= 6 * 0.5 + 1e-4
    assert walked.abs().max() <= 1


@torch.no_grad()
def test_the_observer_says_what_attacks_and_outliers_do_to_the_energy(digits: Data) -> None:
    method = made(digits)
    subject = Subject(method, digits, 0, Sizes())
    context = Context(subject, method.energy(), 0, MEASURE)
    events = list(RobustnessObserver(subject).measure(context))
    figures = {event.path: event.value for event in events if isinstance(event, Scalar)}
    assert {f"energy/under_attack/{role}" for role in ("natural", "attacked", "targeted")} < set(
        figures
    )
    kinds = ("uniform", "shuffled", "inverted", "rot90", "rot180")
    assert all(0 <= figures[f"outliers/auroc/{kind}"] <= 1 for kind in kinds)
    value = method.energy()(digits.held_out[:256]).mean()
    assert figures["energy/under_attack/natural"] == pytest.approx(float(value), abs=1e-5)
    (histogram,) = (event for event in events if isinstance(event, Histogram))
    assert histogram.names == ["data", "attacked", "targeted", "noise"]
    images = {event.path: event for event in events if isinstance(event, Images)}
    tables = {event.path: event for event in events if isinstance(event, Table)}
    natural, attacked = images["attack/natural"], images["attack/attacked"]
    confusion, called = tables["attack/confusion"], tables["attack/called"]
    counts = np.array([row[1:] for row in confusion.rows], int)
    right = figures["classification/accuracy/attacked"]
    assert counts.sum() == 256 and np.trace(counts) == pytest.approx(256 * right)
    assert [row[0] for row in called.rows] == list("0123456789")
    levels = attacked.pixels.astype(int) - natural.pixels.astype(int)
    # 0.4 of a range 2 wide is 51 of 255 levels
    assert 45 < np.abs(levels).max() <= 52
    z = data_of_pixels(attacked)
    assert [row[2] for row in called.rows] == [
        str(int(k)) for k in method.class_log_probs(z).argmax(1)
    ]
    assert attacked.energies == pytest.approx(method.energy()(z).numpy(), abs=0.1)
    assert natural.energies == pytest.approx([row[3] for row in called.rows])
    assert [row[0] for row in tables["attack/norms"].rows] == ["L∞", "L2"]
    other = data_of_pixels(images["attack/attacked_other"]) - data_of_pixels(natural)
    radius = float(str(tables["attack/norms"].rows[1][1]))
    assert other.flatten(1).norm(dim=1).amax() == pytest.approx(radius, rel=0.02)
    assert [row[1] for row in tables["attack/called_other"].rows] == [r[1] for r in called.rows]
    known = tables["outliers/known"]
    assert [row[:2] for row in known.rows] == [
        [kind, figures[f"outliers/auroc/{kind}"]] for kind in kinds
    ]
    assert all(0 <= float(str(row[2])) <= 1 for row in known.rows) and len(known.columns) == 3
    looks = images["outliers/looks"]
    assert looks.columns == ["held out", *kinds] and len(looks.pixels) == 3 * 6
    z = digits.held_out[1]
    assert looks.energies is not None
    assert looks.energies[6] == pytest.approx(float(method.energy()(z[None])), abs=1e-4)


def test_the_ball_of_the_other_norm_has_as_much_room() -> None:
    plane = attacks.in_other_norm(AttackConfig(radius=1.0), 2)
    assert plane.norm == "l2" and math.pi * plane.radius**2 == pytest.approx(4)
    space = attacks.in_other_norm(AttackConfig(norm="l2", radius=1.0), 3)
    assert space.norm == "linf" and (2 * space.radius) ** 3 == pytest.approx(4 / 3 * math.pi)
    there = attacks.in_other_norm(AttackConfig(radius=0.4, num_steps=7), 64)
    again = attacks.in_other_norm(there, 64)
    assert again.radius == pytest.approx(0.4) and again.num_steps == 7


def data_of_pixels(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.pixels.astype(np.float32)) / 127.5 - 1
