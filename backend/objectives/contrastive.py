"""The gradient of maximum likelihood, from data and samples of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from backend.energy import Energy


class Contrast(NamedTuple):
    """A loss to go down, and what it was made of; all 0-d."""

    loss: Tensor
    data: Tensor
    """mean energy of data"""
    model: Tensor
    """mean energy of samples"""
    largest: Tensor
    """largest |E|"""


def contrastive(
    energy: Energy,
    x_data: Tensor,
    x_model: Tensor,
    energy_l2: float,
    weights: Tensor | None = None,
) -> Contrast:
    """mean E(x_data) − mean E(x_model) + energy_l2 (mean E(x_data)² + mean E(x_model)²).

    With samples x_model of exp(−E), shape (num, *event_shape), each as often as `weights` (num,)
    that sum to 1 say, or all alike, the gradient of the first two terms is that of the mean
    negative log-likelihood. Their value is no measure of quality: it hovers about 0. The L2 term
    keeps energies of order one. Hinton 2002; Du & Mordatch 2019.
    """
    # one pass over both is quicker than two
    values = energy(torch.cat([x_data, x_model.detach()]))
    return _of_values(values, len(x_data), energy_l2, weights)


def _of_values(values: Tensor, num_data: int, energy_l2: float, weights: Tensor | None) -> Contrast:
    """The contrast of energies (batch,), those of data first."""
    on_data, on_model = values.split([num_data, len(values) - num_data])
    data = on_data.mean()
    model = on_model.mean() if weights is None else (weights * on_model).sum()
    loss = data - model
    if energy_l2:
        loss = loss + energy_l2 * (on_data.square().mean() + on_model.square().mean())
    return Contrast(loss, data.detach(), model.detach(), values.detach().abs().amax())


class WrittenOut(NamedTuple):
    """A contrast and the gradients of its loss."""

    contrast: Contrast
    gradients: list[Tensor]
    """one a parameter of the energy, in their order"""


@torch.no_grad()
def written_out(
    energy: Energy,
    x_data: Tensor,
    x_model: Tensor,
    energy_l2: float,
    weights: Tensor | None = None,
) -> WrittenOut | None:
    """`contrastive` with its gradients, of an energy that has its own written out (`pullback`);
    None for any other, which autograd serves."""
    known = energy.pullback(torch.cat([x_data, x_model]))
    if known is None:
        return None
    values, pulled_back = known
    contrast = _of_values(values, len(x_data), energy_l2, weights)
    slopes = 2 * energy_l2 * values
    on_data, on_model = slopes.split([len(x_data), len(x_model)])
    on_data.add_(1).div_(len(x_data))
    if weights is None:
        on_model.sub_(1).div_(len(x_model))
    else:
        on_model.div_(len(x_model)).sub_(weights)
    return WrittenOut(contrast, pulled_back(slopes))


def whole(parts: Sequence[tuple[float, Contrast]]) -> Contrast:
    """The contrast of a batch from (share, contrast) of its parts; its loss carries no graph."""

    if len(parts) == 1:
        (_, contrast), *_ = parts
        return contrast._replace(loss=contrast.loss.detach())

    def mean(values: list[Tensor]) -> Tensor:
        terms = zip(parts, values, strict=True)
        return torch.stack([share * value.detach() for (share, _), value in terms]).sum(0)

    contrasts = [contrast for _, contrast in parts]
    return Contrast(
        mean([contrast.loss for contrast in contrasts]),
        mean([contrast.data for contrast in contrasts]),
        mean([contrast.model for contrast in contrasts]),
        torch.stack([contrast.largest for contrast in contrasts]).amax(),
    )
