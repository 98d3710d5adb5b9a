"""One potential that first carries noise to data, then holds it there: Energy Matching."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from backend.energy import Energy, energy_and_gradient
from backend.gradient_use import differentiated
from backend.sampler import per_chain
from backend.samplers.langevin import normal


class Flow(NamedTuple):
    """The flow loss of a batch, and what it was made of."""

    squares: Tensor
    """(batch,) |−∇V(x_t) − (x_1 − x_0)|²"""
    values: Tensor
    """(batch,) V(x_t), without a graph"""


def flow_matching(
    potential: Energy, source: Tensor, target: Tensor, time: Tensor, noise: Tensor | None = None
) -> Flow:
    """|−∇V(x_t) − (x_1 − x_0)|² at x_t = (1 − t) x_0 + t x_1 (+ noise), each (batch,).

    source x_0, target x_1 and noise are (batch, *event_shape), coupled row by row; time t is
    (batch,). −∇V at a point seeks the mean velocity of all the lines through it, whatever their
    time. It is differentiated twice, so the potential needs smooth activations. Lipman et al. 2023;
    Balcerak et al. 2025.
    """
    x = torch.lerp(source, target, per_chain(time, source))
    if noise is not None:
        x = x + noise
    x.requires_grad_(True)
    with differentiated("twice"):
        values = potential(x)
    (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    squares = (gradient + target - source).square().flatten(1).sum(1)
    return Flow(squares, values.detach())


def flow_weight(time: Tensor, transport_end: float) -> Tensor:
    """w(t): 1 up to `transport_end`, then straight down to 0 at t = 1 and after.

    >>> flow_weight(torch.tensor([0.25, 0.75, 1.0]), 0.5).tolist()
    [1.0, 0.5, 0.0]
    """
    return 1 - _ramp(time, transport_end)


def temperature_at(time: Tensor, transport_end: float, temperature: float) -> Tensor:
    """ε(t): 0 up to `transport_end`, then straight up to `temperature` at t = 1, and so ever after.

    >>> temperature_at(torch.tensor([0.5, 0.75, 3.0]), 0.5, 0.2).tolist()
    [0.0, 0.10000000149011612, 0.20000000298023224]
    """
    return temperature * _ramp(time, transport_end)


def _ramp(time: Tensor, transport_end: float) -> Tensor:
    """0 up to `transport_end` < 1, 1 from t = 1 on, a straight line between."""
    return ((time - transport_end) / (1 - transport_end)).clamp(0, 1)


def flow_steps(
    potential: Energy,
    x: Tensor,
    time: Tensor,
    num_steps: int,
    step_size: float,
    transport_end: float,
    temperature: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """`num_steps` of x ← x − Δt ∇V(x) + √(2 ε(t) Δt) ξ, t ← t + Δt; returns x and t.

    x is (chains, *event_shape), time (chains,), so that chains may be at different times of their
    own. From t = 1 on this is Langevin on exp(−V/ε), whose step makes it a little too wide: on
    V = λx²/2 its variance is ε / (λ (1 − Δt λ/2)).
    """
    for _ in range(num_steps):
        _, gradient = energy_and_gradient(potential, x)
        noise_sd = (2 * step_size * temperature_at(time, transport_end, temperature)).sqrt()
        x = x - step_size * gradient + per_chain(noise_sd, x) * normal(x, generator)
        time = time + step_size
    return x, time
