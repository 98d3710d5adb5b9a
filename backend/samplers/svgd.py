"""Stein variational gradient descent: particles that are drawn to the target and repel."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.errors import BadInput
from backend.sampler import Info, Sampler, State, temperature_option

MAX_CHAINS = 2048
"""Every pair of particles is looked at in every step."""
SMALLEST = 1e-12
"""Squared bandwidths below this are of particles that all lie in one place."""


class SVGDConfig(KindConfig):
    kind: Literal["svgd"] = "svgd"
    title: ClassVar[str] = "Stein variational gradient descent"
    summary: ClassVar[str] = (
        "Particles that go down the energy and push one another apart: few cover a lot."
    )

    step_size: float = option(
        0.05,
        "Length of a step: about this far per coordinate with AdaGrad, ε φ without.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    adagrad: bool = option(
        True,
        "Divides each coordinate's step by the root mean square of its past.",
        main=True,
        group="Sampler",
    )
    decay: float = option(
        0.9,
        "Share of the past kept in AdaGrad's mean square at each step.",
        ge=0,
        lt=1,
        group="Sampler",
    )
    anneal_steps: int = option(
        0,
        "Steps before the pull of the energy is whole; it grows as the fourth power of time, "
        "so that particles spread first. 0 has it whole from the start.",
        ge=0,
        le=1_000_000,
        group="Sampler",
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        sentences = {"step_size": f"At most {MAX_CHAINS} chains: every pair is looked at."}
        if not self.adagrad:
            sentences["decay"] = "No effect without AdaGrad."
        return sentences


class SVGD(Sampler):
    """x_i ← x_i + ε φ_i, φ_i = mean_j [k(x_j, x_i) w s(x_j) + ∇_{x_j} k(x_j, x_i)], s = −∇E/T.

    k(x, y) = exp(−|x − y|²/h), h = med²/log(n + 1) with the median distance of particles now.
    With AdaGrad φ is divided by √G, G ← decay G + (1 − decay) φ² from G = φ² at first. The score
    weight w grows from 0 to 1 where it is annealed. Deterministic: nothing is drawn. One gradient
    a step and n² distances. Raises BadInput beyond 2,048 chains. Liu & Wang 2016; annealed:
    D'Angelo & Fortuin 2021.
    """

    Config: ClassVar[type[KindConfig]] = SVGDConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = (
        "Its particles are a fit, not draws: too narrow in many dimensions, and blind to modes "
        "that are far off."
    )
    references: ClassVar[str] = "Liu & Wang 2016; D'Angelo & Fortuin 2021"
    population: ClassVar[bool] = True
    config: SVGDConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        """`extra`: squares like position, the mean square of AdaGrad; count 0-d int of steps."""
        if len(position) > MAX_CHAINS:
            raise BadInput.at(
                "num_chains",
                f"must be at most {MAX_CHAINS:,} for `svgd`, which looks at every pair of chains, "
                f"got {len(position):,}. Use fewer chains or another sampler.",
            )
        state = super().init(position, energy, generator)
        count = torch.zeros((), dtype=torch.int64, device=position.device)
        return state.carrying(squares=torch.zeros_like(state.position), count=count)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config = self.config
        count = state.extra["count"] + 1
        weight = (count / (config.anneal_steps + 1)).clamp(max=1) ** 4
        share = torch.where(count > 1, config.decay, 0.0)
        after, squares, spread = self.fused(
            _moved,
            energy,
            state.position,
            state.gradient,
            state.extra["squares"],
            weight / config.temperature,
            share,
            config.step_size,
            float(config.adagrad),
        )
        rate = torch.ones_like(after.energy)
        info = Info(
            rate,
            torch.ones_like(rate, dtype=torch.bool),
            after.position,
            1,
            {"bandwidth": spread},
        )
        return after._replace(extra={"squares": squares, "count": count}), info


def _moved(
    energy: Energy,
    x: Tensor,
    gradient: Tensor,
    squares: Tensor,
    weight: Tensor,
    share: Tensor,
    step_size: float,
    adagrad: float,
) -> tuple[State, Tensor, Tensor]:
    direction, bandwidth = stein_direction(x, -weight * gradient)
    squares = share * squares + (1 - share) * direction.square()
    if adagrad:
        direction = direction / (squares.sqrt() + 1e-6)
    moved = x + step_size * direction
    return State(moved, *energy_and_gradient(energy, moved)), squares, bandwidth


def stein_direction(x: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """(φ like x, bandwidth √h 0-d) of particles x (chains, *event_shape) with scores like them."""
    flat, pull = x.flatten(1), score.flatten(1)
    distances = (flat[:, None] - flat).square().sum(2) if flat.shape[1] <= 8 else _squared(flat)
    h = (distances.median() / math.log(len(x) + 1)).clamp(min=SMALLEST)
    kernel = torch.exp(-distances / h)
    # ∇_{x_j} k(x_j, x_i) = (2/h) (x_i − x_j) k
    push = (2 / h) * (kernel.sum(1, keepdim=True) * flat - kernel @ flat)
    return ((kernel @ pull + push) / len(x)).reshape(x.shape), h.sqrt()


def _squared(flat: Tensor) -> Tensor:
    """Squared distances of all pairs (n, n) of centred rows, without n² differences in memory."""
    flat = flat - flat.mean(0)
    squares = flat.square().sum(1)
    return (squares[:, None] + squares - 2 * flat @ flat.T).clamp(min=0)
