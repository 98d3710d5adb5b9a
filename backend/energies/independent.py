"""Independent sites: the simplest law of whole numbers, and paths from it to any other."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy


class IndependentSites(DiscreteEnergy):
    """E(x) = −Σ_i log p_i(x_i), normalised; log_probs (*event_shape, q) of each site's values."""

    multilinear: ClassVar[bool] = True
    log_probs: Tensor

    def __init__(self, log_probs: Tensor) -> None:
        super().__init__()
        self.event_shape, self.num_values = log_probs.shape[:-1], log_probs.shape[-1]
        self.register_buffer("log_probs", log_probs.float())

    def value(self, one_hot: Tensor) -> Tensor:
        return -(one_hot * self.log_probs.to(one_hot.dtype)).flatten(1).sum(1)

    def blocks(self) -> list[Tensor]:
        """All sites at once."""
        return [torch.ones(self.event_shape, dtype=torch.bool, device=self.log_probs.device)]

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) (num,) of x (num, *event_shape)."""
        return -self(x)

    def sample(self, num: int, generator: torch.Generator) -> Tensor:
        """Exact independent draws (num, *event_shape) float32."""
        probabilities = self.log_probs.exp().flatten(0, -2)
        drawn = torch.multinomial(probabilities, num, replacement=True, generator=generator)
        return drawn.T.reshape(num, *self.event_shape).float()


class Blend(DiscreteEnergy):
    """(1 − β) (−log q) + β E/T, of independent sites q: the law at β of a path from q to E."""

    def __init__(
        self, base: IndependentSites, energy: DiscreteEnergy, beta: float, temperature: float
    ) -> None:
        super().__init__()
        self.event_shape, self.num_values = energy.event_shape, energy.num_values
        self.base, self.energy, self.beta, self.temperature = base, energy, beta, temperature

    @property
    def multilinear(self) -> bool:  # type: ignore[override]
        return self.energy.multilinear

    def blocks(self) -> list[Tensor]:
        """Those of E: independent sites tie nothing to anything."""
        return self.energy.blocks()

    def value(self, one_hot: Tensor) -> Tensor:
        share = self.beta / self.temperature
        return (1 - self.beta) * self.base.relaxed(one_hot) + share * self.energy.relaxed(one_hot)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        share = self.beta / self.temperature
        return (1 - self.beta) * self.base(x) + share * self.energy(x)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.energy.value_and_gradient(x)
        share, of_base = self.beta / self.temperature, 1 - self.beta
        slope = -self.base.log_probs.to(gradient)
        return share * value + of_base * self.base(x), share * gradient + of_base * slope
