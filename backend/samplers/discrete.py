"""Parts that the kernels of discrete events share."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from backend.energies.discrete import DiscreteEnergy, flags, one_hot
from backend.energy import Energy
from backend.sampler import Info, Sampler, State, per_chain


class DiscreteSampler(Sampler, ABC):
    """Base of the kernels of events of whole numbers 0..q-1, positions being float tensors.

    A state's gradient is that of the relaxed energy in one-hot positions, (chains, *event_shape,
    q).
    """

    discrete: ClassVar[bool] = True
    moves_units: ClassVar[bool] = False
    """True where it walks events that all have the same sum, which changing one site leaves"""

    @classmethod
    def fits(cls, energy: Energy) -> str:
        reason = super().fits(energy)
        if not reason and not isinstance(energy, DiscreteEnergy):
            return "needs the energy between whole numbers, and this one has no `relaxed`."
        if not reason and discrete(energy).total is not None and not cls.moves_units:
            return (
                "changes values one by one, and the values of every event here have the same sum: "
                "it would never move. Choose `discrete_metropolis`, which then moves units."
            )
        return reason

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        position = position.detach()
        return State(position, *discrete(energy).value_and_gradient(position))


class Outcome(NamedTuple):
    """A step's tests, before they are told."""

    state: State
    rate: Tensor
    accepted: Tensor
    proposal: Tensor


def discrete(energy: Energy) -> DiscreteEnergy:
    """The energy as one of discrete events. Raises TypeError when it is none."""
    if not isinstance(energy, DiscreteEnergy):
        raise TypeError(f"{type(energy).__name__} is no energy of discrete events.")
    return energy


def told(before: State, outcome: Outcome, evaluations: int) -> tuple[State, Info]:
    """Record of a step. Its figure `sites_changed` is the mean over chains."""
    state = outcome.state._replace(extra=before.extra)
    changed = flags(torch.ne, state.position, before.position)
    figures = {"sites_changed": changed.sum() / len(changed)}
    info = Info(outcome.rate, outcome.accepted, outcome.proposal, evaluations, figures)
    return state, info


def always(energy: DiscreteEnergy, y: Tensor) -> Outcome:
    """The outcome of moving to y (chains, *event_shape) without a test."""
    state = State(y, *energy.value_and_gradient(y))
    rate = torch.ones_like(state.energy)
    return Outcome(state, rate, torch.ones_like(rate, dtype=torch.bool), y)


def metropolis(state: State, proposed: State, log_rate: Tensor, uniform: Tensor) -> Outcome:
    """Take each chain's proposal with probability min(1, exp(log_rate)), all (chains,).

    A rate that is not a number counts as 0.
    """
    rate = log_rate.clamp(max=0).exp().nan_to_num(0.0)
    accepted = uniform < rate
    is_new = per_chain(accepted, state.position).to(state.position.dtype)
    chosen = State(
        # where(accepted, ...), which takes four times as long; positions are finite
        torch.lerp(state.position, proposed.position, is_new),
        torch.where(accepted, proposed.energy, state.energy),
        torch.where(per_chain(accepted, state.gradient), proposed.gradient, state.gradient),
    )
    return Outcome(chosen, rate, accepted, proposed.position)


def rises(x: Tensor, gradient: Tensor) -> Tensor:
    """First-order change of the energy (chains, sites, q) when one site takes each value.

    Zero for the value it has. Exact for an energy that is multilinear.
    """
    flat = gradient.flatten(1, -2)
    return flat - flat.gather(2, x.flatten(1).long().unsqueeze(2))


def rises_elsewhere(x: Tensor, gradient: Tensor) -> Tensor:
    """Changes as of `rises`, of the values that a site has not: at k of (chains, sites, q - 1) the
    value x + 1 + k, modulo q."""
    flat, own = gradient.flatten(1, -2), x.flatten(1)
    num = flat.shape[2]
    if num == 2:
        return (1 - 2 * own).mul_(flat[..., 1] - flat[..., 0]).unsqueeze(2)
    own = own.long().unsqueeze(2)
    other = (own + torch.arange(1, num, device=x.device)) % num
    return flat.gather(2, other) - flat.gather(2, own)


def held(x: Tensor, like: Tensor) -> Tensor:
    """True at the value that each site has, (chains, sites, q)."""
    return one_hot(x.flatten(1), like.shape[2]).bool()


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform variables in [0, 1)."""
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def drawn(logits: Tensor, uniform: Tensor) -> Tensor:
    """An index of the last axis drawn with probability ∝ exp(logits), in the dtype of logits.

    uniform in [0, 1), shaped like logits without that axis: one number a draw, as random numbers
    are what takes the time.
    """
    num = logits.shape[-1]
    if num == 2:
        return flags(torch.lt, uniform, (logits[..., 1] - logits[..., 0]).sigmoid_())
    # no softmax, which takes ten times as long over a short axis
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    cumulative = weights.cumsum(-1, dtype=torch.float64)
    place = (uniform.double() * cumulative[..., -1]).unsqueeze(-1)
    index = torch.searchsorted(cumulative, place, right=True).squeeze(-1)
    return index.clamp_(max=num - 1).to(logits.dtype)
