"""Errors of the running estimates of a sampler against what is known of its target."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from backend.data import Data
from backend.metrics.running_moments import RunningMoments
from backend.truth import Truth


def distances(
    moments: RunningMoments, truth: Truth, data: Data, num_chains: int
) -> dict[str, Tensor]:
    """0-d figures on the device by path, those the truth allows; nan before the first draw.

    `error/mean`, the coordinate whose running mean is furthest off, in sd of the target;
    `error/variance`, the largest |ratio − 1|; `error/energy`, of the mean energy, nats;
    `error/mode_weights`, total variation; `error/log_z`, nats; `error/functions`, the known mean
    furthest off, in sd of the function. Moments are of standardised
    positions.
    """
    device = moments.sum.device
    shape = moments.sum.shape
    scale = data.scale.double().to(device).expand(shape)
    errors: dict[str, Tensor] = {}
    mean, variance = moments.mean(), moments.variance()
    if truth.mean is not None and truth.variance is not None:
        true_mean = (truth.mean.to(device) - data.mean.double().to(device)) / scale
        true_variance = truth.variance.to(device) / scale.square()
        moves = true_variance > 0
        sd = torch.where(moves, true_variance, 1.0).sqrt()
        off = torch.where(moves, (mean - true_mean).abs() / sd, 0.0)
        errors["error/mean"] = off.amax()
        ratio = torch.where(moves, variance / torch.where(moves, true_variance, 1.0), 1.0)
        errors["error/variance"] = (ratio - 1).abs().amax()
    if truth.mean_energy is not None:
        errors["error/energy"] = (moments.mean_energy() - truth.mean_energy).abs()
    if truth.mode_weights is not None and len(moments.modes):
        gaps = moments.mode_weights() - truth.mode_weights.to(device)
        errors["error/mode_weights"] = 0.5 * gaps.abs().sum()
    if (known := truth.functions) is not None and len(moments.functions):
        spread = torch.ones_like(known.mean) if known.variance is None else known.variance.sqrt()
        gap = moments.functions / moments.total - known.mean.to(device)
        errors["error/functions"] = (gap.abs() / spread.to(device)).amax()
    if truth.log_z is not None:
        log_z = truth.log_z if data.num_values is not None else truth.log_z - scale.log().sum()
        errors["error/log_z"] = (moments.log_z(num_chains) - log_z).abs()
    return {path: value.float() for path, value in errors.items()}


def floor_of_mean(truth: Truth, effective: float) -> float:
    """Median `error/mean` that `effective` independent exact draws would have.

    As far as the truth is itself known, where it is of a long run. Copies to the host.
    """
    assert truth.mean is not None and truth.variance is not None
    moves = truth.variance > 0
    floor = _median_of_largest(int(moves.sum())) / math.sqrt(effective)
    if truth.mean_error is None:
        return floor
    known_to = float((truth.mean_error[moves] / truth.variance[moves].sqrt()).max())
    return math.hypot(floor, known_to)


def _median_of_largest(num: int) -> float:
    """The median of the largest of `num` absolute standard normals.

    >>> round(_median_of_largest(1), 4)
    0.6745
    """
    share = 0.5 ** (1 / max(num, 1))
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(share, dtype=torch.float64)))
