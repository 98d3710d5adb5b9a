"""log ∫ exp(−E(z)) dz of an energy that is not normalised, by importance sampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.energy import Energy
from backend.metrics.density import energies

TRUSTED_SHARE = 0.05
"""Least effective share of the weights that an estimate is believed at."""
FLOOR_VARIANCE = 1e-3
"""Added to every variance of the proposal, in data sd²: some pixels are constant."""
WIDE_SHARE = 0.2
"""Share of the proposal's draws that come from one Gaussian of twice the spread of the data."""


class Estimate(NamedTuple):
    """One estimate of log Z."""

    log_z: float
    share: float
    """effective sample size of the weights over their number, in (0, 1]"""


def weighed(log_weights: Tensor) -> Estimate:
    """log of the mean weight, and (Σw)² / (num Σw²); weights given as logs (num,)."""
    logs = log_weights.double()
    total = logs.logsumexp(0)
    share = (2 * total - (2 * logs).logsumexp(0)).exp() / len(logs)
    return Estimate(float(total) - math.log(len(logs)), float(share))


class Proposal:
    """A Gaussian mixture fitted to standardised positions (num, *event_shape), by EM.

    Full covariances; fewer components where the data are too few for them. A wide Gaussian is
    mixed in, so that no weight of what lies around the data is huge (Hesterberg 1995).
    """

    def __init__(self, train: Tensor, num_components: int, generator: torch.Generator) -> None:
        from sklearn.mixture import GaussianMixture as Fitted

        self.shape, self.device = train.shape[1:], train.device
        vectors = train.flatten(1).double().cpu().numpy()
        most = max(1, len(vectors) // (10 * vectors.shape[1]))
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        fitted = Fitted(min(num_components, most), reg_covar=FLOOR_VARIANCE, random_state=seed).fit(
            vectors
        )
        wide = 4 * np.cov(vectors.T).reshape(vectors.shape[1], -1)
        wide += FLOOR_VARIANCE * np.eye(len(wide))
        means = np.concatenate([fitted.means_, vectors.mean(0)[None]])
        covariances = np.concatenate([fitted.covariances_, wide[None]])
        shares = np.append((1 - WIDE_SHARE) * fitted.weights_, WIDE_SHARE)
        self.shares = torch.from_numpy(shares).to(self.device)
        self.gaussians = torch.distributions.MultivariateNormal(
            torch.from_numpy(means).to(self.device), torch.from_numpy(covariances).to(self.device)
        )

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """(num, *event_shape)."""
        chosen = torch.multinomial(self.shares, num, True, generator=generator)
        roots = self.gaussians.scale_tril
        noise = torch.randn(
            (num, roots.shape[-1]), generator=generator, dtype=roots.dtype, device=self.device
        )
        vectors = self.gaussians.loc[chosen]
        for index, root in enumerate(roots):
            of = chosen == index
            vectors[of] += noise[of] @ root.T
        return vectors.float().reshape(num, *self.shape)

    def log_density(self, z: Tensor) -> Tensor:
        """(num,) float64."""
        parts = self.gaussians.log_prob(z.flatten(1).double()[:, None])
        return (parts + self.shares.log()).logsumexp(1)

    def estimate(self, energy: Energy, num: int, generator: torch.Generator) -> Estimate:
        """Importance sampling: w = exp(−E(z)) / q(z), z ~ q; E[w] = Z, whatever q is.

        The log of the mean falls short of log Z on average, far short where q misses mass. Energies
        that are not numbers count as infinite.
        """
        z = self.draw(num, generator)
        logs = -energies(energy, z).double() - self.log_density(z)
        return weighed(logs.nan_to_num(nan=-torch.inf))
