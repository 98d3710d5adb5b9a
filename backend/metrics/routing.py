"""Routing between a small and a large classifier: who answers which input, and at what accuracy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SCORES = ("energy", "max_probability", "entropy", "margin")
"""Scores that send an input on, the highest first; all are of the small classifier alone."""
SLACK = 0.005
"""Accuracy given up against the large classifier where a threshold is chosen."""


def scores_of(log_probs: Tensor, energy: Tensor | None) -> dict[str, Tensor]:
    """Scores (num,) by name, higher where the small classifier is less sure; log_probs (num,
    num_labels), energy (num,) its −log Σ exp f, None where it has none."""
    probs = log_probs.exp()
    first, second = probs.topk(2, dim=1).values.unbind(1)
    scores = {} if energy is None else {"energy": energy}
    return scores | {
        "max_probability": -first,
        "entropy": -(probs * log_probs.clamp(min=-1e4)).sum(1),
        "margin": second - first,
    }


def accuracies(score: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Accuracy (num + 1,) where the 0, 1, ... num inputs of highest score go to the large
    classifier; `small` and `large` (num,) bool say where each is right."""
    order = score.argsort(descending=True, stable=True)
    gained = (large.double() - small.double())[order].cumsum(0)
    return (small.sum() + torch.cat([gained.new_zeros(1), gained])) / len(small)


def oracle_score(small: Tensor, large: Tensor) -> Tensor:
    """The score of who knows where each is right: the best that routing can do."""
    return large.double() - small.double()


def area(curve: Tensor) -> float:
    """Mean accuracy over all shares, by straight lines between points of `accuracies`."""
    return float(torch.trapezoid(curve, dx=1 / (len(curve) - 1)))


def share_needed(curve: Tensor, slack: float = SLACK) -> float:
    """The smallest share sent on from which on accuracy is never more than `slack` below that of
    the large one: one lucky dip below it does not count."""
    short = curve < curve[-1] - slack - 1e-12
    places = torch.arange(1, len(curve) + 1, device=curve.device)
    return int((short * places).amax()) / (len(curve) - 1)


class Routed(NamedTuple):
    """Share sent on, and accuracies of the pair and of the large classifier alone."""

    share: float
    accuracy: float
    large: float


def with_chosen_threshold(
    score: Tensor, small: Tensor, large: Tensor, slack: float = SLACK
) -> Routed:
    """Routing by thresholds that are chosen on one half of the inputs and judged on the other, both
    ways: no input has a say in its own threshold."""
    places = torch.arange(len(score), device=score.device)
    sent = torch.zeros_like(small)
    for half in (0, 1):
        here, there = places % 2 == half, places % 2 != half
        curve = accuracies(score[here], small[here], large[here])
        num = round(share_needed(curve, slack) * int(here.sum()))
        ordered = score[here].sort(descending=True).values
        threshold = ordered[num] if num < len(ordered) else ordered[-1] - 1
        sent[there] = score[there] > threshold
    right = torch.where(sent, large, small)
    means = (part.double().mean() for part in (sent, right, large))
    return Routed(*(float(mean) for mean in means))
