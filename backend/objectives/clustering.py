"""Terms that make clusters of what has no labels: invariance, a prior, a constraint."""

from __future__ import annotations

import torch
from torch import Tensor


def invariance(logits: Tensor, logits_near: Tensor) -> Tensor:
    """Mean −Σ_k p_k log q_k, 0-d, of p = softmax of logits (batch, num_clusters) and q that of a
    copy of each event; 0 where both are sure of one cluster, and of the same.

    The gradient goes through both.
    """
    return -(logits.softmax(1) * logits_near.log_softmax(1)).sum(1).mean()


def prior(marginal: Tensor, target: Tensor) -> Tensor:
    """−Σ_k π_k log p̄_k, 0-d: of shares π and the mean probabilities p̄ of a batch, both
    (num_clusters,). Least, the entropy of π, where they are the same."""
    return -(target * marginal.clamp(min=torch.finfo(marginal.dtype).tiny).log()).sum()


def unsatisfied(log_probs: Tensor, allowed: Tensor) -> Tensor:
    """−log Σ over allowed symbols of Π_i p_i(symbol), (batch,): how improbable a constraint is.

    log_probs (batch, size, num_symbols) of the members of each group, taken as independent; allowed
    (num_allowed, size) int64. 0 where all mass is on allowed symbols. Manhaeve et al. 2018.
    """
    members = torch.arange(allowed.shape[1], device=allowed.device)
    return -log_probs[:, members, allowed].sum(2).logsumexp(1)


def ramp(progress: float, start: float, length: float) -> float:
    """0 up to `start`, 1 from `start` + `length` on, and a straight line between, all shares of
    the budget.

    >>> ramp(0.1, 0.25, 0.5), ramp(0.5, 0.25, 0.5), ramp(0.9, 0.25, 0.5), ramp(0.0, 0.0, 0.0)
    (0.0, 0.5, 1.0, 1.0)
    """
    if progress < start:
        return 0.0
    return min((progress - start) / length, 1.0) if length else 1.0
