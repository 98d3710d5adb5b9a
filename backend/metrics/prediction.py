"""Errors of predictions of held-out rows, beside those of what costs nothing to fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.data import Data, Rows
from backend.metrics.baselines import RIDGE

TITLES = {
    "mean_event": "the mean training event",
    "context": "the context itself",
    "linear": "least squares from what is given",
}
"""Title of each baseline."""


def psnr(x: Tensor, y: Tensor, low: float, high: float) -> float:
    """Peak signal-to-noise ratio 10 log₁₀((high − low)² / mean squared error), dB.

    >>> round(psnr(torch.zeros(3), torch.full((3,), 0.2), -1.0, 1.0), 6)
    20.0
    """
    error = (x.double() - y.double()).square().mean()
    return float(10 * torch.log10((high - low) ** 2 / error))


def figures_of(data: Data, predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Of standardised predictions (num, *event_shape) and the truth of the same shape.

    squared_error: the mean over coordinates and rows, in standardised units; psnr: dB, of images.
    """
    error = (predicted.double() - true.double()).square().mean()
    figures = {"squared_error": float(error)}
    if data.image_range is not None:
        figures["psnr"] = psnr(data.restore(predicted), data.restore(true), *data.image_range)
    return figures


def baselines(data: Data, rows: Rows) -> dict[str, dict[str, float]]:
    """The figures of predictions that cost nothing to fit, by the names in TITLES."""
    by_baseline = {
        "mean_event": data.train.mean(0).expand_as(rows.x),
        "linear": linear(data, rows.given),
    }
    context = rows.given.get("context")
    if context is not None and data.is_event(context):
        by_baseline["context"] = context
    return {
        name: figures_of(data, by_baseline[name], rows.x) for name in TITLES if name in by_baseline
    }


def linear(data: Data, given: Mapping[str, Tensor]) -> Tensor:
    """x (num, *event_shape) by ridge regression on all that is given, standardised.

    No prediction has a smaller squared error where x and what is given are Gaussian together.
    """
    inputs, target = _flat(data.given), data.train.flatten(1).double()
    centre, mean = inputs.mean(0), target.mean(0)
    inputs = (inputs - centre) / len(inputs) ** 0.5
    gram = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1]).to(inputs)
    gain = torch.linalg.solve(gram, inputs.T @ (target - mean) / len(target) ** 0.5)
    predicted = mean + (_flat(given) - centre) @ gain
    return predicted.to(data.train).reshape(-1, *data.event_shape)


def _flat(given: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([given[name].flatten(1).double() for name in sorted(given)], 1)
