"""Things that move by known laws, a pendulum and balls in a box: the next state beside the last."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.randomness import generator_of
from backend.truth import Future, Rivals

SUBSTEPS = 20
"""Steps of integration in a frame."""


class Motion(Future):
    """A law without chance: predictions are judged by their distance from the true next state."""

    tolerance: float
    """distance, in the data's units, up to which a prediction is right"""

    def outcomes(self, context: Tensor, x: Tensor) -> dict[str, Tensor]:
        """right: within the tolerance of the true next state; distance: from it."""
        distance = (x - self.true_next(context)).norm(dim=1)
        return {"right": (distance <= self.tolerance).to(x), "distance": distance}

    def rivals(self, context: Tensor, x: Tensor, generator: torch.Generator) -> dict[str, Rivals]:
        """Next states of others, where they are not right here too."""
        other = x[torch.randperm(len(x), generator=generator, device=x.device)]
        far = (other - self.true_next(context)).norm(dim=1, keepdim=True) > self.tolerance
        return {"another": Rivals(x[:, None], torch.where(far, other, torch.nan))}

    @abstractmethod
    def true_next(self, context: Tensor) -> Tensor:
        """x that follows."""

    @abstractmethod
    def advance(self, context: Tensor, x: Tensor) -> Tensor:
        """The context after x."""


class MotionConfig(KindConfig):
    """Fields of everything that moves."""

    num: int = option(8000, "Training states.", ge=20, le=1_000_000, main=True)
    num_held_out: int = option(1000, "Held-out states.", ge=20, le=100_000)
    noise: float = option(
        0.01, "Standard deviation of the noise on what follows.", ge=0, le=1, main=True
    )
    seed: int = option(0, "Seeds the states; the run has its own.", ge=0, le=2**31 - 1)


class MotionData(Dataset):
    """States drawn at random, each with what follows it, standardised."""

    config: Any
    gives: ClassVar[tuple[str, ...]] = ("context",)
    columns: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def future(self) -> Motion:
        """The law."""

    @abstractmethod
    def states(self, num: int, generator: torch.Generator) -> Tensor:
        """Contexts (num, ...) to start from."""

    def load(self) -> Data:
        config, future = self.config, self.future()
        parts = []
        for part, num in enumerate((config.num, config.num_held_out)):
            generator = generator_of(config.kind, config.seed, part)
            context = self.states(num, generator)
            x = future.true_next(context)
            x = x + config.noise * torch.randn(x.shape, generator=generator)
            parts.append((x, context))
        (x, context), (held_out, held_out_context) = parts
        mean, scale = x.mean(0), x.std(0)
        z = (x - mean) / scale
        low, high = noise_box(z)
        return Data(
            name=config.kind,
            title=self.title,
            train=z,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
            columns=self.columns,
            given={"context": context},
            held_out_given={"context": held_out_context},
            future=future,
        )


# ---------------------------------------------------------------------- pendulum


class PendulumConfig(MotionConfig):
    kind: Literal["pendulum"] = "pendulum"
    friction: float = option(0.1, "Share of the speed lost in a second.", ge=0, le=10, unit="1/s")
    frame: float = option(0.2, "Time from one state to the next.", gt=0, le=1, unit="s")


class PendulumLaw(Motion):
    """θ'' = −sin θ − friction θ'. Context (sin θ, cos θ, θ') (3,), event the changes of θ, θ'."""

    tolerance = 0.05

    def __init__(self, friction: float, frame: float) -> None:
        self.friction, self.frame = friction, frame

    def true_next(self, context: Tensor) -> Tensor:
        """By the classical Runge-Kutta method."""
        state = torch.stack([torch.atan2(context[:, 0], context[:, 1]), context[:, 2]], 1).double()
        begin, h = state, self.frame / SUBSTEPS

        def slope(state: Tensor) -> Tensor:
            angle, speed = state.unbind(1)
            return torch.stack([speed, -angle.sin() - self.friction * speed], 1)

        for _ in range(SUBSTEPS):
            k1 = slope(state)
            k2 = slope(state + h / 2 * k1)
            k3 = slope(state + h / 2 * k2)
            k4 = slope(state + h * k3)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return (state - begin).to(context)

    def advance(self, context: Tensor, x: Tensor) -> Tensor:
        angle = torch.atan2(context[:, 0], context[:, 1]) + x[:, 0]
        return torch.stack([angle.sin(), angle.cos(), context[:, 2] + x[:, 1]], 1)

    def places(self, context: Tensor) -> Tensor:
        """The bob, hanging from the origin."""
        return torch.stack([context[:, 0], -context[:, 1]], 1)[:, None]


