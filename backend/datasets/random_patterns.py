"""Random patterns of bits to be stored, and damaged copies to recall them by."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.randomness import generator_of


class RandomPatternsConfig(KindConfig):
    kind: Literal["random_patterns"] = "random_patterns"
    rows: int = option(8, "Rows of a pattern.", ge=2, le=64, main=True)
    columns: int = option(8, "Columns of a pattern.", ge=2, le=64, main=True)
    num_patterns: int = option(40, "Patterns.", ge=2, le=100_000, main=True)
    turned: float = option(
        0.1, "Chance of each bit of a held-out copy to be turned.", ge=0, le=0.5, unit="share"
    )
    num_held_out: int = option(200, "Held-out copies, of all patterns in turn.", ge=20, le=20_000)
    seed: int = option(0, "Seeds patterns and copies; the run has its own.", ge=0, le=2**31 - 1)


class RandomPatterns(Dataset):
    """Independent fair bits; what is held out are copies of them in which some bits are turned."""

    discrete: ClassVar[bool] = True
    is_image: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = RandomPatternsConfig
    title: ClassVar[str] = "Random patterns"
    summary: ClassVar[str] = "Patterns of random bits for a memory, and damaged copies of them."
    config: RandomPatternsConfig

    def load(self) -> Data:
        config = self.config
        generator = generator_of("random_patterns", config.seed)
        shape = (config.rows, config.columns)
        train = torch.randint(2, (config.num_patterns, *shape), generator=generator).float()
        copies = train[torch.arange(config.num_held_out) % len(train)]
        is_turned = torch.rand(copies.shape, generator=generator) < config.turned
        return Data(
            name="random_patterns",
            title=self.title,
            train=train,
            held_out=torch.where(is_turned, 1 - copies, copies),
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.zeros(shape),
            noise_high=torch.ones(shape),
            num_values=2,
            image_range=(0.0, 1.0),
        )
