"""Time that a marginal takes by one pass, and by the chain of conditionals it replaces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from backend.networks.any_order import Marginals, chain_log_prob

NUM_TIMED = 15
"""Answers of each kind that are timed; the fastest counts, as others waited for their turn."""
NUM_CHAINS_TIMED = 7


class Milliseconds(NamedTuple):
    """Times of one answer, each the fastest of several."""

    one_pass: float
    """by M"""
    one_batch: float
    """by the chain, a row for each prefix"""
    one_by_one: float
    """by the chain, a pass for each known place"""


@torch.no_grad()
def timed(model: Marginals, x: Tensor, known: Tensor, ranks: Tensor) -> Milliseconds:
    """Time of log p of the known part of one event x (1, sites) in each way, in milliseconds."""
    return Milliseconds(
        _fastest(lambda: model.log_marginal(x, known), NUM_TIMED),
        _fastest(lambda: chain_log_prob(model, x, known, ranks), NUM_TIMED),
        _fastest(lambda: one_by_one(model, x, known, ranks), NUM_CHAINS_TIMED),
    )


def one_by_one(model: Marginals, x: Tensor, known: Tensor, ranks: Tensor) -> Tensor:
    """(1,) log p of the known part of one event x (1, sites), a pass for each known place."""
    before = torch.zeros_like(known)
    total = torch.zeros(1, device=x.device)
    for site in ranks.masked_fill(~known, x.shape[1]).argsort(1)[0, : int(known.sum())]:
        total = total + model.log_conditionals(x, before)[:, site, x[0, site].long()]
        before = before.clone()
        before[0, site] = True
    return total


def _fastest(ask: Callable[[], Tensor], times: int) -> float:
    float(ask())  # the first one pays for what the others find ready
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        float(ask())
        spent.append(1e3 * (time.perf_counter() - begin))
    return min(spent)
