"""Balance of flow along trajectories: detailed, of the whole trajectory, and of all its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Balance = Literal["detailed_balance", "trajectory_balance", "subtrajectory_balance"]


class Flows(NamedTuple):
    """Flow and log-probabilities along trajectories s₀ → s₁ → …, padded to the longest.

    What lies beyond a trajectory's last step must be finite and does not count.
    """

    log_flow: Tensor
    """(steps + 1, num): log F of the states; log R of one where a trajectory has ended"""
    log_forward: Tensor
    """(steps, num): log P_F of the steps"""
    log_backward: Tensor
    """(steps, num): log P_B of the steps"""
    made: Tensor
    """(steps, num) bool: whether there is such a step; those of a trajectory come first"""


class Imbalance(NamedTuple):
    """Residuals in nats, 0 where flow balances, and their weights, which sum to 1."""

    residuals: Tensor
    weights: Tensor

    def loss(self) -> Tensor:
        """Σ weights · residuals², 0-d."""
        return (self.weights * self.residuals.square()).sum()


def detailed(flows: Flows) -> Imbalance:
    """log F(s) + log P_F(s′|s) − log F(s′) − log P_B(s|s′) of every step, (steps, num).

    Bengio et al. 2021.
    """
    log_flow, log_forward, log_backward, made = flows
    off = log_flow[:-1] + log_forward - log_flow[1:] - log_backward
    weights = made / made.sum().clamp(min=1)
    return Imbalance(torch.where(made, off, torch.zeros_like(off)), weights)


def whole(flows: Flows) -> Imbalance:
    """log F(s₀) + Σ log P_F − log F(s_n) − Σ log P_B, (num,), with F(s₀) = Z and F(s_n) = R where
    the trajectory is complete. Malkin et al. 2022."""
    ways, length = _ways(flows), flows.made.sum(0, keepdim=True)
    off = (flows.log_flow + ways).gather(0, length)[0]
    return Imbalance(flows.log_flow[0] - off, torch.full_like(off, 1 / len(off)))


def parts(flows: Flows, decay: float) -> Imbalance:
    """The same of every part s_i → … → s_j of a trajectory, (steps + 1, steps + 1, num), weighed
    by decay^(j − i), and every trajectory alike. Madan et al. 2023."""
    made = flows.made
    at = flows.log_flow + _ways(flows)
    length = made.sum(0)
    index = torch.arange(len(at), device=made.device)
    steps = index[None, :] - index[:, None]
    counts = (steps > 0)[:, :, None] & (index[None, :, None] <= length)
    weights = torch.where(counts, decay ** steps.clamp(min=0)[:, :, None].to(at.dtype), 0.0)
    weights = weights / weights.sum((0, 1)).clamp(min=torch.finfo(at.dtype).tiny)
    weights = weights / (length > 0).sum().clamp(min=1)
    off = at[:, None] - at[None, :]
    return Imbalance(torch.where(counts, off, torch.zeros_like(off)), weights)


def _ways(flows: Flows) -> Tensor:
    """Σ (log P_B − log P_F) of the steps before each state, (steps + 1, num)."""
    steps = flows.log_backward - flows.log_forward
    steps = torch.where(flows.made, steps, torch.zeros_like(steps)).cumsum(0)
    return torch.cat([torch.zeros_like(steps[:1]), steps])


def imbalance(flows: Flows, balance: Balance, decay: float) -> Imbalance:
    """Residuals of one of the three; `decay` is that of parts alone."""
    kinds: dict[Balance, Callable[[], Imbalance]] = {
        "detailed_balance": lambda: detailed(flows),
        "trajectory_balance": lambda: whole(flows),
        "subtrajectory_balance": lambda: parts(flows, decay),
    }
    return kinds[balance]()
