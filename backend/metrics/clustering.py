"""Figures of clusters, from log p(cluster | x) and, where they are known, the true labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


def marginal(log_probs: Tensor) -> Tensor:
    """Mean p(cluster | x), (num_clusters,) float64, of log_probs (num, num_clusters)."""
    return log_probs.double().exp().mean(0)


def entropy(log_probs: Tensor) -> float:
    """Mean entropy of p(cluster | x), nats: 0 where every position is sure of its cluster."""
    values = log_probs.double()
    return float(-torch.xlogy(values.exp(), values.exp()).sum(1).mean())


def mutual_information(log_probs: Tensor) -> float:
    """H(cluster) − H(cluster | x), nats. It says how sure and even clusters are, not how right."""
    shares = marginal(log_probs)
    return float(-torch.xlogy(shares, shares).sum()) - entropy(log_probs)


def agreement(clusters: Tensor, labels: Tensor) -> dict[str, float]:
    """`nmi` and `ari` of clusters beside true labels, both (num,) int64: 1 where they are the same
    up to their numbers, 0 (`ari` on average) where they know nothing of each other.

    Vinh, Epps & Bailey 2010; Hubert & Arabie 1985.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    pair = labels.cpu().numpy(), clusters.cpu().numpy()
    return {
        "nmi": float(normalized_mutual_info_score(*pair)),
        "ari": float(adjusted_rand_score(*pair)),
    }


class Match(NamedTuple):
    """Clusters matched to true labels so that most events are in the cluster of their label."""

    order: Array
    """(num_clusters,) clusters in the order of the labels they are matched to, then the others"""
    counts: Array
    """(num_labels, num_clusters): how many of each label are in each cluster, in that order"""
    accuracy: float
    """share of events in the cluster of their label"""


def matched(log_probs: Tensor, labels: Tensor, num_labels: int) -> Match:
    """Match clusters of log_probs (num, num_clusters) to labels (num,); of more labels than
    clusters some have none. Kuhn 1955."""
    from scipy.optimize import linear_sum_assignment

    num_clusters = log_probs.shape[1]
    clusters = log_probs.argmax(1)
    counts = (labels * num_clusters + clusters).bincount(minlength=num_labels * num_clusters)
    table = counts.reshape(num_labels, num_clusters).cpu().numpy()
    of_labels, of_clusters = linear_sum_assignment(table, maximize=True)
    rest = np.setdiff1d(np.arange(num_clusters), of_clusters)
    order = np.concatenate([of_clusters, rest])
    right = table[of_labels, of_clusters].sum()
    return Match(order, table[:, order], float(right / len(labels)))
