"""Weighted points that stand for exp(−E/T): sums over them are integrals over the model."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from backend.data import Data

TRUSTED_SHARE = 0.05
"""Least effective share of the weights that an estimate asked for by hand is believed at."""


class WeightedPoints(NamedTuple):
    """Nodes of a quadrature, or draws of a proposal, each with the mass that it stands for."""

    positions: Tensor
    """(num, *event_shape), standardised"""
    log_weights: Tensor
    """(num,) float64, logs of weights that sum to Z = ∫ exp(−E(z)/T) dz"""
    error: float
    """standard error of log Z or, of quadrature, a bound that is rarely passed; nats"""
    edge: float = 0.0
    """share of the mass at the very edge of what was looked at: not near 0 where the energy does
    not fall off"""

    @property
    def log_z(self) -> float:
        return float(self.log_weights.logsumexp(0))

    @property
    def shares(self) -> Tensor:
        """Share of the mass (num,) of each, summing to 1."""
        return self.log_weights.softmax(0)

    @property
    def ess(self) -> float:
        """Effective number of them, (Σw)² / Σw²."""
        return float(1 / self.shares.square().sum())

    def mass_outside(self, data: Data) -> float:
        """Share of the mass outside the range of the training data, widened by a quarter of it on
        each side."""
        low, high = data_box(data)
        flat = self.positions.flatten(1)
        inside = ((flat >= low) & (flat <= high)).all(1)
        return float(self.shares[~inside].sum())


def data_box(data: Data) -> tuple[Tensor, Tensor]:
    """Corners (dim,) of the range of the training data and a quarter of it more on each side,
    standardised; of a coordinate that never varies, of width 1."""
    flat = data.train.flatten(1)
    low, high = flat.amin(0), flat.amax(0)
    span = torch.where(high > low, high - low, torch.ones_like(low))
    return low - 0.25 * span, high + 0.25 * span


def weighed(log_weights: Tensor) -> tuple[float, float]:
    """log of the mean weight and its standard error, weights given as logs (num,); nats.

    The error is that of independent weights by the delta method: sd(w) / (mean(w) √num).
    """
    logs = log_weights.double()
    log_mean = logs.logsumexp(0) - math.log(len(logs))
    relative = (logs - log_mean).exp()
    return float(log_mean), float(relative.std() / math.sqrt(len(logs)))
