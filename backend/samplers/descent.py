"""Projected gradient descent on the energy."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy, energy_and_gradient
from backend.sampler import Info, Sampler, State, per_chain
from backend.samplers.langevin import moved_info

BALLS = ("l2_ball", "linf_ball")


class DescentConfig(KindConfig):
    kind: Literal["descent"] = "descent"
    title: ClassVar[str] = "Gradient descent"
    summary: ClassVar[str] = "Goes down the energy, or up, within bounds; it does not sample."

    step_size: float = option(
        0.05,
        "How far a step goes, a.",
        unit="data sd² (gradient), data sd (sign, normalised)",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    direction: Literal["gradient", "sign", "normalised"] = option(
        "gradient",
        "What a step follows: the gradient, its signs, or its direction alone.",
        main=True,
        group="Sampler",
    )
    ascend: bool = option(False, "Goes up the energy instead of down.", group="Sampler")
    projection: Literal["none", "box", "l2_ball", "linf_ball"] = option(
        "none",
        "Where positions are held: anywhere, in a ball around their start, or in a box.",
        main=True,
        group="Sampler",
    )
    low: float = option(
        -1.0,
        "Lower bound of every coordinate in the box.",
        unit="data sd",
        ge=-1e6,
        le=1e6,
        group="Sampler",
    )
    high: float = option(
        1.0,
        "Upper bound of every coordinate in the box.",
        unit="data sd",
        ge=-1e6,
        le=1e6,
        group="Sampler",
    )
    radius: float = option(
        0.1,
        "Radius of the ball around the start.",
        unit="data sd",
        gt=0,
        le=1e6,
        log=True,
        group="Sampler",
    )

    @model_validator(mode="after")
    def _ordered(self) -> DescentConfig:
        if self.low >= self.high:
            raise ValueError(f"`low` must be below `high`, got {self.low:g} and {self.high:g}.")
        return self

    def derived(self) -> dict[str, str]:
        sentences: dict[str, str] = {}
        if self.projection != "box":
            sentences |= dict.fromkeys(("low", "high"), "No effect unless the projection is a box.")
        if self.projection not in BALLS:
            sentences["radius"] = "No effect unless the projection is a ball."
        elif self.direction != "gradient":
            steps = self.radius / self.step_size
            sentences["radius"] = f"At least {steps:.3g} steps from the start to the bound."
        return sentences


class Descent(Sampler):
    """x ← Proj(x − a d), d = ∇E(x), its signs, or ∇E(x)/|∇E(x)|; x + a d where it ascends.

    Proj takes the nearest point of the box [low, high], of the ball |x − start| ≤ radius in the L2
    norm, or of |x_i − start_i| ≤ radius (L∞). `extra["start"]` is where the chain began. Nothing is
    random: with signs and the L∞ ball it is the attack of Madry et al. 2018. One gradient a step.
    Goldstein 1964; Levitin & Polyak 1966.
    """

    Config: ClassVar[type[KindConfig]] = DescentConfig
    exact: ClassVar[bool] = False
    bias: ClassVar[str] = "It finds extremes of the energy; it does not sample."
    references: ClassVar[str] = "Goldstein 1964; Levitin & Polyak 1966; Madry et al. 2018"
    config: DescentConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        # A copy: a caller may write into what it gave.
        start = position.detach().clone()
        return super().init(position, energy, generator).carrying(start=start)

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        config, start = self.config, state.extra["start"]
        low: Tensor | float = -math.inf
        high: Tensor | float = math.inf
        if config.projection == "box":
            low, high = config.low, config.high
        elif config.projection == "linf_ball":
            low, high = start - config.radius, start + config.radius
        x, value, gradient = self.fused(
            _descended,
            energy,
            state.position,
            _direction(state.gradient, config.direction),
            start,
            -config.step_size if config.ascend else config.step_size,
            low,
            high,
            config.radius if config.projection == "l2_ball" else math.inf,
        )
        return State(x, value, gradient, state.extra), moved_info(x)


def _direction(gradient: Tensor, name: str) -> Tensor:
    if name == "sign":
        return gradient.sign()
    if name == "normalised":
        return torch.nn.functional.normalize(gradient.flatten(1), dim=1).view_as(gradient)
    return gradient


def _descended(
    energy: Energy,
    x: Tensor,
    direction: Tensor,
    start: Tensor,
    step_size: float,
    low: Tensor | float,
    high: Tensor | float,
    radius: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Position, energy and gradient after one step held within the bounds."""
    x = x - step_size * direction
    shift = x - start
    norm = per_chain(shift.flatten(1).norm(dim=1), x)
    x = torch.where(norm > radius, start + shift * (radius / norm), x)
    x = x.clamp(min=low).clamp(max=high)
    return x, *energy_and_gradient(energy, x)
