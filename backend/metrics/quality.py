"""How far samples are from held-out data, and how far fresh real data are: the floor."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy, InUnits
from backend.metrics.density import Box, Grid, energies, grid_kl
from backend.metrics.distances import bandwidths, energy_distance, mmd, sliced_wasserstein
from backend.metrics.images import FrechetPCA, out_of_range
from backend.metrics.modes import mode_share
from backend.randomness import generator_of

NUM_PROJECTIONS = 128
NUM_FLOORS = 3
"""Fresh sets of real data that a floor is the mean of."""


class Quality:
    """Compares `num` samples with `num` held-out events, in standardised units.

    `num` is cut to what is held out. The Fréchet distance alone refers to all that is held out.
    Each figure is a function of the samples and of fixed projections, so equal samples give equal
    figures at every step.
    """

    def __init__(self, data: Data, num: int) -> None:
        self.data = data
        self.num = min(num, len(data.held_out))
        self.reference = data.held_out[: self.num]
        self.widths = bandwidths(self.reference)
        self.frechet = FrechetPCA(data.train) if data.is_image else None

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
        if not x.isfinite().all():
            return dict.fromkeys(figures, float("nan"))
        return {name: figure() for name, figure in figures.items()}

    def floors(self, generator: torch.Generator) -> dict[str, float]:
        """The figures of fresh real data of the same number, the mean of NUM_FLOORS sets."""
        sets = [self.of(self._fresh(generator)) for _ in range(NUM_FLOORS)]
        return {name: sum(figures[name] for figures in sets) / NUM_FLOORS for name in sets[0]}

    def _fresh(self, generator: torch.Generator) -> Tensor:
        """Exact draws where there are any, else training events, without replacement."""
        if self.data.draw is not None:
            return self.data.standardise(self.data.draw(self.num, generator))
        train = self.data.train
        order = torch.randperm(len(train), generator=generator, device=train.device)
        repeats = -(-self.num // len(train))
        return train[order].repeat(repeats, *[1] * (train.dim() - 1))


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

    def kl(self, energy: Energy, temperature: float) -> float:
        """KL(true‖exp(-E/T)), nats; `energy` takes standardised positions."""
        model = energies(InUnits(energy, self.data.mean, self.data.scale), self.points)
        return grid_kl(self.energies, model, self.grid.cell, temperature).kl
