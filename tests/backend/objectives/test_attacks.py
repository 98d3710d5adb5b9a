"""Attacks beside projected descent written out in NumPy, where the best attack is known."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.objectives import attacks
from backend.objectives.attacks import AttackConfig, Ball, Norm
from backend.randomness import generator_of

Array = npt.NDArray[Any]
NORMS: tuple[Norm, ...] = ("linf", "l2")
SLOPES = np.array([[1.5, -0.5, 0.2], [-0.3, 0.8, 1.1]])
OFFSETS = np.array([0.1, -0.2])


def log_probs(x: Tensor) -> Tensor:
    """Of a linear classifier of two classes, x (batch, 3)."""
    logits = x @ torch.from_numpy(SLOPES.T).to(x) + torch.from_numpy(OFFSETS).to(x)
    return logits.log_softmax(1)


def events(num: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(num, 3, generator=generator_of("events", 0), dtype=torch.float64)
    return x, torch.arange(num) % 2


def descended(centre: Array, labels: Array, norm: Norm, radius: float, num_steps: int) -> Array:
    """Projected descent on log p(label | x), an event and a step at a time."""
    result = centre.copy()
    for i, label in enumerate(labels):
        x = centre[i].copy()
        for _ in range(num_steps):
            logits = SLOPES @ x + OFFSETS
            p = np.exp(logits - logits.max())
            p /= p.sum()
            gradient = SLOPES[label] - p @ SLOPES
            if norm == "linf":
                direction = np.sign(gradient)
            else:
                direction = gradient / np.linalg.norm(gradient)
            x = x - 2.5 * radius / num_steps * direction
            change = x - centre[i]
            if norm == "linf":
                change = np.clip(change, -radius, radius)
            elif np.linalg.norm(change) > radius:
                change = change * radius / np.linalg.norm(change)
            x = centre[i] + change
        result[i] = x
    return result


def best(centre: Array, labels: Array, norm: Norm, radius: float) -> Array:
    """The worst place in the ball in closed form: the log-odds are linear in x."""
    slope = SLOPES[1] - SLOPES[0]
    size = np.sign(slope) if norm == "linf" else slope / np.linalg.norm(slope)
    return centre - (2 * labels[:, None] - 1) * radius * size


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("radius", [0.05, 1.0])
def test_an_attack_is_projected_descent_and_finds_the_best_place(norm: Norm, radius: float) -> None:
    x, labels = events()
    data = catalogue.resolve_data({"name": "moons"}).load()
    config = AttackConfig(norm=norm, radius=radius, num_steps=8)
    generator = generator_of("a", 0)
    moved = attacks.attacked(
        log_probs, x, labels, config, data, generator, random_start=False
    ).numpy()
    by_hand = descended(x.numpy(), labels.numpy(), norm, radius, 8)
    assert np.abs(moved - by_hand).max() < 1e-12
    assert np.abs(moved - best(x.numpy(), labels.numpy(), norm, radius)).max() < 1e-9


@pytest.mark.parametrize("norm", NORMS)
def test_of_two_classes_a_target_is_the_other_one(norm: Norm) -> None:
    x, labels = events()
    data = catalogue.resolve_data({"name": "moons"}).load()
    config = AttackConfig(norm=norm, radius=0.4, num_steps=6)
    moved = [
        attacks.attacked(log_probs, x, labels, config, data, generator_of("a", 1), targets=targets)
        for targets in (None, attacks.next_labels(labels, 2))
    ]
    assert torch.allclose(moved[0], moved[1])
    after = log_probs(moved[0]).gather(1, labels[:, None])
    assert (after < log_probs(x).gather(1, labels[:, None])).all()


def test_starts_lie_anywhere_in_the_ball_and_edges_at_its_edge() -> None:
    centre = torch.zeros(4000, 3)
    for norm, order in (("linf", math.inf), ("l2", 2.0)):
        ball = Ball(cast(Norm, norm), 0.5)
        edge = ball.edge(centre, generator_of("e", 0)).norm(order, dim=1)
        assert torch.allclose(edge, torch.full_like(edge, 0.5))
        anywhere = ball.anywhere(centre, generator_of("e", 1)).norm(order, dim=1)
        # a uniform share of the radius
        assert float(anywhere.mean()) == pytest.approx(0.25, abs=4 * 0.144 / 4000**0.5)


def test_without_a_radius_it_is_a_walk_of_steps_of_one_length_within_the_box() -> None:
    data = catalogue.resolve_data({"name": "digits"}).load()
    ball = attacks.box_of(data)
    start = torch.zeros(5, 8, 8)
    towards = torch.randn(8, 8, generator=generator_of("w", 0))
    end = attacks.climb(lambda x: (x * towards).sum((1, 2)), start, ball, 0.3, 4, start)
    assert torch.allclose(end, (1.2 * towards / towards.norm()).expand_as(end), atol=1e-5)
    far = attacks.climb(lambda x: (x * towards).sum((1, 2)), start, ball, 50.0, 40, start)
    assert torch.equal(far, torch.sign(towards).expand_as(far))


def test_the_divergence_has_no_slope_at_the_event_itself_and_grows_beside_it() -> None:
    x, _ = events()
    natural = log_probs(x)
    value = attacks.away_from(log_probs, natural)
    assert torch.allclose(value(x), torch.zeros(len(x), dtype=x.dtype), atol=1e-12)
    ball = Ball("linf", 0.3)
    beside = x + attacks.SMALL
    moved = attacks.climb(value, beside, ball, 0.1, 8, x)
    # the farthest corners along the slope of the log-odds, on either side
    slope = torch.from_numpy(np.sign(SLOPES[1] - SLOPES[0]))
    ends = torch.stack([value(x + 0.3 * slope), value(x - 0.3 * slope)])
    assert ((value(moved) >= ends.amin(0) - 1e-9) & (value(moved) <= ends.amax(0) + 1e-9)).all()
    assert (value(moved) > 10 * value(beside)).all()
