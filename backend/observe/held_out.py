"""The held-out log-likelihood of a run as it is observed, with what it is compared with."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from backend.data import Data
from backend.metrics import density_baselines
from backend.metrics.log_likelihood import LogLikelihood, dequantised, refusal, value_refusal
from backend.metrics.modes import nearest_mode
from backend.randomness import generator_of

NUM_CLUSTERS = 8
MAX_CLUSTERED = 4000
"""Training points that clusters are looked for in."""


class Parts(NamedTuple):
    """Parts of the plane, or of space: what is nearest to each of some centres."""

    centres: Tensor
    """(num, dim), standardised"""
    shares: Tensor
    """(num,) of the training data"""


class Beside:
    """Baselines and parts of the data, made when they are first asked for.

    noise_sd: standard deviation of the noise that training leaves on the data, in data sd.
    """

    def __init__(self, data: Data, seed: int, noise_sd: float = 0.0) -> None:
        generator = generator_of("dequantised", seed, device=data.train.device)
        self.data, self.seed = dequantised(data, noise_sd, generator), seed

    @cached_property
    def log_probs(self) -> density_baselines.Baselines:
        """log p (num,) of each held-out point by baseline; empty where there are none."""
        data = self.data
        if refusal(data) if data.num_values is None else value_refusal(data):
            return {}
        generator = generator_of("baselines", self.seed, device=self.data.train.device)
        return density_baselines.baselines(self.data, generator)

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Their means."""
        return density_baselines.means(self.log_probs)

    def error_beside(self, likelihood: LogLikelihood, name: str) -> float:
        """Standard error of the mean difference, point by point, from a baseline; nats."""
        differences = likelihood.log_probs - self.log_probs[name]
        sampling = float(differences.std()) / math.sqrt(len(differences))
        return math.hypot(sampling, likelihood.log_z_error)

    @cached_property
    def parts(self) -> Parts:
        """The data's modes where they are known, else clusters by k-means."""
        z = self.data.train.flatten(1)
        modes = self.data.modes
        centres = self._clusters() if modes is None else self.data.standardise(modes).to(z)
        counts = torch.bincount(nearest_mode(z, centres), minlength=len(centres))
        return Parts(centres, counts.double() / len(z))

    def _clusters(self) -> Tensor:
        from sklearn.cluster import KMeans

        z = self.data.train[:MAX_CLUSTERED].flatten(1)
        fitted = KMeans(min(NUM_CLUSTERS, len(z)), n_init=1, random_state=0).fit(z.cpu().numpy())
        return torch.from_numpy(fitted.cluster_centers_).to(z)

    def masses(self, z: Tensor, shares: Tensor | None = None) -> Tensor:
        """Share (num,) float64 in each of `parts` of standardised z (any number, *event_shape),
        which have equal shares unless given."""
        place = nearest_mode(z.flatten(1), self.parts.centres)
        weights = torch.full((len(z),), 1 / len(z)) if shares is None else shares
        return torch.bincount(place, weights.double().to(place.device), len(self.parts.centres))


def total_variation(masses: Tensor, others: Tensor) -> float:
    """Half the sum of absolute differences of two sets of shares (num,)."""
    return float((masses - others.to(masses)).abs().sum() / 2)


def figures_of(likelihood: LogLikelihood, baselines: dict[str, float]) -> dict[str, float]:
    """Figures by path; of an unknown log-likelihood those alone that do not rest on log Z."""
    path = "density/log_likelihood"
    figures = {f"{path}/{name}": value for name, value in baselines.items()}
    if likelihood.doubt:
        bound = {} if likelihood.way != "annealing" else {f"{path}/at_most": likelihood.at_most}
        return figures | bound
    known = {
        path: likelihood.value,
        f"{path}_error": likelihood.error,
        "density/log_z_error": likelihood.log_z_error,
    }
    if "independent" in baselines:  # whole numbers lie inside their range
        return figures | known
    return (
        figures
        | known
        | {"density/ess": likelihood.ess, "density/mass_outside": likelihood.mass_outside}
    )