class Pendulum(MotionData):
    """A pendulum with friction, from any angle and speeds up to 2.5 rad/s."""

    Config: ClassVar[type[KindConfig]] = PendulumConfig
    title: ClassVar[str] = "Pendulum"
    summary: ClassVar[str] = "Angle and speed of a pendulum: how they change in the next moment."
    columns: ClassVar[tuple[str, ...]] = ("change of angle", "change of speed")

    def future(self) -> PendulumLaw:
        return PendulumLaw(self.config.friction, self.config.frame)

    def states(self, num: int, generator: torch.Generator) -> Tensor:
        uniform = 2 * torch.rand(2, num, generator=generator) - 1
        angle, speed = math.pi * uniform[0], 2.5 * uniform[1]
        return torch.stack([angle.sin(), angle.cos(), speed], 1)


# ---------------------------------------------------------------------- balls


class BallsConfig(MotionConfig):
    kind: Literal["bouncing_balls"] = "bouncing_balls"
    num_balls: int = option(2, "Balls of equal mass in the box.", ge=1, le=4, main=True)


class BallsLaw(Motion):
    """Elastic balls between walls. Context: positions and velocities (4 · num_balls,); event:
    changes of both in a frame, in the order of places x, y, then velocities x, y, ball by ball,
    as (num_balls, 4) laid out flat."""

    tolerance = 0.1
    side = 1.0
    """walls at ± side"""
    radius = 0.2
    frame = 0.25

    def __init__(self, num_balls: int) -> None:
        self.num_balls = num_balls

    def true_next(self, context: Tensor) -> Tensor:
        """By small steps; balls that touch and come nearer swap their speeds along the line."""
        state = context.double().reshape(len(context), self.num_balls, 4)
        place, velocity = state[..., :2], state[..., 2:]
        room = self.side - self.radius
        for _ in range(SUBSTEPS):
            place = place + self.frame / SUBSTEPS * velocity
            outwards = (place.abs() > room) & (place * velocity > 0)
            velocity = torch.where(outwards, -velocity, velocity)
            for a in range(self.num_balls):
                for b in range(a):
                    velocity = self._collided(place, velocity, a, b)
        change = torch.cat([place, velocity], 2) - state
        return change.flatten(1).to(context)

    def advance(self, context: Tensor, x: Tensor) -> Tensor:
        return (context.flatten(1) + x).reshape(context.shape)

    def places(self, context: Tensor) -> Tensor:
        return context.reshape(len(context), self.num_balls, 4)[..., :2]

    def _collided(self, place: Tensor, velocity: Tensor, a: int, b: int) -> Tensor:
        line = place[:, a] - place[:, b]
        distance = line.norm(dim=1, keepdim=True).clamp(min=1e-9)
        line = line / distance
        nearing = ((velocity[:, a] - velocity[:, b]) * line).sum(1, keepdim=True)
        hits = (distance < 2 * self.radius) & (nearing < 0)
        push = torch.where(hits, nearing * line, 0.0)
        velocity = velocity.clone()
        velocity[:, a] -= push
        velocity[:, b] += push
        return velocity


class BouncingBalls(MotionData):
    """Balls in a box, placed apart, with speeds up to about 1."""

    Config: ClassVar[type[KindConfig]] = BallsConfig
    title: ClassVar[str] = "Bouncing balls"
    summary: ClassVar[str] = "Places and velocities of balls in a box: how they change in a frame."

    def future(self) -> BallsLaw:
        return BallsLaw(self.config.num_balls)

    def states(self, num: int, generator: torch.Generator) -> Tensor:
        """(num, num_balls, 4) states."""
        law, num_balls = self.future(), self.config.num_balls
        room = law.side - law.radius
        state = 2 * torch.rand(num, num_balls, 4, generator=generator) - 1
        close = torch.arange(num)
        while len(close):
            fresh = room * (2 * torch.rand(len(close), num_balls, 2, generator=generator) - 1)
            state[close, :, :2] = fresh
            gaps = (fresh[:, :, None] - fresh[:, None]).norm(dim=3) + 9 * torch.eye(num_balls)
            close = close[gaps.flatten(1).amin(1) < 2 * law.radius]
        return state
