"""An energy of the labels of events, some of them given: prototypes, entropy and neighbours."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SPREAD = 0.9
"""α of label spreading: of 0.2, 0.5, 0.8, 0.9, 0.95 and 0.99 the best on digits of other seeds."""


class Labelled(NamedTuple):
    """Labels of events, a share of each class, and the prototypes of classes."""

    shares: Tensor
    """(episodes, events, ways), rows that sum to 1"""
    prototypes: Tensor
    """(episodes, ways, dim)"""


class LabelEnergy:
    """E(z, μ) = a Σ z_ik |x_i − μ_k|² + Σ z_i·log z_i − λ/2 Σ w_ij z_i·z_j of many episodes.

    x: (episodes, events, dim) features. given: (episodes, num_given, ways) one-hot labels of the
    first events. w_ij is 1 where one is among the `num_neighbours` nearest of the other; with
    `dominant` each row's sum stands on the diagonal, so that w is positive semi-definite and no
    `round` raises E. Ziko et al. 2020.
    """

    def __init__(self, x: Tensor, given: Tensor, num_neighbours: int, dominant: bool) -> None:
        self.x, self.given = x, given
        apart = torch.cdist(x, x)
        apart.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = apart.topk(min(num_neighbours, x.shape[1] - 1), largest=False).indices
        ties = torch.zeros_like(apart).scatter_(2, nearest, 1.0)
        self.plain = torch.maximum(ties, ties.mT)
        self.ties = self.plain + torch.diag_embed(self.plain.sum(2)) if dominant else self.plain
        labelled = x[:, : given.shape[1]]
        self.means = given.mT @ labelled / given.sum(1)[..., None]
        """prototypes of the given labels alone (episodes, ways, dim)"""

    def start(self, scale: float) -> Labelled:
        """Labels by those prototypes, no query asked."""
        means = self.means.clone()
        return Labelled(self._assigned(self.distances(means, scale)), means)

    def distances(self, prototypes: Tensor, scale: float) -> Tensor:
        """a |x_i − μ_k|² (episodes, events, ways) of a = scale."""
        return scale * torch.cdist(self.x, prototypes).square()

    def terms(self, labelled: Labelled, scale: float, tie: float) -> Tensor:
        """(3, episodes): distances, negative entropy and Laplacian at λ = tie, in nats."""
        z, mu = labelled
        distance = (z * self.distances(mu, scale)).sum((1, 2))
        laplacian = -tie / 2 * (z * (self.ties @ z)).sum((1, 2))
        return torch.stack([distance, torch.xlogy(z, z).sum((1, 2)), laplacian])

    def slope(self, labelled: Labelled, scale: float) -> Tensor:
        """∂E/∂μ (episodes, ways, dim)."""
        z, mu = labelled
        return 2 * scale * (z.sum(1)[..., None] * mu - z.mT @ self.x)

    def round(
        self, now: Labelled, scale: float, tie: float, moving: bool, hard: bool = False
    ) -> Labelled:
        """z_i ← softmax(−a |x_i − μ_k|² + λ Σ_j w_ij z_jk), or its argmax, then μ_k ← the mean of
        what is assigned to it, where prototypes move."""
        cost = self.distances(now.prototypes, scale) - tie * (self.ties @ now.shares)
        z = self._assigned(cost, hard)
        return Labelled(z, z.mT @ self.x / z.sum(1)[..., None] if moving else now.prototypes)

    def spread(self, share: float) -> Tensor:
        """Scores (episodes, events, ways) of label spreading, α = share. Zhou et al. 2004."""
        scale = self.plain.sum(2).rsqrt()
        smooth = scale[:, :, None] * self.plain * scale[:, None]
        labels = F.pad(self.given, (0, 0, 0, self.x.shape[1] - self.given.shape[1]))
        eye = torch.eye(self.x.shape[1], dtype=smooth.dtype, device=smooth.device)
        return torch.linalg.solve(eye - share * smooth, labels)

    def _assigned(self, cost: Tensor, hard: bool = False) -> Tensor:
        """Labels of least cost, and of most entropy unless hard; the given ones stay."""
        ways = cost.shape[2]
        z = F.one_hot(cost.argmin(2), ways).to(cost) if hard else (-cost).softmax(2)
        return torch.cat([self.given, z[:, self.given.shape[1] :]], 1)


def other_ways(energy: LabelEnergy, scale: float, tie: float, rounds: int) -> dict[str, Tensor]:
    """Scores (episodes, events, ways) of other ways of naming the queries, by name."""
    start = energy.start(scale)
    ways = {
        "k_means": (0.0, True, True),
        "soft_k_means": (0.0, True, False),
        "laplacian_alone": (tie, False, False),
    }
    scores = {"prototype": start.shares}
    for name, settings in ways.items():
        now = start
        for _ in range(rounds):
            now = energy.round(now, scale, *settings)
        scores[name] = now.shares
    return {**scores, "label_spreading": energy.spread(SPREAD)}
