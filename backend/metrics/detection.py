"""Telling outliers from inliers by a score that is higher for outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


def auroc(inliers: Tensor, outliers: Tensor) -> float:
    """Area under the ROC curve: P(an outlier's score > an inlier's), a tie counted half.

    Scores (num,), higher for outliers; nan where a score is nan. Raises ValueError without scores.

    >>> auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    from sklearn.metrics import roc_auc_score

    labels, ranks, is_nan = _ranked(inliers, outliers)
    return float("nan") if is_nan else float(roc_auc_score(labels, ranks))


def roc(inliers: Tensor, outliers: Tensor, num_points: int = 100) -> tuple[Tensor, Tensor]:
    """False and true positive rates (at most num_points,), rising from 0 to 1, float64.

    An event counts as an outlier at or above a threshold. One point for each threshold that some
    score has, thinned evenly to `num_points`; straight lines between points count ties half.
    """
    from sklearn.metrics import roc_curve

    labels, ranks, _ = _ranked(inliers, outliers)
    false_rate, true_rate, _ = roc_curve(labels, ranks, drop_intermediate=False)
    places = np.arange(len(false_rate))
    if len(places) > num_points:
        places = np.linspace(0, len(places) - 1, num_points).round().astype(int)
    return torch.from_numpy(false_rate[places]), torch.from_numpy(true_rate[places])


def _ranked(inliers: Tensor, outliers: Tensor) -> tuple[Array, Array, bool]:
    """Label (1 for outliers) and rank every score, equal ones alike, for scikit-learn, which takes
    no infinities; and say whether one is nan."""
    if not len(inliers) or not len(outliers):
        raise ValueError(f"detection compares two sets, got {len(inliers)} and {len(outliers)}")
    scores = torch.cat([inliers.flatten(), outliers.flatten()]).double()
    ranks = scores.unique(return_inverse=True)[1]
    labels = np.arange(len(ranks)) >= inliers.numel()
    return labels, ranks.cpu().numpy(), bool(scores.isnan().any())
