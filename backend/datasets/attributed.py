"""Points of several classes whose binary concepts go together as each class has them."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import CONCEPTS, Data, Dataset
from backend.datasets.splits import split_points
from backend.errors import BadInput
from backend.randomness import generator_of

NUM_UNITS = 64
"""Units between concepts and positions."""


class AttributedConfig(KindConfig):
    kind: Literal["attributed"] = "attributed"
    num: int = option(2000, "Training points.", ge=100, le=1_000_000, main=True)
    num_held_out: int = option(
        1000, "Held-out points, drawn apart; quality is judged on them.", ge=100, le=100_000
    )
    num_classes: int = option(6, "Classes, equally frequent.", ge=2, le=100, main=True)
    num_concepts: int = option(8, "Concepts that each point has or has not.", ge=2, le=64)
    flip: float = option(
        0.05,
        "Probability of each concept of a point to be other than its class has it.",
        ge=0,
        le=0.5,
        main=True,
    )
    dim: int = option(20, "Coordinates.", ge=2, le=1000)
    noise: float = option(
        1.4,
        "Standard deviation of the noise in each coordinate, over that of what concepts say of it.",
        ge=0.01,
        le=100,
        log=True,
    )
    seed: int = option(
        0, "Seeds the codebook, the map and the draw of the data.", ge=0, le=2**31 - 1
    )


class AttributedData(Dataset):
    """y uniform; c_k = B[y, k], flipped with a small probability; x = f(c) + noise · N(0, I).

    B is a random codebook of different rows, f a random network with one layer of tanh, each
    coordinate of which has variance 1 over random concepts. `concepts` are given (num,
    num_concepts), 0 or 1; they are independent where the class is known, and go together else.
    """

    Config: ClassVar[type[KindConfig]] = AttributedConfig
    title: ClassVar[str] = "Attributed points"
    summary: ClassVar[str] = (
        "Points of six classes, each with eight concepts that go together: drawn, labelled."
    )
    gives: ClassVar[tuple[str, ...]] = (CONCEPTS,)
    config: AttributedConfig

    def codebook(self) -> Tensor:
        """B (num_classes, num_concepts), 0 or 1, no two rows alike. Raises BadInput."""
        num, size = self.config.num_classes, self.config.num_concepts
        if num > 2**size:
            raise BadInput.at(
                "data.num_classes",
                f"must be at most 2^num_concepts = {2**size}, or two classes have all concepts in "
                f"common; got {num}.",
            )
        generator = generator_of("codebook", self.config.seed)
        rows: dict[tuple[int, ...], None] = {}
        while len(rows) < num:
            rows[tuple(torch.randint(2, (size,), generator=generator).tolist())] = None
        return torch.tensor(list(rows), dtype=torch.float32)

    def positions(self, concepts: Tensor) -> Tensor:
        """f(c) (num, dim) float64 of concepts (num, num_concepts), without noise."""
        config = self.config
        generator = generator_of("map", config.seed)
        into = torch.randn(config.num_concepts, NUM_UNITS, generator=generator, dtype=torch.float64)
        bias = torch.randn(NUM_UNITS, generator=generator, dtype=torch.float64)
        out = torch.randn(NUM_UNITS, config.dim, generator=generator, dtype=torch.float64)

        def of(c: Tensor) -> Tensor:
            return torch.tanh((2 * c.double() - 1) @ into / math.sqrt(len(into)) + bias) @ out

        anything = torch.randint(2, (4096, config.num_concepts), generator=generator)
        reference = of(anything)
        return (of(concepts) - reference.mean(0)) / reference.std(0)

    def load(self) -> Data:
        config = self.config
        generator = generator_of("data", config.seed)
        num = config.num + config.num_held_out
        labels = torch.randint(config.num_classes, (num,), generator=generator)
        flipped = torch.rand(num, config.num_concepts, generator=generator) < config.flip
        concepts = (self.codebook()[labels].bool() ^ flipped).float()
        noise = torch.randn(num, config.dim, generator=generator, dtype=torch.float64)
        x = self.positions(concepts) + config.noise * noise
        rows, held_out = np.arange(config.num), np.arange(config.num, num)
        return split_points(
            x.numpy(),
            labels.numpy(),
            rows,
            held_out,
            name=config.kind,
            title=self.title,
            label_names=tuple(f"class {label + 1}" for label in range(config.num_classes)),
            columns=tuple(f"x{index + 1}" for index in range(config.dim)),
            concept_names=tuple(f"c{index + 1}" for index in range(config.num_concepts)),
            given={CONCEPTS: concepts[: config.num]},
            held_out_given={CONCEPTS: concepts[config.num :]},
        )
