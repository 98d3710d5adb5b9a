"""Distances of samples from held-out data, and of fresh real data: the floor."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import NO_LABEL, Energy, InUnits
from backend.metrics.baselines import class_gaussian
from backend.metrics.density import Box, Grid, energies, grid_kl
from backend.metrics.distances import bandwidths, energy_distance, mmd, sliced_wasserstein
from backend.metrics.features import FeatureSpace, space_of
from backend.metrics.images import FrechetPCA, frechet, kernel_distance, out_of_range
from backend.metrics.modes import mode_share
from backend.metrics.neighbours import overlap
from backend.randomness import generator_of

NUM_PROJECTIONS = 128
CLASS_GAUSSIAN = "class_gaussian"
"""Last path segment of the figures of one Gaussian a class."""
NUM_FLOORS = 3
"""Fresh sets of real data that a floor is the mean of."""

FEATURE_FIGURES = (
    "frechet_features",
    "kernel_features",
    "precision",
    "recall",
    "density",
    "coverage",
)


class Quality:
    """Compares `num` samples with `num` held-out events, in standardised units.

    `num` is cut to what is held out. Fréchet and kernel distances alone refer to all that is held
    out. Each figure is a function of the samples and of fixed projections, so equal samples give
    equal figures at every step. Images are compared in the features of `space_of(data)` too: in
    those of a large network only where the look is `in_depth`.
    """

    def __init__(self, data: Data, num: int, in_depth: bool = False) -> None:
        self.data = data
        self.num = min(num, len(data.held_out))
        self.reference = data.held_out[: self.num]
        self.widths = bandwidths(self.reference)
        self.frechet = FrechetPCA(data.train) if data.is_image else None
        space = space_of(data)
        quick = space is not None and (in_depth or space.is_quick)
        self.in_features = InFeatures(space, data.held_out, self.num) if space and quick else None

    def of(self, samples: Tensor) -> dict[str, float]:
        """Every figure of samples (at least num, *event_shape), by its name in `quality/…`.

        Uses the first `num`. All are nan when a sample is not finite.
        """
        data, x = self.data, samples[: self.num]
        figures = {
            "energy_distance": lambda: energy_distance(x, self.reference),
            "mmd": lambda: mmd(x, self.reference, self.widths),
            "sliced_wasserstein": lambda: sliced_wasserstein(
                x, self.reference, generator_of("projections", device=x.device), NUM_PROJECTIONS
            ),
        }
        if data.modes is not None and data.mode_sd is not None:
            modes, sd = data.modes, data.mode_sd
            figures["mode_share"] = lambda: mode_share(data.restore(x), modes, sd)
        if self.frechet is not None:
            frechet = self.frechet
            figures["frechet_pca"] = lambda: frechet.distance(x, data.held_out)
            # image data fill [-1, 1]; the hair's breadth allows for rounding
            figures["out_of_range"] = lambda: out_of_range(x, -1 - 1e-5, 1 + 1e-5)
            figures["kernel_pixels"] = lambda: kernel_distance(x, data.held_out)
        in_features = FEATURE_FIGURES if self.in_features is not None else ()
        if not x.isfinite().all():
            return dict.fromkeys([*figures, *in_features], float("nan"))
        values = {name: figure() for name, figure in figures.items()}
        return values if self.in_features is None else values | self.in_features.of(x)

    def floors(self, generator: torch.Generator) -> dict[str, float]:
        """The figures of fresh real data of the same number, the mean of NUM_FLOORS sets."""
        return _means([self.of(self._fresh(generator)) for _ in range(NUM_FLOORS)])

    def baselines(self, generator: torch.Generator) -> dict[str, float]:
        """The figures of one Gaussian a class, the mean of NUM_FLOORS sets of the same number.

        Empty where images have no classifier of their own.
        """
        labels = self.data.held_out_labels
        if self.in_features is None or not self.in_features.space.num_labels or labels is None:
            return {}
        asked = labels[: self.num]
        return _means(
            [self.of(class_gaussian(self.data, asked, generator)) for _ in range(NUM_FLOORS)]
        )

    def _fresh(self, generator: torch.Generator) -> Tensor:
        """Exact draws where there are any, else training events, without replacement."""
        if self.data.draw is not None:
            return self.data.standardise(self.data.draw(self.num, generator))
        train = self.data.train
        order = torch.randperm(len(train), generator=generator, device=train.device)
        repeats = -(-self.num // len(train))
        return train[order].repeat(repeats, *[1] * (train.dim() - 1))


class InFeatures:
    """Compares images in a feature space: FEATURE_FIGURES, whose neighbours are NUM_NEIGHBOURS.

    A classifier knows its training images better than held-out ones, so floors, which are made of
    training images, are a little above what perfect samples would give.
    """

    def __init__(self, space: FeatureSpace, held_out: Tensor, num: int) -> None:
        self.space, self.num = space, num
        self.reference = space.features(held_out)
        """(all that is held out, dim)"""

    def of(self, x: Tensor) -> dict[str, float]:
        """Of images x (num, *event_shape), finite; nan where features are not."""
        features = self.space.features(x)
        if not features.isfinite().all():
            return dict.fromkeys(FEATURE_FIGURES, float("nan"))
        distances = frechet(features, self.reference), kernel_distance(features, self.reference)
        among = overlap(features, self.reference[: self.num])
        return dict(zip(FEATURE_FIGURES, (*distances, *among), strict=True))


def label_accuracy(z: Tensor, labels: Tensor, space: FeatureSpace) -> float:
    """Share of samples z (num, *event_shape) that the classifier labels as asked, labels (num,).

    Samples asked for without a class (NO_LABEL) are left out; nan where none is left. A classifier
    that samples were made to please is fooled by them: read it beside distances of pixels.
    """
    labelled = labels != NO_LABEL
    if not labelled.any():
        return float("nan")
    return float((space.logits(z[labelled]).argmax(1) == labels[labelled]).double().mean())


def label_spread(z: Tensor, labels: Tensor, space: FeatureSpace) -> float:
    """Mean over classes and features of the sd within a class, in units of the features.

    That of real data is `label_spread(data.held_out, data.held_out_labels, space)`: far below it
    samples of a class are all alike. Training images, which the classifier has seen, lie a few
    times closer together in its features than held-out ones: do not take theirs for it. Classes
    with fewer than two samples are left out, as are samples without a class; nan where nothing is
    left.
    """
    features = space.features(z).double()
    known = [features[labels == label] for label in labels.unique() if label != NO_LABEL]
    spreads = [part.std(0).mean() for part in known if len(part) > 1]
    return float(torch.stack(spreads).mean()) if spreads else float("nan")


def _means(sets: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(figures[name] for figures in sets) / len(sets) for name in sets[0]}


class GridTruth:
    """The known density of a data set on a grid, to measure the KL of a model to it."""

    def __init__(self, data: Data, density: Energy, box: Box, size: int = 200) -> None:
        self.data = data
        self.grid = Grid(box, size)
        self.points = self.grid.points(data.train.device)
        self.energies = energies(density, self.points)

    @classmethod
    def of(cls, data: Data, size: int = 200) -> GridTruth | None:
        """None where the density is not known, or no plain grid holds it."""
        box = getattr(data.density, "box", None)
        return None if data.density is None or box is None else cls(data, data.density, box, size)

    def cost_of_noise(self, noise_sd: float) -> float:
        """KL(true‖true blurred), nats, by Gaussian noise of a standard deviation in data sd: no
        energy of data with that noise comes nearer to the truth."""
        size, ((left, right), (bottom, top)) = self.grid.size, self.grid.box
        scale = self.data.scale.to(self.points).expand(2).double()
        offsets = torch.arange(-size, size + 1, device=scale.device, dtype=torch.float64)
        index = torch.arange(size, device=scale.device)
        places = index[:, None] - index[None] + size
        p = (-self.energies.double()).softmax(0).reshape(size, size)
        blurred = p
        # rows run along y, columns along x
        for axis, width in ((1, top - bottom), (0, right - left)):
            kernel = (-0.5 * (offsets * width / size / (noise_sd * scale[axis])).square()).exp()
            blurred = ((kernel / kernel.sum())[places] @ blurred).T
        terms = p * (p.log() - blurred.clamp(min=1e-300).log())
        return float(torch.where(p > 0, terms, 0.0).sum())

    def kl(self, energy: Energy, temperature: float) -> float:
        """KL(true‖exp(-E/T)), nats; `energy` takes standardised positions."""
        model = energies(InUnits(energy, self.data.mean, self.data.scale), self.points)
        return grid_kl(self.energies, model, self.grid.cell, temperature).kl
