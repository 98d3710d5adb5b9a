"""Figures of events that were filled in, and of what costs nothing to fit beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.metrics import baselines
from backend.metrics.density import energies
from backend.metrics.features import space_of
from backend.metrics.quality import Quality, label_accuracy

BASELINES = ("nearest", "mean_event", "gaussian", "class_gaussian", "independent")
TITLES = {
    "": "the run",
    "nearest": "nearest training event",
    "mean_event": "mean training event",
    "gaussian": "one Gaussian",
    "class_gaussian": "one Gaussian a class, told the class",
    "independent": "each place by itself, as often as in training",
    "whole": "the whole itself",
}


class Compared:
    """Figures of filled-in events, and the same of what costs nothing to fit."""

    def __init__(
        self,
        data: Data,
        known: Tensor,
        mask: Tensor,
        labels: Tensor | None,
        energy: Energy | None,
        spread: bool,
    ) -> None:
        """labels: of what is known; spread: whether the events are many, so that a distance
        between laws means something."""
        self.data, self.known, self.mask, self.labels = data, known, mask, labels
        self.energy = energy
        space = space_of(data)
        self.space = space if space is not None and space.num_labels else None
        self.quality = Quality(data, len(known)) if data.is_image and spread else None

    def of(self, one: Tensor, mean: Tensor | None = None) -> dict[str, float]:
        """One draw (num, *event_shape) and the mean of several."""
        figures = {"mse": self._error(one)}
        if mean is not None:
            figures["mse_mean"] = self._error(mean)
        if self.data.num_values is not None:
            wrong = (one != self.known)[:, ~self.mask]
            figures["wrong"] = float(wrong.double().mean())
        if self.energy is not None:
            figures["energy"] = float(energies(self.energy, one).mean())
        if not bool(one.isfinite().all()):
            return figures
        if self.space is not None and self.labels is not None:
            figures["label_accuracy"] = label_accuracy(one, self.labels, self.space)
        if self.quality is not None:
            judged = self.quality.of(one)
            names = ("frechet_features", "frechet_pca")
            figures |= {name: judged[name] for name in names if name in judged}
        return figures

    def _error(self, filled: Tensor) -> float:
        hidden = ~self.mask
        return float((filled - self.known)[:, hidden].double().square().mean())

    def beside(self, generator: torch.Generator) -> dict[str, dict[str, float]]:
        data, known, mask = self.data, self.known, self.mask
        if data.num_values is not None:
            return {
                "nearest": self.of(baselines.nearest_inpaint(data, known, mask)),
                "independent": self.of(baselines.independent_inpaint(data, known, mask, generator)),
            }
        mean = baselines.mean_inpaint(data, known, mask)
        rows = {
            "nearest": self.of(baselines.nearest_inpaint(data, known, mask)),
            "mean_event": self.of(mean, mean),
            "gaussian": self.of(
                baselines.gaussian_inpaint(data, known, mask, generator),
                baselines.gaussian_inpaint(data, known, mask, None),
            ),
        }
        if self.labels is not None and data.labels is not None:
            rows["class_gaussian"] = self.of(
                baselines.gaussian_inpaint(data, known, mask, generator, self.labels),
                baselines.gaussian_inpaint(data, known, mask, None, self.labels),
            )
        return rows
