"""Spaces that images are compared in: features of a classifier, where one is at hand.

The digits have a small convolutional network that comes with Basin, made by
`python -m benchmarks.digits_classifier` on the 1,257 training digits of the split of `seed` 0.
Held-out digits of other splits overlap its training set: its accuracy there flatters.

Other images are compared in the 2,048 features of an Inception network where the operator has its
weights: BASIN_INCEPTION names a TorchScript file, images (num, 3, height, width) uint8 → features
(num, dim). TorchScript is code: name no file that you would not run. Else pixels are all there is.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from backend.data import Data
from backend.errors import NotAvailable
from backend.networks.layers import conv, linear

DIGITS_FILE = Path(__file__).with_name("digits_classifier.safetensors")
NUM_DIGIT_FEATURES = 16
INCEPTION = "BASIN_INCEPTION"
CHUNK = 500
"""Images that go through a network at once."""


class FeatureSpace(ABC):
    """Features of standardised images z (num, *event_shape) in [-1, 1], no graph kept."""

    title: str
    num_labels: int = 0
    """classes that `logits` tells apart; 0 where there are none"""
    is_quick: bool = False
    """True where features of a few hundred images take milliseconds on a core"""

    @abstractmethod
    def features(self, z: Tensor) -> Tensor:
        """(num, dim)."""

    def logits(self, z: Tensor) -> Tensor:
        """(num, num_labels), by the data's labels. Raises NotAvailable without a classifier."""
        raise NotAvailable(
            f"{self.title} name no classes; a data set with its own classifier does."
        )


class DigitsClassifier(nn.Module):
    """8×8 digits (num, 8, 8) → 16 features in (-1, 1) → 10 logits."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 16, 3, generator, False, padding=1),
            nn.ReLU(),
            conv(16, 32, 3, generator, False, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            linear(32 * 4 * 4, 64, generator, False),
            nn.ReLU(),
            linear(64, NUM_DIGIT_FEATURES, generator, False),
            nn.Tanh(),
        )
        self.head = linear(NUM_DIGIT_FEATURES, 10, generator, False)

    def features(self, z: Tensor) -> Tensor:
        return self.body(z[:, None])

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.features(z))


class DigitsSpace(FeatureSpace):
    """The classifier that comes with Basin, in evaluation mode."""

    num_labels = 10
    is_quick = True

    def __init__(self, device: torch.device) -> None:
        from safetensors.torch import load_file

        self.network = DigitsClassifier(torch.Generator()).to(device)
        self.network.load_state_dict(load_file(DIGITS_FILE, device=str(device)))
        self.network.eval().requires_grad_(False)
        self.title = f"{NUM_DIGIT_FEATURES} features of a digits classifier, {accuracy_in_words()}"

    def features(self, z: Tensor) -> Tensor:
        return _in_chunks(self.network.features, z.float())

    def logits(self, z: Tensor) -> Tensor:
        return _in_chunks(self.network, z.float())


class InceptionSpace(FeatureSpace):
    """The operator's TorchScript network. Raises NotAvailable when the file cannot be read."""

    def __init__(self, path: str, device: torch.device) -> None:
        try:
            with warnings.catch_warnings():
                # torch deprecates the format; it is the one that such weights are passed on in
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network = torch.jit.load(path, map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise NotAvailable(
                f"{INCEPTION} must name a TorchScript file, got {path!r}, which cannot be loaded; "
                "name another or unset it to compare images by their pixels alone."
            ) from error
        self.title = f"features of {Path(path).name}"

    def features(self, z: Tensor) -> Tensor:
        return _in_chunks(lambda part: self.network(as_rgb(part)), z)


def feature_space(name: str, device: torch.device | str = "cpu") -> FeatureSpace | None:
    """The space called `name`; with no name the operator's Inception, None where there is none.

    Read once for each device. Raises ValueError for a name that is not known.
    """
    if name == "digits":
        return _digits(str(device))
    if name:
        raise ValueError(f"no feature space is called {name!r}; there is 'digits'")
    path = os.environ.get(INCEPTION, "")
    return _inception(path, str(device)) if path else None


def space_of(data: Data) -> FeatureSpace | None:
    """The space that these data are compared in; None for points, and where only pixels are."""
    return feature_space(data.feature_space, data.train.device) if data.is_image else None


@cache
def _digits(device: str) -> FeatureSpace:
    return DigitsSpace(torch.device(device))


@cache
def _inception(path: str, device: str) -> FeatureSpace:
    return InceptionSpace(path, torch.device(device))


def accuracy_in_words() -> str:
    """Accuracy that the file states on the 540 digits held out of the split of seed 0."""
    from safetensors import safe_open

    with safe_open(DIGITS_FILE, framework="pt") as file:
        metadata = cast(dict[str, str], file.metadata())
    return f"test accuracy {metadata['held_out_accuracy']}"


def as_rgb(z: Tensor) -> Tensor:
    """Images (num, height, width[, channels]) in [-1, 1] as bytes (num, 3, height, width).

    Grey is repeated; a fourth channel, of opacity, is left out.
    """
    pixels = (z.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    pixels = pixels[..., None] if pixels.dim() == 3 else pixels
    pixels = pixels[..., :3].movedim(-1, 1)
    return pixels.expand(-1, 3, -1, -1).contiguous()


@torch.no_grad()
def _in_chunks(network: Any, z: Tensor) -> Tensor:
    return torch.cat([network(part) for part in z.split(CHUNK)])
