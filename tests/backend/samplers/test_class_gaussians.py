"""One Gaussian a class: its moments, its components, and that it stays in the box."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend import catalogue
from backend.randomness import generator_of
from backend.samplers.class_gaussians import ClassGaussians


def test_draws_of_a_class_have_its_mean_and_covariance() -> None:
    data = catalogue.resolve_data({"name": "moons", "num": 1000}).load()
    assert data.labels is not None
    wide = replace(data, noise_low=torch.full((2,), -9.0), noise_high=torch.full((2,), 9.0))
    gaussians = ClassGaussians(wide)
    labels = torch.arange(20_000) % 2
    z = gaussians.draw(labels, generator_of("g", 0))
    for label in range(2):
        own, drawn = data.train[data.labels == label], z[labels == label]
        assert torch.allclose(drawn.mean(0), own.mean(0), atol=0.04)
        assert torch.allclose(torch.cov(drawn.T), torch.cov(own.T), atol=0.04)


def test_fewer_components_hold_less_variance_and_images_stay_in_range() -> None:
    data = catalogue.resolve_data({"name": "digits"}).load()
    whole, most = ClassGaussians(data), ClassGaussians(data, variance=0.5)
    kept = most.spreads.square().sum((1, 2)) / whole.spreads.square().sum((1, 2))
    assert (kept >= 0.5).all() and (kept < 0.7).all()
    z = whole.draw(torch.arange(100) % 10, generator_of("g", 1))
    assert z.shape == (100, 8, 8) and z.abs().max() <= 1


def test_data_without_classes_have_none_and_empty_classes_no_spread() -> None:
    with pytest.raises(ValueError, match="no classes"):
        ClassGaussians(catalogue.resolve_data({"name": "ring"}).load())
    data = catalogue.resolve_data({"name": "moons", "num": 100}).load()
    named = replace(data, label_names=("a", "b", "c"))
    z = ClassGaussians(named).draw(torch.tensor([2, 2]), generator_of("g", 2))
    assert torch.allclose(z, data.train.mean(0).expand(2, 2))
