"""Work that all subjects of the training benchmark share, and the best plain loop of torch for it.

Needs torch alone, so that it runs in Basin's environment and in the peers' alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Work:
    """One update of persistent contrastive divergence on points in the plane."""

    batch: int = 256
    num_steps: int = 20
    step_size: float = 0.005
    gradient_clip: float = 30.0
    """of any one element of a chain's gradient"""
    buffer_size: int = 10_000
    reinit_rate: float = 0.05
    energy_l2: float = 0.005
    data_noise: float = 0.1
    width: int = 64
    depth: int = 3
    rate: float = 1e-2
    ema_decay: float = 0.995
    num_data: int = 8000


def network(work: Work) -> nn.Sequential:
    """(batch, 2) → (batch, 1)."""
    layers: list[nn.Module] = []
    for inputs in (2, *[work.width] * (work.depth - 1)):
        layers += [nn.Linear(inputs, work.width), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(work.width, 1))


def plain_update(work: Work) -> Callable[[], Tensor]:
    """One update by hand: nothing is kept, checked or drawn beyond what the mathematics asks for.

    Returns loss, mean energies of data and chains, and norm of the gradient, stacked.
    """
    net, average = network(work), network(work).requires_grad_(False)
    weights: list[Tensor] = list(net.parameters())
    averages: list[Tensor] = list(average.parameters())
    optimiser = torch.optim.Adam(weights, lr=work.rate, betas=(0.0, 0.999), fused=True)
    data, buffer = torch.randn(work.num_data, 2), torch.randn(work.buffer_size, 2)
    noise_sd = math.sqrt(2 * work.step_size)

    def walked(x: Tensor) -> Tensor:
        for _ in range(work.num_steps):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(net(x).sum(), x)
            gradient = gradient.clamp(-work.gradient_clip, work.gradient_clip)
            x = x.detach() - work.step_size * gradient + noise_sd * torch.randn_like(x)
        return x

    def update() -> Tensor:
        real = data[torch.randint(work.num_data, (work.batch,))]
        real = real + work.data_noise * torch.randn_like(real)
        places = torch.randperm(work.buffer_size)[: work.batch]
        fresh = 6 * torch.rand(work.batch, 2) - 3
        renewed = torch.rand(work.batch, 1) < work.reinit_rate
        x = walked(torch.where(renewed, fresh, buffer[places]))
        buffer[places] = x
        values = net(torch.cat([real, x]))[:, 0]
        on_data, on_model = values.split(work.batch)
        low, high = on_data.mean(), on_model.mean()
        loss = low - high
        loss = loss + work.energy_l2 * (on_data.square().mean() + on_model.square().mean())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(weights, 1.0, foreach=True)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - work.ema_decay)
        return torch.stack([loss.detach(), low.detach(), high.detach(), norm.detach()])

    return update
