"""Attacks: the places near an event where a classifier is most wrong, by projected ascent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.gradient_use import differentiated
from backend.sampler import per_chain

Norm = Literal["linf", "l2"]
Value = Callable[[Tensor], Tensor]
"""Numbers (batch,) to make large, of positions (batch, *event_shape)."""
REACH = 2.5
"""Length of all steps together, in radii: enough to reach any place in the ball and turn back."""
SMALL = 1e-3
"""Standard deviation of the start around an event where the event itself has no slope."""


class AttackConfig(Config):
    """A ball around each event and the steps that look for its worst place."""

    norm: Norm = option(
        "linf", "How a change is measured: its largest coordinate, or its length.", group="Attack"
    )
    radius: float = option(
        0.2,
        "Largest change of an event.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Attack",
        sweep=(0.01, 1),
    )
    num_steps: int = option(
        20, "Gradient steps of an attack.", ge=1, le=1000, main=True, log=True, group="Attack"
    )

    @property
    def step_size(self) -> float:
        """Length of a step in the norm, data sd."""
        return REACH * self.radius / self.num_steps


def in_other_norm(config: AttackConfig, dim: int) -> AttackConfig:
    """The same attack in the other norm, in a ball of as much room in `dim` coordinates."""
    # volumes: (2 r)^dim, and π^(dim / 2) r^dim / Γ(dim / 2 + 1)
    side = 2 / math.sqrt(math.pi) * math.exp(math.lgamma(dim / 2 + 1) / dim)
    is_linf = config.norm == "linf"
    radius = config.radius * (side if is_linf else 1 / side)
    return config.model_copy(update={"norm": "l2" if is_linf else "linf", "radius": radius})


class Ball(NamedTuple):
    """|x − centre| ≤ radius in a norm and, where there are bounds, low ≤ x ≤ high."""

    norm: Norm
    radius: float
    low: Tensor | None = None
    """(*event_shape)"""
    high: Tensor | None = None

    def project(self, centre: Tensor, x: Tensor) -> Tensor:
        """The nearest place in the ball around each centre (batch, *event_shape), which itself
        lies within the bounds."""
        change = x - centre
        if self.norm == "linf":
            change = change.clamp(-self.radius, self.radius)
        else:
            length = change.flatten(1).norm(dim=1)
            change = change * per_chain((self.radius / length).clamp(max=1), change)
        return self.within(centre + change)

    def within(self, x: Tensor) -> Tensor:
        """The nearest place within the bounds."""
        return x if self.low is None else x.clamp(self.low, self.high)

    def direction(self, gradient: Tensor) -> Tensor:
        """The steepest direction of size 1 in the norm."""
        if self.norm == "linf":
            return gradient.sign()
        return F.normalize(gradient.flatten(1), dim=1).view_as(gradient)

    def edge(self, centre: Tensor, generator: torch.Generator) -> Tensor:
        """One change of the full radius from each centre, in a random direction."""
        noise = torch.randn(centre.shape, generator=generator, device=centre.device)
        return self.project(centre, centre + self.radius * self.direction(noise))

    def anywhere(self, centre: Tensor, generator: torch.Generator) -> Tensor:
        """A random direction as `edge`, as far as a uniform share of the radius."""
        noise = torch.randn(centre.shape, generator=generator, device=centre.device)
        share = torch.rand((len(centre),), generator=generator, device=centre.device)
        change = self.radius * per_chain(share, centre) * self.direction(noise)
        return self.project(centre, centre + change)


def ball_of(config: AttackConfig, data: Data) -> Ball:
    """The ball of a Config; images stay between black and white."""
    bounds = (data.noise_low, data.noise_high) if data.is_image else (None, None)
    return Ball(config.norm, config.radius, *bounds)


def box_of(data: Data) -> Ball:
    """No bound on the length of a change: the box that noise is drawn from alone."""
    return Ball("l2", math.inf, data.noise_low, data.noise_high)


def climb(
    value: Value, x: Tensor, ball: Ball, step_size: float, num_steps: int, centre: Tensor
) -> Tensor:
    """x ← P(x + a d), d the steepest direction of value(x), P onto the ball around the centre.

    x, centre (batch, *event_shape); what is returned carries no graph. One gradient a step. With an
    unbounded L2 ball it is the walk up a logit that robust classifiers are sampled by. Madry et al.
    2018; Santurkar et al. 2019.
    """
    for _ in range(num_steps):
        with torch.enable_grad(), differentiated("positions"):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(value(x).sum(), x)
        x = ball.project(centre, x.detach() + step_size * ball.direction(gradient))
    return x.detach()


def against(
    log_probs: Callable[[Tensor], Tensor], labels: Tensor, targets: Tensor | None = None
) -> Value:
    """−log p(label | x) (batch,), which an attack raises; log p(target | x) where there are
    targets (batch,)."""

    def value(x: Tensor) -> Tensor:
        given = log_probs(x)
        if targets is not None:
            return given.gather(1, targets[:, None])[:, 0]
        return -given.gather(1, labels[:, None])[:, 0]

    return value


def away_from(log_probs: Callable[[Tensor], Tensor], natural: Tensor) -> Value:
    """KL(p(y | x_natural) ‖ p(y | x)) (batch,), of `natural` log-probabilities (batch, num_labels)
    without a graph. It has no slope at x_natural itself. Zhang et al. 2019 (TRADES)."""

    def value(x: Tensor) -> Tensor:
        return divergence(natural, log_probs(x))

    return value


def divergence(natural: Tensor, attacked: Tensor) -> Tensor:
    """KL(p ‖ q) (batch,), nats, of log-probabilities log p, log q (batch, num_labels)."""
    return (natural.exp() * (natural - attacked)).sum(1)


def attacked(
    log_probs: Callable[[Tensor], Tensor],
    centre: Tensor,
    labels: Tensor,
    config: AttackConfig,
    data: Data,
    generator: torch.Generator,
    *,
    targets: Tensor | None = None,
    random_start: bool = True,
) -> Tensor:
    """Standardised centre (batch, *event_shape) changed within the ball so that `labels` (batch,)
    get less likely, or `targets` more, from anywhere in the ball or from the event itself."""
    ball = ball_of(config, data)
    x = ball.anywhere(centre, generator) if random_start else centre
    value = against(log_probs, labels, targets)
    return climb(value, x, ball, config.step_size, config.num_steps, centre)


def next_labels(labels: Tensor, num_labels: int) -> Tensor:
    """The class after each one's own, in a circle: a target that is never the true class."""
    return (labels + 1) % num_labels
