"""Sites on their own: the law of whole numbers that costs next to nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.data import Data

PRIOR = 1.0
"""Events added to the counts of every value, so that none is impossible (Laplace)."""


def site_log_probs(data: Data) -> Tensor:
    """log p of each value at each site (*event_shape, q) float64, by the training data's counts.

    Raises ValueError for data of real numbers.
    """
    if data.num_values is None:
        raise ValueError(f"{data.name} holds real numbers, which have no counts.")
    values = torch.arange(data.num_values, device=data.train.device, dtype=data.train.dtype)
    counts = torch.stack([(data.train == value).sum(0) for value in values], -1).double() + PRIOR
    return (counts / counts.sum(-1, keepdim=True)).log()


def independent_log_prob(table: Tensor, x: Tensor) -> Tensor:
    """log p (num,) float64 of x (num, *event_shape), each site by its row of `site_log_probs`.

    >>> table = torch.tensor([[0.25, 0.75]]).log()
    >>> [round(float(value), 3) for value in independent_log_prob(table, torch.ones(1, 1)).exp()]
    [0.75]
    """
    chosen = table.double().expand(len(x), *table.shape).gather(-1, x.long().unsqueeze(-1))
    return chosen.flatten(1).sum(1)
