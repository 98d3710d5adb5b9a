"""Mixtures of factorised laws over whole numbers, with their log-probabilities and draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FactorisedMixture(nn.Module):
    """q(x) = (1/C) Σ_k Π_i softmax(w_ki)[x_i], x of `sites` values 0..q-1."""

    def __init__(
        self, components: int, sites: int, num_values: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        shape = (components, sites, num_values)
        start = 0.1 * torch.randn(shape, generator=generator, device=generator.device)
        self.logits = nn.Parameter(start)

    def log_prob(self, x: Tensor, logits: Tensor | None = None) -> Tensor:
        """log q (num,) of x (num, sites), under other `logits` where they are given."""
        logits = self.logits if logits is None else logits
        components, _, num_values = logits.shape
        hot = nn.functional.one_hot(x.long(), num_values).to(logits)
        terms = hot.flatten(1) @ logits.log_softmax(-1).reshape(components, -1).T
        return terms.logsumexp(1) - math.log(components)

    @torch.no_grad()
    def draw(self, chosen: Tensor, gumbel: Tensor, logits: Tensor | None = None) -> Tensor:
        """x (num, sites) float32 of components (num,) and Gumbel noise (num, sites, q): the same
        noise makes draws of nearby weights alike."""
        logits = self.logits if logits is None else logits
        return (logits[chosen] + gumbel).argmax(-1).float()

    def noise(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Components (num,) and Gumbel noise (num, sites, q) for `draw`."""
        components, *shape = self.logits.shape
        device = self.logits.device
        chosen = torch.randint(components, (num,), generator=generator, device=device)
        uniform = torch.empty((num, *shape), device=device).exponential_(generator=generator)
        return chosen, -uniform.log()

    @torch.no_grad()
    def table(self) -> Tensor:
        """log q of every event, (q^sites,) float64 by state index."""
        logs = self.logits.double().log_softmax(-1)
        table = logs.new_zeros(len(logs), 1)
        for site in range(logs.shape[1]):
            table = (table[:, :, None] + logs[:, None, site]).flatten(1)
        return table.logsumexp(0) - math.log(len(logs))
