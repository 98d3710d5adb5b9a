"""Marginal method: one that knows log p of any part of an event, and fills the rest in any order.

A method with such networks derives from `MarginalMethod`, which draws, completes and refuses; the
abilities that ask for marginals ask the networks themselves.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from backend.method import Method, SampleRequest
from backend.networks.any_order import Filled, Marginals, fill_in, random_orders

NUM_AT_ONCE = 4096
"""Events that are drawn side by side."""


class WeighedDraws(NamedTuple):
    """Draws of the chain of conditionals, by what they say of log Z."""

    log_weights: Tensor
    """(num,): the mean of their exponentials estimates Z"""
    gaps: Tensor | None
    """(num,) f − M, log Z each for a perfect model; None without a target"""


class MarginalMethod(Method):
    """Base of methods whose networks know log p of any part of an event."""

    @abstractmethod
    def marginals(self) -> Marginals:
        """The trained (averaged) networks."""

    def completed(
        self,
        num: int,
        generator: torch.Generator,
        x: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Filled:
        """`num` events (num, sites), each in a random order of its own, and log q of its draws.

        x: (num, sites), of which `known` (sites,) bool is held; None draws all.
        """
        sites = self.task.data.event_shape.numel()
        device = self.task.data.train.device
        if x is None or known is None:
            x = torch.zeros((num, sites), device=device)
            known = torch.zeros(sites, dtype=torch.bool, device=device)
        most_unknown = int((~known).sum())
        parts = []
        for some in x.split(NUM_AT_ONCE):
            ranks = random_orders(len(some), sites, generator)
            held = known.expand(len(some), -1)
            parts.append(fill_in(self.marginals(), some, held, ranks, generator, most_unknown))
        return Filled(*(torch.cat(part) for part in zip(*parts, strict=True)))

    @abstractmethod
    def log_target(self, x: Tensor) -> Tensor | None:
        """f(x) (num,) of events (num, sites), where p ∝ exp f of a target is known; else None."""

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        for field, asked in (
            ("num_steps", request.num_steps is not None),
            ("sampler.kind", request.sampler is not None),
            ("start", request.start is not None),
        ):
            if asked:
                return field, "has no effect: every site is drawn once, by the conditionals."
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        known = mask = None
        if request.known is not None and request.mask is not None:
            known, mask = request.known.flatten(1), request.mask.flatten()
        drawn = self.completed(request.num, generator, known, mask).x
        return drawn.reshape(request.num, *self.task.data.event_shape)

    @torch.no_grad()
    def weighed_draws(self, num: int, generator: torch.Generator) -> WeighedDraws:
        """`num` draws, weighed towards the target, or towards exp M where none is known."""
        drawn = self.completed(num, generator)
        whole = torch.ones_like(drawn.x, dtype=torch.bool)
        marginal = self.marginals().log_marginal(drawn.x, whole)
        log_target = self.log_target(drawn.x)
        if log_target is None:
            return WeighedDraws(marginal - drawn.log_prob, None)
        return WeighedDraws(log_target - drawn.log_prob, log_target - marginal)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self.draw(SampleRequest(num), generator)
