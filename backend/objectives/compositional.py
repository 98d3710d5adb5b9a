"""The negative log-likelihood with its normaliser under the logarithm, by importance weights."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Composition(NamedTuple):
    """A loss whose gradient is that of the likelihood, and what it was made of; all 0-d."""

    surrogate: Tensor
    """to differentiate; its value means nothing"""
    likelihood: Tensor
    """E_data[E] + log u, nats: the estimate of the mean −log p"""
    log_u: Tensor
    """the moving average after this batch"""


def compositional_likelihood(
    energy_data: Tensor, energy_noise: Tensor, log_q: Tensor, log_u: Tensor, gamma: float
) -> Composition:
    """E_data[E] + log E_q[exp(−E)/q] with the inner mean kept as a moving average u.

    u ← (1 − γ) u + γ mean_j w_j, w_j = exp(−E(z_j)) / q(z_j), in logarithms. The gradient is
    mean ∇E(x_i) − mean_j (w_j / u) ∇E(z_j): no ratio of two means of one batch, whose bias the
    average takes away; what is left is the lag of u behind the weights. energy_data (num,);
    energy_noise and log_q (num_noise,) of z ~ q. Jiang et al. 2023.
    """
    log_weights = (-energy_noise - log_q).detach()
    rest = log_u + math.log1p(-gamma) if gamma < 1 else torch.full_like(log_u, -torch.inf)
    log_u = torch.logaddexp(rest, log_mean_exp(log_weights) + math.log(gamma))
    shares = (log_weights - log_u).exp()
    data = energy_data.mean()
    surrogate = data - (shares * energy_noise).mean()
    return Composition(surrogate, data.detach() + log_u, log_u)


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """log of the mean of exp(log_weights (num,)), 0-d."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def effective_share(log_weights: Tensor) -> Tensor:
    """(Σw)² / Σw² over the number of weights (num,), 0-d: 1 where all weigh the same.

    >>> round(float(effective_share(torch.tensor([0.0, 0.0, -100.0, -100.0]))), 3)
    0.5
    """
    log_share = 2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)
    return log_share.exp() / len(log_weights)
