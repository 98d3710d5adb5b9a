"""Curve energy: brightness, losses and labels beside what is known of them exactly."""

from __future__ import annotations

from typing import Any

import torch

from backend import catalogue
from backend.data import Data
from backend.datasets.curved_rows import curve_of
from backend.events import Images
from backend.methods.curve_energy import CurveEnergy, brightness, label_losses
from backend.randomness import generator_of
from backend.requests import fitting
from backend.requests.predicting import CONTEXT, think
from backend.spec import RunSpec
from jobs.models.method_setup import prepare


def rows(**fields: Any) -> Data:
    return catalogue.resolve_data({"name": "curved_rows", "num": 400, **fields}).load()


def fitted(**config: Any) -> CurveEnergy:
    data = {"name": "curved_rows", "num": 100, "num_held_out": 40}
    spec = RunSpec(method="curve_energy", data=data, config=config, seed=0)
    method = prepare(spec, torch.device("cpu"), None).method
    assert isinstance(method, CurveEnergy)
    return method


def test_brightness_is_linear_between_pixels_with_the_slope_of_the_image() -> None:
    images = torch.arange(16.0).expand(2, 16, 16)
    curve = torch.tensor([[-0.3], [0.41]]).expand(2, 16).clone().requires_grad_()
    seen = brightness(images, curve)
    assert torch.allclose(seen, ((curve + 1) * 8 - 0.5).mean(1), atol=1e-4)
    (slope,) = torch.autograd.grad(seen.sum(), curve)
    assert torch.allclose(slope, torch.full((2, 16), 8 / 16), atol=1e-4)


def test_losses_are_those_of_hand_counted_errors() -> None:
    predicted, label = torch.tensor([[0.3, 0.0, 0.0]]), torch.zeros(1, 3)
    values = {
        "absolute": 0.1,
        "squared": 0.03,
        "curve_absolute": 0.3,
        "curve_squared": 0.09,
        "saturating": 0.1 * (1 - 2.718281828**-9),
    }
    for kind, value in values.items():
        assert abs(float(label_losses(predicted, label, kind, 32, 0.1)) - value) < 1e-5, kind


def test_held_out_labels_are_right_and_wrong_ones_know_nothing_of_the_row() -> None:
    clean, wrong = rows(num=2000), rows(num=2000, wrong=0.4)
    x, labels = clean.restore(clean.train), wrong.restore(wrong.train)
    is_wrong = ((x - labels).abs() > 1e-5).any(1)
    assert abs(float(is_wrong.float().mean()) - 0.4) < 5 * (0.24 / 2000) ** 0.5
    both = torch.stack([x[is_wrong, 0], labels[is_wrong, 0]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / int(is_wrong.sum()) ** 0.5
    as_drawn = torch.stack([x[:, 0].abs(), is_wrong.float()])
    assert abs(float(torch.corrcoef(as_drawn)[0, 1])) < 5 / 2000**0.5
    truth = clean.restore(clean.held_out)
    assert torch.allclose(wrong.restore(wrong.held_out), truth, atol=1e-5)
    shifted = rows(num=2000, wrong=0.2, shift=0.5)
    apart = (shifted.restore(shifted.train) - x)[:, 0]
    assert torch.allclose(apart[apart > 0.1], torch.tensor(0.5), atol=1e-5)


def test_the_energy_is_lowest_at_the_row_and_lower_there_than_at_the_distractor() -> None:
    method = fitted()
    data = rows(noise=0.0)
    images, truth = data.given[CONTEXT], data.restore(data.train)
    own = method.task.data

    def energy(shift: float) -> torch.Tensor:
        moved = truth + torch.tensor([shift, 0.0, 0.0])
        return method.image_energy(own.standardise(moved), images)

    # bands may hide a row, and a distractor may lie within the other row's blur
    for shift in (-0.75, -0.3, 0.3, 0.75):
        assert float((energy(0.0) <= energy(shift) + 1e-6).float().mean()) > 0.97
    assert curve_of(truth, 32).shape == (400, 32)


def test_it_predicts_in_one_look_that_the_energy_judges() -> None:
    method = fitted(features=2)
    method.advance(0.9)
    data = method.task.data
    given = {CONTEXT: data.held_out_given[CONTEXT][:5]}
    thought = think(method.predictor(), given, generator_of("think", 0))
    assert thought.last.shape == (5, 3) and thought.energies is not None
    events = list(method.observe(generator_of("observe", 0)))
    assert any(isinstance(event, Images) for event in events)
    spec = RunSpec(method="curve_energy", data={"name": "reach", "num": 40}, seed=0)
    resolved = catalogue.resolve(spec)
    problems = fitting.problems(resolved.method, resolved.config, resolved.dataset.load())
    assert [field for field, _ in problems] == ["data.name"]
