"""Restricted Boltzmann machine over its visible bits."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from backend.energies.discrete import (
    CHUNK,
    MOST_STATES,
    DiscreteEnergy,
    Enumeration,
    Law,
    flags,
    of_bits,
    states_at,
)
from backend.energies.independent import IndependentSites


class RBM(DiscreteEnergy):
    """E(v) = -a·v - Σ_j softplus(c_j + (v W)_j), v in {0, 1}: the hidden bits are summed out.

    weights W (visible, hidden), visible_bias a (visible,), hidden_bias c (hidden,); events may
    have any shape of as many sites. Float32 weights are held as they are, so that an RBM made of
    a network's weights follows its training. Smolensky 1986; Hinton 2002.
    """

    weights: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor

    def __init__(
        self,
        weights: Tensor,
        visible_bias: Tensor,
        hidden_bias: Tensor,
        event_shape: torch.Size | None = None,
    ) -> None:
        super().__init__()
        self.num_values, self.event_shape = 2, event_shape or torch.Size([len(weights)])
        self.num_hidden = weights.shape[1]
        self.register_buffer("weights", weights.float())
        self.register_buffer("visible_bias", visible_bias.float())
        self.register_buffer("hidden_bias", hidden_bias.float())

    def value(self, one_hot: Tensor) -> Tensor:
        return self._of_bits(one_hot[..., 1])

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self._of_bits(x) + self.offset

    def _of_bits(self, v: Tensor) -> Tensor:
        return self.at_temperature(v, 1.0)

    def at_temperature(self, v: Tensor, temperature: float) -> Tensor:
        """-T log Σ_h exp(-E(v, h)/T), (batch,), of the joint energy of bits v and h."""
        inputs = self.hidden_input(v) / temperature
        of_visible = v.flatten(1) @ self.visible_bias.to(v.dtype)
        return -of_visible - temperature * softplus(inputs).sum(1)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """By the chain rule written out: the gradient is 0 where a bit is 0, −a − W σ(c + v W)
        where it is 1."""
        inputs = self.hidden_input(x)
        slope = -self.visible_input(inputs.sigmoid()).reshape(x.shape)
        of_visible = x.flatten(1) @ self.visible_bias.to(x.dtype)
        value = self.offset - of_visible - softplus(inputs).sum(1)
        return value, of_bits(slope)

    def hidden_input(self, v: Tensor) -> Tensor:
        """c + v W, (batch, hidden)."""
        weights, bias = self.weights.to(v.dtype), self.hidden_bias.to(v.dtype)
        return torch.addmm(bias, v.flatten(1), weights)

    def visible_input(self, h: Tensor) -> Tensor:
        """a + W h, (batch, visible)."""
        return torch.addmm(self.visible_bias.to(h.dtype), h, self.weights.to(h.dtype).T)

    def hidden_pass(
        self, v: Tensor, of_hidden: Tensor, of_visible: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Visible bits after h | v and v | h at temperature T, and the log of their rate (batch,).

        v (batch, *event_shape); of_hidden (batch, hidden) and of_visible (batch, visible) are
        uniform in [0, 1). The pass is
        reversible for `at_temperature`, which is E itself at T = 1 and then has rate 1; at other T
        a Metropolis test with this rate makes it exact for exp(-E(v)/T).
        """

        def bits(uniform: Tensor, inputs: Tensor) -> Tensor:
            inputs = inputs if temperature == 1 else inputs / temperature
            return flags(torch.lt, uniform, inputs.sigmoid())

        h = bits(of_hidden, self.hidden_input(v))
        y = bits(of_visible, self.visible_input(h)).reshape(v.shape)
        if temperature == 1:
            return y, v.new_zeros(len(v))
        gap_y = self.at_temperature(y, temperature) - self._of_bits(y)
        gap_v = self.at_temperature(v, temperature) - self._of_bits(v)
        return y, (gap_y - gap_v) / temperature

    def towards(self, base: IndependentSites, beta: float, temperature: float) -> DiscreteEnergy:
        """At T = 1 an RBM for every β: β W and β c, with a between the base's and its own. The bits
        that the base has no use for are then free, and their log 2 each is in the offset."""
        if temperature != 1:
            return super().towards(base, beta, temperature)
        off, on = base.log_probs.to(self.weights).flatten(0, -2).unbind(1)
        path = RBM(
            beta * self.weights,
            (1 - beta) * (on - off) + beta * self.visible_bias,
            beta * self.hidden_bias,
            self.event_shape,
        )
        of_base = self.num_hidden * math.log(2) - float(off.sum())
        path.offset = (1 - beta) * of_base + beta * self.offset
        return path

    def law(self) -> Law | None:
        """By all visible states where they are few, else by all hidden ones."""
        if 2**self.num_sites <= MOST_STATES:
            return Enumeration(self)
        return HiddenEnumeration(self) if self.num_hidden <= 20 else None


class HiddenEnumeration(Law):
    """The law of an RBM of few hidden bits: a mixture, one part for each hidden state.

    The part of h has weight ∝ exp(c·h + Σ_i softplus(a_i + (W h)_i)) and independent visible bits,
    1 with probability sigmoid(a_i + (W h)_i).
    """

    source = "enumeration of the hidden states"

    def __init__(self, rbm: RBM) -> None:
        rbm = copy.deepcopy(rbm).cpu()
        self.rbm, self.num_hidden = rbm, rbm.num_hidden
        bias = rbm.hidden_bias.double()
        chunks = torch.arange(2**rbm.num_hidden).split(CHUNK)
        log_weights = torch.cat(
            [h @ bias + softplus(rbm.visible_input(h)).sum(1) for h in map(self._bits, chunks)]
        )
        total = log_weights.logsumexp(0)
        self.log_z = float(total) - rbm.offset
        weights = (log_weights - total).exp()
        self.cumulative = weights.cumsum(0)
        self.mean = sum(
            (
                part @ rbm.visible_input(self._bits(index)).sigmoid()
                for part, index in zip(weights.split(CHUNK), chunks, strict=True)
            ),
            torch.zeros(()),
        )
        self.mean = self.mean.reshape(rbm.event_shape)
        self.variance = self.mean * (1 - self.mean)

    def _bits(self, index: Tensor) -> Tensor:
        return states_at(index, (self.num_hidden,), 2).double()

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        hidden = self._bits(self._indices(num, generator))
        device = generator.device
        weights, bias = self.rbm.weights.to(device), self.rbm.visible_bias.to(device)
        chance = (hidden @ weights.double().T + bias.double()).sigmoid()
        uniform = torch.rand(chance.shape, generator=generator, device=device, dtype=torch.float64)
        return (uniform < chance).float().reshape(num, *self.rbm.event_shape)
