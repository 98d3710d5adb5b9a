"""Figures of images: in the features of a classifier, beside floors and one Gaussian a class."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backend.data import Data
from backend.datasets.digits import DigitsConfig, DigitsData
from backend.energies import NO_LABEL
from backend.metric_names import FIGURES
from backend.metrics.baselines import class_gaussian
from backend.metrics.features import INCEPTION, FeatureSpace
from backend.metrics.quality import FEATURE_FIGURES, Quality, label_accuracy, label_spread
from backend.randomness import generator_of


@pytest.fixture(scope="module")
def digits() -> Data:
    return DigitsData(DigitsConfig()).load()


def test_real_digits_a_gaussian_a_class_and_noise_as_the_yardstick_ranks_them(digits: Data) -> None:
    quality = Quality(digits, 500)
    floors = quality.floors(generator_of(0))
    gaussians = quality.baselines(generator_of(1))
    noise = quality.of(digits.noise(500, generator_of(2)))
    assert set(floors) == set(gaussians) == set(noise) >= {*FEATURE_FIGURES, "kernel_pixels"}
    assert all(f"quality/{name}" in FIGURES for name in floors)
    # three sets of 500 training digits: .05 to .09; one Gaussian a class is on the floor
    assert floors["frechet_features"] < 0.12
    assert gaussians["frechet_features"] < 1.5 * floors["frechet_features"]
    assert noise["frechet_features"] > 20 * floors["frechet_features"]
    assert abs(floors["kernel_features"]) < 0.05 < 0.3 < noise["kernel_features"]
    assert abs(floors["kernel_pixels"]) < 0.01 < 1 < noise["kernel_pixels"]
    for name in ("precision", "coverage"):
        assert floors[name] > 0.9 and noise[name] < 0.6
    assert floors["density"] == pytest.approx(1, abs=0.1)
    # pixels tell a Gaussian from digits where features do not
    assert gaussians["frechet_pca"] > 1.5 * floors["frechet_pca"]


def test_equal_samples_give_equal_figures_and_lost_ones_none(digits: Data) -> None:
    quality = Quality(digits, 100)
    assert quality.of(digits.train) == quality.of(digits.train)
    lost = digits.train[:100].clone()
    lost[3, 2, 2] = math.nan
    found = quality.of(lost)
    assert found.keys() == quality.of(digits.train).keys()
    assert all(math.isnan(value) for value in found.values())


class Colours(nn.Module):
    """Three numbers of an image of bytes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=[2, 3])


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_network_of_the_operators_own_is_asked_at_the_end_alone(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = replace(digits, feature_space="")
    assert "precision" not in Quality(images, 50, in_depth=True).of(digits.train)
    path = tmp_path / "network.pt"
    torch.jit.save(torch.jit.script(Colours()), str(path))
    monkeypatch.setenv(INCEPTION, str(path))
    assert "precision" not in Quality(images, 50).of(digits.train)
    quality = Quality(images, 50, in_depth=True)
    assert quality.of(digits.train)["precision"] > 0.5
    assert quality.baselines(generator_of(0)) == {}
    # data with a classifier of their own are compared in that
    named = Quality(digits, 50, in_depth=True).in_features
    assert named is not None and named.space.num_labels == 10


class Plain(FeatureSpace):
    """An image's pixels, which are its logits too."""

    title, num_labels = "pixels", 3

    def features(self, z: Tensor) -> Tensor:
        return z.flatten(1)

    def logits(self, z: Tensor) -> Tensor:
        return z.flatten(1)


def test_labels_as_asked_and_spread_by_hand() -> None:
    z = torch.tensor([[3.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 9.0, 0.0]])
    labels = torch.tensor([0, 0, 1, NO_LABEL])
    assert label_accuracy(z, labels, Plain()) == pytest.approx(2 / 3)
    # only class 0 has two samples: sds √2, 0 and 0
    assert label_spread(z, labels, Plain()) == pytest.approx(2**0.5 / 3)
    nobody = torch.full((4,), NO_LABEL)
    assert math.isnan(label_accuracy(z, nobody, Plain()))
    assert math.isnan(label_spread(z, nobody, Plain()))


def test_a_gaussian_a_class_is_labelled_as_asked_and_spreads_like_held_out_digits(
    digits: Data,
) -> None:
    named = Quality(digits, 100).in_features
    labels = digits.held_out_labels
    assert named is not None and labels is not None
    z = class_gaussian(digits, labels, generator_of(3))
    assert label_accuracy(z, labels, named.space) > 0.97
    real = label_spread(digits.held_out, labels, named.space)
    assert 0.5 < label_spread(z, labels, named.space) / real < 2
    means = torch.stack([digits.train[digits.labels == label].mean(0) for label in labels])
    assert label_spread(means, labels, named.space) < 0.01 * real
