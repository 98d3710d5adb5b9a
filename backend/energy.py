"""Energy: the unnormalised negative log-density every part of Basin speaks of.

One sign, once: p(x) ∝ exp(-E(x)/T), low energy is likely, T = 1 unless a field says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.errors import BadInput
from backend.gradient_use import differentiated

NO_LABEL = -1
"""The label of what is of no class in particular."""


class Condition(NamedTuple):
    """Condition of a network at each position; None leaves a part of it open."""

    level: Tensor | None = None
    """(batch,) or 0-d int64: the noise level, 0 the least"""
    label: Tensor | None = None
    """(batch,) or 0-d int64: the class, NO_LABEL for none"""
    context: Tensor | None = None
    """(batch, ...): what is known beside x, as `Data.given` has it under `context`"""


class Energy(nn.Module, ABC):
    """`energy(x, condition=None) -> (batch,)`, x of shape (batch, *event_shape)."""

    @abstractmethod
    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch,) in nats of positions x (batch, *event_shape)."""

    def closed_form(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """E(x) (batch,) and ∇E(x) by autograd's own operations, without it; None where they are not
        written out."""
        return None

    def pullback(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor]]] | None:
        """E(x) (batch,), and the function that makes of slopes (batch,) of a loss in them its
        gradients in the parameters, in their order; None where that is left to autograd."""
        return None

    def given(self, condition: Any) -> Energy:
        """The energy of x with a class, a noise level or a context bound to it."""
        return Bound(self, condition)

    @property
    def num_terms(self) -> int:
        """Data points that the energy is a sum over; 0 where it is no such sum."""
        return 0

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        """An energy of the same event whose gradient is an unbiased estimate of this one's.

        For sums over data, which have `num_terms` > 0: the prior and num_terms/size times the terms
        of `size` data points drawn from the generator.
        """
        raise NotImplementedError(f"{type(self).__name__} has no minibatches")


class Bound(Energy):
    """An energy with its condition fixed."""

    def __init__(self, energy: Energy, condition: Any) -> None:
        super().__init__()
        self.energy, self.condition = energy, condition

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(x, self.condition)

    @property
    def num_terms(self) -> int:
        return self.energy.num_terms

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        return Bound(self.energy.minibatch(size, generator), self.condition)


class InUnits(Energy):
    """An energy of standardised z = (x - mean) / scale, read as an energy of x."""

    mean: Tensor
    scale: Tensor

    def __init__(self, energy: Energy, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.energy = energy
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        z = (x - self.mean) / self.scale
        # float64 serves the offset alone: networks take 32 bits
        return self.energy(z.float() if self.mean.dtype == torch.float64 else z, condition)

    @property
    def num_terms(self) -> int:
        return self.energy.num_terms

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        return InUnits(self.energy.minibatch(size, generator), self.mean, self.scale)


def check_minibatch(energy: Energy, size: int, field: str = "config.sampler.batch_size") -> None:
    """Raises BadInput at `field` where an energy offers no minibatches of that size; 0 is none."""
    if size and not energy.num_terms:
        raise BadInput.at(
            field,
            f"must be 0 for an energy that is not a sum over data, got {size}; 0 takes exact "
            "gradients.",
        )
    if size > energy.num_terms:
        raise BadInput.at(field, f"must be at most {energy.num_terms}, the data, got {size}.")


def energy_and_gradient(energy: Energy, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) (batch,) and ∇E(x), shaped like x; neither carries a graph.

    The gradient of the batch sum in x alone: parameters get no gradient and pay for none. Positions
    that are not finite are as `where_finite` says.
    """
    with torch.no_grad():
        known = energy.closed_form(x)
    if known is not None:
        return known
    with torch.enable_grad(), differentiated("positions"):
        x = x.detach().requires_grad_(True)
        value = where_finite(energy, x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def where_finite(energy: Energy, x: Tensor) -> Tensor:
    """E(x) (batch,) of an energy that may raise at positions that are not finite.

    Where it does it is asked at the finite ones alone, and the others have infinite energy and no
    gradient, so that kernels with a Metropolis test reject what ran away. Costs nothing, and copies
    nothing to the host, as long as nothing is raised. What it raises at finite positions goes on.
    """
    try:
        return energy(x)
    except Exception:
        finite = x.detach().flatten(1).isfinite().all(1)
        if finite.all():
            raise
    # a zero that hangs on x, so that there is a gradient to take
    zero = 0.0 * x.nan_to_num(0.0, 0.0, 0.0).flatten(1).sum(1)
    value = torch.where(finite, zero, torch.inf)
    if not finite.any():
        return value
    return value.index_put((finite,), energy(x[finite]).to(value.dtype))


def drawn_inside(
    energy: Energy,
    draw: Callable[[int, torch.Generator], Tensor],
    num: int,
    generator: torch.Generator,
    tries: int = 1000,
) -> tuple[Tensor, int]:
    """`num` draws (num, *event_shape) inside the support, and the number that still are not.

    `draw(num, generator)` is asked anew for those whose energy is not finite, `tries` times at most
    in all; where all are inside, once. Copies to the host.
    """
    x = draw(num, generator)
    outside = torch.arange(num, device=x.device)
    fresh = x
    for _ in range(tries):
        with torch.no_grad():
            outside = outside[~where_finite(energy, fresh).isfinite()]
        if not len(outside):
            break
        fresh = draw(len(outside), generator)
        x = x.index_copy(0, outside, fresh)
    return x, len(outside)
