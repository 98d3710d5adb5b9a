"""Events whose sites become known in any order: the law of such chains, and draws of them.

Parts of events are values x (batch, sites) of which those where `known` (batch, sites) count. An
order is the rank (batch, sites) int64 at which each site becomes known.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Marginals(Protocol):
    """Log-marginals of parts, and the laws of the sites that a part leaves open."""

    num_values: int
    sites: int

    def log_marginal(self, x: Tensor, known: Tensor) -> Tensor:
        """(batch,) log p of the known part."""

    def log_conditionals(self, x: Tensor, known: Tensor) -> Tensor:
        """(batch, sites, q) log p of each value at each site given the known part."""


def random_orders(
    num: int, sites: int, generator: torch.Generator, device: torch.device | None = None
) -> Tensor:
    """Ranks (num, sites) int64 of orders drawn uniformly, on the device, else the generator's."""
    keys = torch.rand((num, sites), generator=generator, device=device or generator.device)
    return keys.argsort(1).argsort(1)


def value_log_probs(log_conditionals: Tensor, x: Tensor) -> Tensor:
    """(batch, sites): the log-probabilities (batch, sites, q) of the values x (batch, sites)."""
    return log_conditionals.gather(2, x.long()[..., None]).squeeze(2)


class Filled(NamedTuple):
    """Events completed one site at a time."""

    x: Tensor
    """(batch, sites)"""
    log_prob: Tensor
    """(batch,): log q of what was drawn given what was known"""


@torch.no_grad()
def fill_in(
    model: Marginals,
    x: Tensor,
    known: Tensor,
    ranks: Tensor,
    generator: torch.Generator,
    most_unknown: int,
) -> Filled:
    """Draw the unknown sites of x (batch, sites) from the conditionals, by rising rank.

    most_unknown: sites that the row with the most of them has open, each a pass. Values where
    nothing is known do not matter.
    """
    ranks = ranks.masked_fill(known, -1).argsort(1).argsort(1)
    num_known = known.sum(1)
    log_prob = torch.zeros(len(x), device=x.device)
    for step in range(most_unknown):
        place = num_known + step
        open_ = place < x.shape[1]
        site = (ranks == place.clamp(max=x.shape[1] - 1)[:, None]).long().argmax(1)[:, None]
        logs = model.log_conditionals(x, known)
        logs = logs.gather(1, site[..., None].expand(-1, -1, model.num_values)).squeeze(1)
        # a race of exponentials, as `torch.multinomial` draws
        race = torch.empty_like(logs).exponential_(generator=generator)
        value = (logs - race.log()).argmax(1, keepdim=True)
        log_prob = log_prob + logs.gather(1, value).squeeze(1).masked_fill(~open_, 0.0)
        drawn = torch.where(open_[:, None], value.to(x.dtype), x.gather(1, site))
        x = x.scatter(1, site, drawn)
        known = known.scatter(1, site, True)
    return Filled(x, log_prob)


def redraw(model: Marginals, x: Tensor, num_sites: int, generator: torch.Generator) -> Tensor:
    """Events x (batch, sites) with the last `num_sites` of a random order erased and drawn anew:
    a block Gibbs move that leaves the law of consistent conditionals in place."""
    sites = x.shape[1]
    ranks = random_orders(len(x), sites, generator, x.device)
    return fill_in(model, x, ranks < sites - num_sites, ranks, generator, num_sites).x


def chain_log_prob(
    model: Marginals, x: Tensor, known: Tensor, ranks: Tensor, num_at_once: int = 16_384
) -> Tensor:
    """(batch,) log p of the known part of x (batch, sites) by the chain of conditionals, its sites
    taken by rising rank: one row for each prefix, `num_at_once` rows in a pass."""
    order = ranks.masked_fill(~known, x.shape[1]).argsort(1)
    num_known = known.sum(1)
    total = torch.zeros(len(x), device=x.device)
    row = torch.repeat_interleave(torch.arange(len(x), device=x.device), num_known)
    first = num_known.cumsum(0) - num_known
    place = torch.arange(len(row), device=x.device) - first[row]
    position = order.argsort(1)
    for rows, places in zip(row.split(num_at_once), place.split(num_at_once), strict=True):
        before = position[rows] < places[:, None]
        logs = model.log_conditionals(x[rows], before)
        site = order[rows, places]
        chosen = logs[torch.arange(len(rows), device=x.device), site, x[rows, site].long()]
        total = total.index_add(0, rows, chosen)
    return total
