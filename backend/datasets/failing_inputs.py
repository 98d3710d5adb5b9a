"""Words of a small alphabet of which a few make a system fail: a benign stand-in for attacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.data import Data
from backend.datasets.discrete import DiscreteConfig, DiscreteTarget
from backend.energies.discrete import MOST_STATES
from backend.energies.failing_inputs import FailingInputs
from backend.errors import BadInput
from backend.randomness import generator_of

LETTERS = "abcdefghijklmnop"


class FailingInputsConfig(DiscreteConfig):
    kind: Literal["failing_inputs"] = "failing_inputs"
    length: int = option(6, "Letters of an input.", ge=2, le=16, main=True)
    num_letters: int = option(8, "Letters of the alphabet.", ge=2, le=len(LETTERS), main=True)
    num_failing: int = option(3, "Hidden inputs that fail.", ge=1, le=16, main=True)
    steepness: float = option(
        1.5, "Energy of each letter that differs.", unit="nats", gt=0, le=20, main=True
    )
    failing_seed: int = option(0, "Seeds which inputs fail.", ge=0, le=2**31 - 1)


class FailingInputsData(DiscreteTarget):
    """E(x) = steepness · Hamming distance to the nearest input that fails, which are at least half
    their length apart where random ones can be."""

    Config: ClassVar[type[KindConfig]] = FailingInputsConfig
    title: ClassVar[str] = "Inputs of which few fail"
    summary: ClassVar[str] = "Short words with energies by their distance to hidden failing ones."
    config: FailingInputsConfig

    @property
    def num_values(self) -> int:
        return self.config.num_letters

    def target(self) -> FailingInputs:
        config = self.config
        num = config.num_letters**config.length
        if num > MOST_STATES or config.num_failing > num:
            raise BadInput.at(
                "data.length",
                f"must give at most {MOST_STATES:,} inputs, since all are enumerated, and as many "
                f"as fail; got {num:,} with {config.num_letters} letters.",
            )
        generator = generator_of("failing_inputs", config.failing_seed)
        shape = (config.num_failing, config.length)
        tries = torch.stack(
            [torch.randint(self.num_values, shape, generator=generator) for _ in range(100)]
        )
        apart = (tries[:, :, None] != tries[:, None]).sum(-1)
        apart += config.length * torch.eye(config.num_failing, dtype=torch.int64)
        closest = apart.flatten(1).amin(1)
        good = closest >= min(config.length / 2, int(closest.amax()))
        return FailingInputs(tries[good][0], self.num_values, config.steepness)

    def _data(self, *args: Any, **known: Any) -> Data:
        data = super()._data(*args, **known)
        return replace(data, alphabet=tuple(LETTERS[: self.num_values]))
