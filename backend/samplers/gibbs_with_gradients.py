"""Gibbs with gradients: the site worth changing, guessed from one gradient."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig
from backend.energies.discrete import put
from backend.energy import Energy
from backend.sampler import Info, State, temperature_option
from backend.samplers.discrete import (
    DiscreteSampler,
    Outcome,
    discrete,
    drawn,
    metropolis,
    rises_elsewhere,
    told,
    uniform,
)


class GibbsWithGradientsConfig(KindConfig):
    kind: Literal["gibbs_with_gradients"] = "gibbs_with_gradients"
    title: ClassVar[str] = "Gibbs with gradients"
    summary: ClassVar[str] = "Changes the one site that the gradient favours: exact."

    temperature: float = temperature_option()


class GibbsWithGradients(DiscreteSampler):
    """Site i takes value v, (i, v) ~ softmax(d/2), then Metropolis.

    d_iv = -(∂E/∂o_iv - ∂E/∂o_ix_i)/T with one-hot positions o; the value a site has is not
    proposed. The proposal y is taken with probability min(1, e^{(E(x)-E(y))/T} q(x|y)/q(y|x)). One
    gradient a step. Grathwohl et al. 2021.
    """

    Config: ClassVar[type[KindConfig]] = GibbsWithGradientsConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Grathwohl et al. 2021"
    config: GibbsWithGradientsConfig

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        draw, chance = uniform((2, len(state.position)), state.energy, generator)
        outcome = self.fused(_stepped, energy, *state[:3], draw, chance, self.temperature)
        return told(state, outcome, 1)


def _stepped(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    draw: Tensor,
    chance: Tensor,
    temperature: float,
) -> Outcome:
    num_values = gradient.shape[-1]
    forth = _log_proposals(x, gradient, temperature)
    pair = drawn(forth, draw).long()
    site, shift = pair // (num_values - 1), pair % (num_values - 1)
    old = _at(x.flatten(1), site).long()
    y = put(x, site, (old + shift + 1) % num_values)
    proposed = State(y, *discrete(energy).value_and_gradient(y))
    back = _log_proposals(y, proposed.gradient, temperature)
    # going back shifts by what is left of a whole turn
    pair_back = site * (num_values - 1) + num_values - 2 - shift
    log_rate = (value - proposed.energy) / temperature + _at(back, pair_back) - _at(forth, pair)
    return metropolis(State(x, value, gradient), proposed, log_rate, chance)


def _log_proposals(x: Tensor, gradient: Tensor, temperature: float) -> Tensor:
    """log q of every (site, shift), (chains, sites · (q - 1))."""
    logits = rises_elsewhere(x, gradient).mul_(-0.5 / temperature)
    return logits.flatten(1).log_softmax(1)


def _at(table: Tensor, index: Tensor) -> Tensor:
    return table.gather(1, index[:, None]).squeeze(1)
