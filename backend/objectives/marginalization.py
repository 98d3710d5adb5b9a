"""Objectives of marginalization models: self-consistency, any-order likelihood and reverse KL.

Parts of events are values x (batch, sites) of which those where `known` (batch, sites) count. An
order is the rank (batch, sites) int64 at which each site becomes known. Liu et al. 2024.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from backend.networks.any_order import Marginals, random_orders, value_log_probs


class Steps(NamedTuple):
    """One step of each row from a part to the part with one more site."""

    before: Tensor
    """(batch, sites) bool: what is known before it"""
    after: Tensor
    """(batch, sites) bool"""
    site: Tensor
    """(batch,) int64"""


def random_steps(
    num: int, sites: int, generator: torch.Generator, device: torch.device | None = None
) -> Steps:
    """Steps of random orders at places drawn uniformly, on the device, else the generator's."""
    ranks = random_orders(num, sites, generator, device)
    place = torch.randint(sites, (num, 1), generator=generator, device=ranks.device)
    before, after = ranks < place, ranks <= place
    return Steps(before, after, (ranks == place).long().argmax(1))


class Consistency(NamedTuple):
    """Marginals of events, and how far those of their parts disagree with the conditionals."""

    log_marginal: Tensor
    """(batch,): of whole events"""
    errors: Tensor
    """(batch,) nats: M(x_<d) + log C(x_<d)[d, x_d] − M(x_≤d)"""
    of_nothing: Tensor
    """0-d: M of the empty part, 0 for a normalised model"""


def consistency(model: Marginals, x: Tensor, steps: Steps) -> Consistency:
    """Self-consistency of events x (batch, sites) at one step of each."""
    whole, nothing = torch.ones_like(steps.before), torch.zeros_like(steps.before[:1])
    parts = torch.cat([whole, steps.before, steps.after, nothing])
    values = torch.cat([x, x, x, x[:1]])
    marginals = model.log_marginal(values, parts)
    of_whole, before, after, of_nothing = marginals.split([len(x)] * 3 + [1])
    conditionals = value_log_probs(model.log_conditionals(x, steps.before), x)
    step = conditionals.gather(1, steps.site[:, None]).squeeze(1)
    return Consistency(of_whole, before + step - after, of_nothing.squeeze(0))


def consistency_loss(terms: Consistency, sites: int) -> Tensor:
    """D E[(M(x_<d) + log C − M(x_≤d))²] + M(nothing)², 0-d."""
    return sites * terms.errors.square().mean() + terms.of_nothing.square()


def any_order_loss(model: Marginals, x: Tensor, generator: torch.Generator) -> Tensor:
    """Negative any-order log-likelihood of events x (batch, sites), 0-d, in nats, on average over
    orders.

    Each row has a random part of t sites known, t uniform in 0..D − 1; D times the mean of −log C
    over its unknown sites estimates the whole chain. Uria et al. 2014; Hoogeboom et al. 2022.
    """
    num, sites = x.shape
    ranks = random_orders(num, sites, generator, x.device)
    num_known = torch.randint(sites, (num, 1), generator=generator, device=x.device)
    known = ranks < num_known
    log_probs = value_log_probs(model.log_conditionals(x, known), x).masked_fill(known, 0.0)
    return -(sites / (sites - num_known[:, 0]) * log_probs.sum(1)).mean()


LEAST_SPREAD = 0.1
"""Standard deviation in nats below which rewards are scaled no further up."""


def reverse_kl_surrogate(
    log_marginal: Tensor, log_target: Tensor, least_spread: float = LEAST_SPREAD
) -> Tensor:
    """0-d surrogate whose gradient, over events drawn from q, is on average ∇KL(q ‖ p) / scale.

    log_marginal: (batch,) log q with its graph; log_target: (batch,) f, up to a constant.
    REINFORCE, ∇KL = E[(log q − f) ∇ log q], with the mean of the batch as its baseline. The scale
    is the standard deviation of the rewards, at least `least_spread`, so that energies of any scale
    go with one learning rate.
    """
    reward = log_marginal.detach() - log_target
    reward = reward - reward.mean()
    scale = reward.std(correction=0).clamp(min=least_spread)
    # the batch's own mean takes 1 / num of the gradient with it
    return (reward / scale * log_marginal).sum() / max(len(reward) - 1, 1)


def regression_loss(log_marginal: Tensor, log_target: Tensor, log_z: Tensor) -> Tensor:
    """Mean (log q + log Z − f)², 0-d, of events of any law. Flow matching, Liu et al. 2024."""
    return (log_marginal + log_z - log_target).square().mean()
