"""Optimal transport between two batches, on the device: entropic plans and partners from them."""

from __future__ import annotations

import torch
from torch import Tensor

NUM_ROUNDS = 6
"""Rounds over which the entropy falls to what is asked, each half the one before."""
NUM_SCALINGS = 10
"""Scalings of rows and columns in a round."""


def sinkhorn(cost: Tensor, entropy: float) -> Tensor:
    """The plan (num, num) of least Σ P C − ρ H(P) whose rows and columns each sum to 1/num.

    ρ is `entropy` times the mean of the costs C (num, num). P = exp((f_i + g_j − C_ij)/ρ); ρ halves
    from round to round, so that potentials f and g found at a high one start the next. The first
    update of a round is made in log space, the rest scale the plan itself, which is several times
    cheaper. The rows hold exactly, the columns as far as the fixed number of rounds takes them.
    Nothing is copied to the host. Cuturi 2013; Schmitzer 2019.
    """
    num = len(cost)
    cost = cost / cost.mean().clamp(min=1e-30)
    log_share = -torch.full((), float(num), device=cost.device, dtype=cost.dtype).log()
    rows, columns = torch.zeros_like(cost[:, :1]), torch.zeros_like(cost[:1])
    plan = cost
    for index in reversed(range(NUM_ROUNDS)):
        rho = entropy * 2.0**index
        rows = rho * (log_share - torch.logsumexp((columns - cost) / rho, 1, keepdim=True))
        columns = rho * (log_share - torch.logsumexp((rows - cost) / rho, 0, keepdim=True))
        plan = ((rows + columns - cost) / rho).exp()
        left, right = torch.ones_like(rows), torch.ones_like(columns)
        for _ in range(NUM_SCALINGS):
            right = 1 / (num * (left.T @ plan)).clamp(min=1e-30)
            left = 1 / (num * (plan @ right.T)).clamp(min=1e-30)
        rows, columns = rows + rho * left.log(), columns + rho * right.log()
        plan = left * plan * right
    return plan


def partners(plan: Tensor, generator: torch.Generator) -> Tensor:
    """(num,) for each row of a plan a column, drawn with the row's own shares; on the device.

    By inversion, since `torch.multinomial` waits for the device.
    """
    reached = plan.cumsum(1)
    uniform = torch.rand((len(plan), 1), generator=generator, device=plan.device, dtype=plan.dtype)
    return (reached < uniform * reached[:, -1:]).sum(1).clamp(max=plan.shape[1] - 1)


def coupled(source: Tensor, target: Tensor, entropy: float, generator: torch.Generator) -> Tensor:
    """Targets (num, *event_shape) in the order of their partners among the sources.

    Partners are drawn from the entropic plan of the squared Euclidean cost. A small batch knows
    the transport between the laws only roughly: the plan is that of the batch.
    """
    cost = torch.cdist(source.flatten(1), target.flatten(1)).square()
    return target[partners(sinkhorn(cost, entropy), generator)]
