"""Telling outliers from inliers by a score that is higher for outliers."""

from __future__ import annotations

import torch
from torch import Tensor


def auroc(inliers: Tensor, outliers: Tensor) -> float:
    """Area under the ROC curve: P(an outlier's score > an inlier's), a tie counted half.

    Scores (num,), higher for outliers; nan where a score is nan. Raises ValueError without scores.

    >>> auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    low, high = _scores(inliers, outliers)
    if low.isnan().any() or high.isnan().any():
        return float("nan")
    ordered = low.sort().values
    below = torch.searchsorted(ordered, high)
    up_to = torch.searchsorted(ordered, high, right=True)
    return float((below + up_to).double().mean() / (2 * len(low)))


def roc(inliers: Tensor, outliers: Tensor, num_points: int = 100) -> tuple[Tensor, Tensor]:
    """False and true positive rates (at most num_points,), rising from 0 to 1, float64.

    An event counts as an outlier at or above a threshold. One point for each threshold that some
    score has, thinned evenly to `num_points`; straight lines between points count ties half.
    """
    low, high = _scores(inliers, outliers)
    thresholds = torch.cat([low, high]).unique()
    infinity = torch.full((1,), torch.inf, dtype=torch.float64, device=low.device)
    thresholds = torch.cat([infinity, thresholds.flip(0)])
    if len(thresholds) > num_points:
        places = torch.linspace(0, len(thresholds) - 1, num_points, device=low.device)
        thresholds = thresholds[places.round().long()]
    return _share_from(low, thresholds), _share_from(high, thresholds)


def _scores(inliers: Tensor, outliers: Tensor) -> tuple[Tensor, Tensor]:
    if not len(inliers) or not len(outliers):
        raise ValueError(f"detection compares two sets, got {len(inliers)} and {len(outliers)}")
    return inliers.flatten().double(), outliers.flatten().double()


def _share_from(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Share of the scores at or above each threshold."""
    below = torch.searchsorted(scores.sort().values, thresholds)
    return 1 - below.double() / len(scores)
