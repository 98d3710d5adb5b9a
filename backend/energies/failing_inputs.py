"""The distance to inputs that fail, read as an energy."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, one_hot


class FailingInputs(DiscreteEnergy):
    """E(x) = steepness · min_k Σ_i [x_i ≠ f_ki]: the Hamming distance to the nearest failing f_k.

    failing: (num, sites) of the values 0..q-1.

    >>> energy = FailingInputs(torch.tensor([[0, 1], [2, 2]]), 3, 1.5)
    >>> energy(torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]])).tolist()
    [0.0, 1.5, 3.0]
    """

    is_value: Tensor

    def __init__(self, failing: Tensor, num_values: int, steepness: float) -> None:
        super().__init__()
        self.num_values, self.event_shape = num_values, failing.shape[1:]
        self.steepness = steepness
        self.register_buffer("is_value", one_hot(failing.float(), num_values))

    def value(self, one_hot: Tensor) -> Tensor:
        agreeing = torch.einsum("bsq,ksq->bk", one_hot, self.is_value.to(one_hot))
        return self.steepness * (self.num_sites - agreeing.amax(1))
