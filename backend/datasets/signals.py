"""Signals of one dimension: steps, lines and sines, for what is to be denoised."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.randomness import generator_of

Shape = Literal["steps", "many_steps", "lines", "sines"]
JUMPS = {"steps": (2, 5), "many_steps": (8, 13), "lines": (5, 5)}
"""Least and most places where a signal of pieces breaks."""
PERIODS = (4.0, 8.0)
SCALES = {"steps": 12**-0.5, "many_steps": 12**-0.5, "lines": 18**-0.5, "sines": 8**-0.5}
"""Standard deviation of a value; all means are a half."""


class SignalsConfig(KindConfig):
    kind: Literal["signals"] = "signals"
    shape: Shape = option(
        "steps",
        "Two to five jumps between levels, eight to thirteen, six straight pieces, or a sine of "
        "four to eight periods.",
        main=True,
    )
    length: int = option(64, "Samples of a signal.", ge=32, le=1024, main=True)
    num: int = option(2000, "Training signals.", ge=20, le=200_000, main=True)
    num_held_out: int = option(200, "Held-out signals.", ge=20, le=20_000)
    seed: int = option(0, "Seeds the signals; the run has its own.", ge=0, le=2**31 - 1)


class Signals(Dataset):
    """Signals x (length,) with values from 0 to 1."""

    Config: ClassVar[type[KindConfig]] = SignalsConfig
    title: ClassVar[str] = "Signals"
    summary: ClassVar[str] = "Signals of steps, lines or sines, one value after the other."
    config: SignalsConfig

    def load(self) -> Data:
        config = self.config
        train, held_out = (
            self._drawn(num, generator_of("signals", config.seed, part))
            for part, num in enumerate((config.num, config.num_held_out))
        )
        mean, scale = torch.tensor(0.5), torch.tensor(SCALES[config.shape])
        low, high = noise_box((train - mean) / scale)
        return Data(
            name="signals",
            title=self.title,
            train=(train - mean) / scale,
            held_out=(held_out - mean) / scale,
            mean=mean,
            scale=scale,
            noise_low=low,
            noise_high=high,
        )

    def _drawn(self, num: int, generator: torch.Generator) -> Tensor:
        """(num, length) signals, from 0 to 1."""
        shape, length = self.config.shape, self.config.length
        if shape == "sines":
            low, high = PERIODS
            periods = low + (high - low) * torch.rand(num, 1, generator=generator)
            turns = periods * torch.arange(length) / length + torch.rand(
                num, 1, generator=generator
            )
            return 0.5 + 0.5 * torch.sin(2 * math.pi * turns)
        least, most = JUMPS[shape]
        breaks = torch.randint(least, most + 1, (num, 1), generator=generator)
        ranks = torch.rand(num, length - 1, generator=generator).argsort(1).argsort(1)
        piece = torch.cat([torch.zeros(num, 1), (ranks < breaks).cumsum(1)], 1).long()
        values = torch.rand(num, most + 2, generator=generator)
        if shape != "lines":
            return values.gather(1, piece)
        sizes = torch.zeros(num, most + 1).scatter_add_(1, piece, torch.ones(num, length))
        starts = sizes.cumsum(1) - sizes
        way = (torch.arange(length) - starts.gather(1, piece)) / sizes.gather(1, piece)
        return values.gather(1, piece).lerp(values.gather(1, piece + 1), way)
