"""Figures of a classifier, from log p(label | x) and the true labels."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]

NUM_BINS = 15
"""Bins of confidence of the calibration error."""


def accuracy(log_probs: Tensor, labels: Tensor) -> float:
    """Share of positions whose most likely class is the true one; log_probs (num, num_labels),
    labels (num,)."""
    return float((log_probs.argmax(1) == labels).double().mean())


def log_loss(log_probs: Tensor, labels: Tensor) -> float:
    """Mean −log p(true label | x), nats."""
    return float(-log_probs.double().gather(1, labels[:, None]).mean())


def calibration_error(log_probs: Tensor, labels: Tensor, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error: Σ over bins of confidence (num in bin / num) |accuracy −
    confidence|, both means over the bin.

    Confidence is the probability of the most likely class; bins are of equal width over (0, 1]. It
    is never below 0, and for few positions above it for a calibrated classifier too. Naeini et al.
    2015; Guo et al. 2017.
    """
    confidence, predicted = log_probs.double().exp().max(1)
    right = (predicted == labels).double()
    index = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    # |Σ right − Σ confidence| over a bin is num in bin × |accuracy − confidence|
    gaps = torch.zeros(num_bins, dtype=torch.float64, device=labels.device)
    gaps.index_add_(0, index, right - confidence)
    return float(gaps.abs().sum() / len(labels))


def reliability(log_probs: Tensor, labels: Tensor, num_bins: int = NUM_BINS) -> tuple[Array, Array]:
    """Mean confidence and share of right calls, (bins that hold any,) float64 each, over bins of
    equal width. On the diagonal a classifier is as right as it says. Niculescu-Mizil & Caruana
    2005."""
    from sklearn.calibration import calibration_curve

    confidence, called = log_probs.double().exp().max(1)
    right, mean_confidence = calibration_curve(
        (called == labels).cpu().numpy(), confidence.clamp(0, 1).cpu().numpy(), n_bins=num_bins
    )
    return mean_confidence, right


def confusion(log_probs: Tensor, labels: Tensor) -> Tensor:
    """(num_labels, num_labels) int64: how many positions of true class row are called column."""
    num = log_probs.shape[1]
    pairs = labels * num + log_probs.argmax(1)
    return pairs.bincount(minlength=num**2).reshape(num, num)
