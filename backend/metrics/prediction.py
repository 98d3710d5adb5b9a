"""Errors of predictions of held-out rows, beside those of what costs nothing to fit."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.data import Data, Rows
from backend.metrics.baselines import RIDGE

TITLES = {
    "mean_event": "the mean training event",
    "context": "the context itself",
    "linear": "least squares from what is given",
    "frequencies": "how often each value is there",
    "pairs": "the value given beside it",
    "entropy": "the entropy of the source, the least there is",
}
"""Title of each baseline."""
WRONG = {
    "noisy": "the truth made noisy",
    "other": "the truth of another event",
    "random": "noise",
}
"""Title of each wrong answer."""
NOISE = 0.8
"""Of the truth made noisy, unless another is asked for."""
UNITS = {"psnr": "dB", "bits": "bits", "squared_error": ""}
"""Unit of each figure, that which leads first."""
HIGHER = ("psnr",)
"""Figures of which more is better."""
UNSEEN = 0.25
"""Share of a sequence, from its start, whose predictions have seen too little to be judged."""
MOST_VALUES = 4096
"""Values of text that are predicted while a run is watched: each window holds many."""
SURE = 4.0
"""Logit of the value that is there; the others have its negative."""


def psnr(x: Tensor, y: Tensor, low: float, high: float) -> float:
    """Peak signal-to-noise ratio 10 log₁₀((high − low)² / mean squared error), dB.

    >>> round(psnr(torch.zeros(3), torch.full((3,), 0.2), -1.0, 1.0), 6)
    20.0
    """
    error = (x.double() - y.double()).square().mean()
    return float(10 * torch.log10((high - low) ** 2 / error))


def leading(figures: Mapping[str, float]) -> str:
    """Name of the figure that a person reads first."""
    return next(name for name in UNITS if name in figures)


def figures_of(data: Data, predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Of standardised predictions (num, *event_shape) and the truth of the same shape.

    squared_error: the mean over coordinates and rows, in standardised units; psnr: dB, of images.
    Of logits (num, *event_shape, num_values) of whole numbers, bits: the mean cross-entropy of a
    value, those at the start of a sequence, UNSEEN of it, left out.
    """
    if predicted.dim() == true.dim() + 1:
        return {"bits": float(bits(predicted, true).mean())}
    error = (predicted.double() - true.double()).square().mean()
    figures = {"squared_error": float(error)}
    if data.image_range is not None:
        figures["psnr"] = psnr(data.restore(predicted), data.restore(true), *data.image_range)
    return figures


def num_watched(data: Data, num: int) -> int:
    """Held-out rows, at most `num`, that are predicted while a run is watched."""
    return min(num, MOST_VALUES // data.event_shape.numel()) if data.alphabet else num


def bits(logits: Tensor, true: Tensor) -> Tensor:
    """(num,) mean −log₂ softmax(logits) at the truth (num, length), from UNSEEN of it on.

    >>> bits(torch.zeros(1, 4, 8), torch.tensor([[0.0, 1.0, 2.0, 3.0]])).tolist()
    [3.0]
    """
    first = int(UNSEEN * true.shape[1])
    values = true[:, first:].long()
    entropies = F.cross_entropy(logits[:, first:].transpose(1, 2), values, reduction="none")
    return entropies.mean(1) / math.log(2)


def errors(predicted: Tensor, true: Tensor) -> Tensor:
    """(num,) error of each row: squared error, or bits of whole numbers."""
    if predicted.dim() == true.dim() + 1:
        return bits(predicted, true)
    return (predicted - true).square().flatten(1).mean(1)


def shares_of(logits: Tensor, values: Tensor) -> Tensor:
    """(num, length) shares that logits (num, length, num_values) give values (num, length)."""
    shares = logits.softmax(-1).gather(-1, values.long().unsqueeze(-1))
    return shares.squeeze(-1)


def as_positions(data: Data, x: Tensor) -> Tensor:
    """Events as a predictor takes them: as they are, or, of whole numbers, logits ±SURE."""
    if data.num_values is None:
        return x
    return SURE * (2 * F.one_hot(x.long(), data.num_values).float() - 1)


def wrong_answers(
    data: Data, x: Tensor, noise: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Answers (num, *event_shape) that are wrong beside the contexts of x, by the names in WRONG.

    `noise`: standard deviation of that on the truth, or, of whole numbers, the share drawn anew.
    """
    if data.num_values is None:
        draws = torch.randn((2, *x.shape), generator=generator, device=x.device)
        noisy, random = x + noise * draws[0], draws[1]
    else:
        fresh = data.noise(len(x), generator)
        anew = torch.rand(x.shape, generator=generator, device=x.device) < noise
        noisy, random = torch.where(anew, fresh, x), data.noise(len(x), generator)
    return {"noisy": noisy, "other": x.roll(1, 0), "random": random}


def baselines(data: Data, rows: Rows) -> dict[str, dict[str, float]]:
    """The figures of predictions that cost nothing to fit, by the names in TITLES."""
    if data.num_values is not None:
        counted = _counted(data, rows).items()
        by_count = {name: figures_of(data, logits, rows.x) for name, logits in counted}
        if data.entropy_rate is not None:
            by_count["entropy"] = {"bits": data.entropy_rate}
        return by_count
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


def _counted(data: Data, rows: Rows) -> dict[str, Tensor]:
    """Logits by counting the training values, and pairs of a value and that given beside it; one is
    added to each count."""
    num = int(data.num_values or 0)
    values = data.train.long().flatten()
    shares = (values.bincount(minlength=num).float() + 1).log()
    counted = {"frequencies": shares.expand(*rows.x.shape, num)}
    context = data.given.get("context")
    if context is not None and context.shape == data.train.shape:
        pairs = context.long().flatten() * num + values
        table = (pairs.bincount(minlength=num**2).float() + 1).log().reshape(num, num)
        counted["pairs"] = table[rows.given["context"].long()]
    return counted


def _flat(given: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([given[name].flatten(1).double() for name in sorted(given)], 1)
