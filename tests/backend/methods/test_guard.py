"""A guard from few labels: slopes beside autograd, and what made features add."""

from __future__ import annotations

from typing import Any

import torch

from backend import catalogue
from backend.method import SampleRequest, Task
from backend.methods.guard import Guard
from backend.randomness import generator_of
from backend.requests import fitting


def guard(**config: Any) -> Guard:
    data = catalogue.resolve_data({"name": "digits"}).load()
    settings = Guard.Config.model_validate(config)
    return Guard(settings, Task(data, torch.device("cpu"), generator_of("guard", 0)))


def test_the_slope_is_that_of_the_kernel_densities() -> None:
    method = guard(repulsion=0.3, bandwidth=0.4)
    z = (method.labelled[:6] + 0.1).requires_grad_(True)
    kinds = torch.tensor([0, 1] * 3)
    log_weights = -(z[:, None] - method.labelled).square().sum(2) / (2 * 0.4**2)
    own = method.kinds == kinds[:, None]
    parts = [log_weights.masked_fill(~of, -torch.inf).logsumexp(1) for of in (own, ~own)]
    (expected,) = torch.autograd.grad((-parts[0] + 0.3 * parts[1]).sum(), z)
    assert torch.allclose(method._slope(z.detach(), kinds), expected, atol=1e-4)


def test_made_features_add_to_the_fusion_and_events_come_back_from_features() -> None:
    method = guard()
    for index in range(100):
        method.step(index / 100)
    figures = method.average_precisions(generator_of("figures", 0))
    assert figures["guard/fusion_langevin"] > figures["guard/fusion_real"] + 0.03
    assert all(0 < value <= 1 for value in figures.values()) and len(figures) == 7
    x = method.draw(SampleRequest(6), generator_of("draw", 0))
    assert x is not None and x.shape == (6, 8, 8)
    made = method.made(torch.arange(6) % 2, generator_of("draw", 0))
    assert torch.allclose(method._features(x), made, atol=1e-4)


def test_classes_that_are_none_and_data_without_any_are_refused() -> None:
    data = catalogue.resolve_data({"name": "digits"}).load()
    said = dict(fitting.problems(Guard, Guard.Config(guarded=["4", "ten"]), data))
    assert said["guarded"] == "must be classes of the data, got ten."
    ring = catalogue.resolve_data({"name": "ring"}).load()
    assert "data.name" in dict(fitting.problems(Guard, Guard.Config(), ring))
