"""Images made here: shapes from their distance, and frames of balls from their law."""

from __future__ import annotations

import math

import pytest
import torch

from backend.catalogue import resolve_data
from backend.datasets import ball_frames, shapes
from backend.datasets.motion import BallsLaw
from backend.randomness import generator_of


def test_distances_from_shapes_are_those_of_their_lines() -> None:
    """Of a circle, a square on its side and a cross, at points whose distance is known."""
    points = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, -0.2], [1.0, 1.0]]).reshape(1, 2, 2, 2)
    turn, radius = torch.zeros(1), torch.full((1,), 0.5)
    half = 0.5 * math.cos(math.pi / 4)
    known = {
        "circle": [0.5, 0.0, 0.3, math.sqrt(2) - 0.5],
        "square": [half, 0.5 - half, half - 0.2, 1 - half],
        "cross": [0.0, 0.0, 0.0, math.sqrt(1 + 0.25)],
    }
    for name, expected in known.items():
        apart = shapes.distance(points, name, turn, radius)
        assert apart.flatten().tolist() == pytest.approx(expected, abs=1e-6), name


def test_every_image_has_its_shapes_inside_and_its_noise_beside_it() -> None:
    settings = {"num": 300, "num_held_out": 50, "noise": 0.5}
    data = resolve_data({"name": "shapes_denoising", **settings}).load()
    assert data.train.shape == (300, 28, 28) and data.held_out.shape == (50, 28, 28)
    white = (data.train + 1).flatten(1).sum(1) / 2
    # a line is 0.07 · 28 pixels wide; the least is one of two triangles on top of each other
    assert white.min() > 30 and white.max() < 250
    assert data.train.min() == -1 and data.train.max() == 1
    noise = data.given["context"] - data.train
    assert float(noise.std()) == pytest.approx(0.5, rel=0.01)
    again = resolve_data({"name": "shapes_denoising", **settings}).load()
    assert torch.equal(again.train, data.train) and not torch.equal(data.train[:50], data.held_out)


def test_a_frame_is_brightest_where_its_ball_is_and_the_next_follows_the_law() -> None:
    settings = {"name": "ball_frames", "num": 200, "num_held_out": 40}
    data = resolve_data(settings).load()
    generator = generator_of("ball_frames", 0, 1)
    state = ball_frames.BouncingBalls(ball_frames.BallsConfig(num_balls=1)).states(40, generator)
    law = BallsLaw(1)
    for number in range(ball_frames.NUM_PAST + 1):
        seen = data.restore(data.held_out)
        if number < ball_frames.NUM_PAST:
            seen = data.held_out_given["context"][:, number]
        brightest = seen.flatten(1).argmax(1)
        rows, columns = brightest // 8, brightest % 8
        pixel = (torch.stack([columns, rows], 1) + 0.5) / 4 - 1
        assert (pixel - law.places(state)[:, 0]).abs().max() <= 0.125 + 1e-5
        state = law.advance(state, law.true_next(state))
    assert float(data.train.mean()) == pytest.approx(0, abs=1e-4)
    assert float(data.train.std()) == pytest.approx(1, abs=1e-4)
