"""Frames of bouncing balls, 8×8 pixels: the next one beside three that were."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.datasets.motion import BallsConfig, BallsLaw, BouncingBalls
from backend.randomness import generator_of

NUM_PAST = 3
"""Frames before the one that is predicted."""
SPREAD = 0.25
"""Standard deviation of a ball's light, of half the side of the frame."""


def drawn(places: Tensor, side: int) -> Tensor:
    """Frames (num, side, side) in [-1, 1] of balls at places (num, num_balls, 2) in [-1, 1]²."""
    ticks = (torch.arange(side, device=places.device) + 0.5) * 2 / side - 1
    grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), 2)
    apart = (grid[None, None] - places[:, :, None, None]).square().sum(4)
    light = (-0.5 * apart / SPREAD**2).exp().amax(1)
    return 2 * light - 1


class FramesConfig(KindConfig):
    kind: Literal["ball_frames"] = "ball_frames"
    num_balls: int = option(1, "Balls of equal mass in the box.", ge=1, le=4, main=True)
    side: int = option(8, "Pixels along a side.", ge=4, le=32, unit="pixels")
    num: int = option(4000, "Training sequences, one frame to predict each.", ge=20, le=200_000)
    num_held_out: int = option(500, "Held-out sequences.", ge=20, le=20_000)
    seed: int = option(0, "Seeds the sequences; the run has its own.", ge=0, le=2**31 - 1)


class BallFrames(Dataset):
    """Frames x (side, side), each with a `context` of the three before it (3, side, side).

    The law is that of `bouncing_balls`; pixels share one mean and scale, so that black stays one
    value. One thing follows, so a mean of it is what follows.
    """

    Config: ClassVar[type[KindConfig]] = FramesConfig
    title: ClassVar[str] = "Frames of bouncing balls, 8×8"
    summary: ClassVar[str] = "Small grey pictures of balls in a box: the next beside three before."
    is_image: ClassVar[bool] = True
    gives: ClassVar[tuple[str, ...]] = ("context",)
    config: FramesConfig

    def load(self) -> Data:
        train, held_out = (
            self._sequences(num, part)
            for part, num in enumerate((self.config.num, self.config.num_held_out))
        )
        past, x = train[:, :NUM_PAST], train[:, NUM_PAST]
        mean, scale = x.mean(), x.std()
        low, high = ((end - mean) / scale for end in (-1.0, 1.0))
        shape = train.shape[2:]
        return Data(
            name="ball_frames",
            title=self.title,
            train=(x - mean) / scale,
            held_out=(held_out[:, NUM_PAST] - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low.expand(shape),
            noise_high=high.expand(shape),
            image_range=(-1.0, 1.0),
            given={"context": past},
            held_out_given={"context": held_out[:, :NUM_PAST]},
        )

    def _sequences(self, num: int, part: int) -> Tensor:
        """(num, NUM_PAST + 1, side, side) frames."""
        config = self.config
        generator = generator_of("ball_frames", config.seed, part)
        state = BouncingBalls(BallsConfig(num_balls=config.num_balls)).states(num, generator)
        law, frames = BallsLaw(config.num_balls), []
        for _ in range(NUM_PAST + 1):
            frames.append(drawn(law.places(state), config.side))
            state = law.advance(state, law.true_next(state))
        return torch.stack(frames, 1)
