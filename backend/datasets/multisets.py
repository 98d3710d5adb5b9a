"""Sets of a fixed size and bags: elements with scores, chosen together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data
from backend.datasets.discrete import DiscreteConfig, DiscreteTarget
from backend.energies.multiset import Multiset
from backend.errors import BadInput
from backend.randomness import generator_of


class MultisetData(DiscreteTarget):
    """Draws of a multiset's energy; its noise is uniform over multisets of that size."""

    @abstractmethod
    def target(self) -> Multiset:
        """The energy."""

    def _data(self, train: Tensor, held_out: Tensor, **known: Any) -> Data:
        data = super()._data(train, held_out, **known)
        return replace(data, uniform=self.target().uniform)


class SetsConfig(DiscreteConfig):
    kind: Literal["sets"] = "sets"
    num_elements: int = option(14, "Elements to choose from.", ge=2, le=64, main=True)
    size: int = option(7, "Elements in every set.", ge=1, le=63, main=True)
    sd: float = option(
        2.0,
        "Standard deviation of the elements' scores; a set has the sum of those in it.",
        unit="nats",
        ge=0,
        le=20,
        main=True,
    )
    scores_seed: int = option(0, "Seeds the scores.", ge=0, le=2**31 - 1)


class SetsData(MultisetData):
    """p(x) ∝ exp(Σ_i score_i x_i) over the sets of `size` of the elements, x_i in {0, 1}.

    The moments and draws are exact by dynamic programming, whatever the size.
    """

    Config: ClassVar[type[KindConfig]] = SetsConfig
    title: ClassVar[str] = "Sets of a fixed size"
    summary: ClassVar[str] = "Some of several elements; a set scores what its elements do together."

    @property
    def num_values(self) -> int:
        return 2

    def target(self) -> Multiset:
        config = self.config
        if config.size >= config.num_elements:
            raise BadInput.at(
                "data.size",
                f"must be < num_elements, {config.num_elements}, got {config.size}: there would be "
                "one set at most.",
            )
        generator = generator_of("scores", config.scores_seed)
        scores = config.sd * torch.randn(config.num_elements, generator=generator)
        return Multiset(torch.stack([torch.zeros_like(scores), -scores], 1), config.size)


class BagsConfig(DiscreteConfig):
    kind: Literal["bags"] = "bags"
    num_kinds: int = option(7, "Kinds of things.", ge=2, le=32, main=True)
    size: int = option(10, "Things in every bag.", ge=2, le=64, main=True)
    sd: float = option(
        0.5, "Standard deviation of a thing's score by its kind.", unit="nats", ge=0, le=20
    )
    repeats: int = option(
        5, "Things of one kind, all in the same bag, that bring a bonus.", ge=2, le=64, main=True
    )
    bonus: float = option(
        3.0,
        "What a bag gains for each kind that it holds so often.",
        unit="nats",
        ge=0,
        le=20,
        main=True,
    )
    scores_seed: int = option(0, "Seeds the scores.", ge=0, le=2**31 - 1)


class BagsData(MultisetData):
    """p(x) ∝ exp(Σ_i score_i x_i + bonus · |{i : x_i ≥ repeats}|), Σ_i x_i = size.

    The bonus stays away until the sub-multiset is whole: a trajectory learns of it late. After the
    bags of Pan et al. 2023, whose bonus is random.
    """

    Config: ClassVar[type[KindConfig]] = BagsConfig
    title: ClassVar[str] = "Bags"
    summary: ClassVar[str] = "Multisets of a fixed size, better where one kind repeats often."

    @property
    def num_values(self) -> int:
        return int(self.config.size) + 1

    def target(self) -> Multiset:
        config = self.config
        if config.repeats > config.size:
            raise BadInput.at(
                "data.repeats", f"must be ≤ size, {config.size}, got {config.repeats}."
            )
        generator = generator_of("scores", config.scores_seed)
        scores = config.sd * torch.randn(config.num_kinds, generator=generator)
        counts = torch.arange(config.size + 1)
        gained = config.bonus * (counts >= config.repeats)
        return Multiset(-(scores[:, None] * counts + gained), config.size)
