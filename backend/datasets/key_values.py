"""Sequences of keys and values to be remembered: what a memory reads back is judged exactly."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.errors import BadInput
from backend.randomness import generator_of

SPIKED_ENTRIES = 0.1
"""Share of the entries of a spiked value that are spikes."""


class KeyValuesConfig(KindConfig):
    kind: Literal["key_values"] = "key_values"
    num_pairs: int = option(32, "Pairs written in a sequence.", ge=2, le=1024, main=True)
    asked: int = option(
        0, "Pairs, the last ones, whose keys are asked afterwards; 0 asks all.", ge=0, le=1024
    )
    size: int = option(32, "Entries of a key and of a value.", ge=8, le=256, main=True)
    num_codewords: int = option(
        64, "Values that there are, words of random signs.", ge=2, le=1024, main=True
    )
    common: float = option(
        0.0,
        "Share of every key's squared length that all keys of a sequence have in common.",
        ge=0,
        lt=1,
        main=True,
    )
    spiked: float = option(
        0.0,
        "Share of the values that are written with a tenth of their entries spiked.",
        ge=0,
        le=1,
        main=True,
    )
    spike_size: float = option(
        10.0, "Size of a spike, of either sign, in place of an entry of ±1.", gt=0, le=1000
    )
    reassigned: bool = option(
        False, "Whether the keys of the first half come again, in another order, with new values."
    )
    num: int = option(512, "Training sequences.", ge=20, le=100_000)
    num_held_out: int = option(128, "Held-out sequences.", ge=20, le=20_000)
    seed: int = option(0, "Seeds words, keys and spikes.", ge=0, le=2**31 - 1)


class KeyValues(Dataset):
    """Values x (asked, size) of ±1 that keys should read, beside the `pairs` (num_pairs, 2 size)
    written: unit keys and values, some of which are spiked. A key written twice has its latest."""

    gives: ClassVar[tuple[str, ...]] = ("pairs",)
    keeps_units: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = KeyValuesConfig
    title: ClassVar[str] = "Keys and values"
    summary: ClassVar[str] = (
        "Sequences of key-value pairs, clean or with spikes, and what their keys should read."
    )
    config: KeyValuesConfig

    def load(self) -> Data:
        config = self.config
        first = config.num_pairs // 2
        most = config.num_pairs - first if config.reassigned else config.num_pairs
        if config.asked > most:
            raise BadInput.at(
                "data.asked",
                f"must be ≤ {most}, the pairs that are written last, got {config.asked}.",
            )
        words = self._words()
        x, pairs = self._sequences(words, config.num, 0)
        held_out, held_out_pairs = self._sequences(words, config.num_held_out, 1)
        return Data(
            name="key_values",
            title=self.title,
            train=x,
            held_out=held_out,
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.full(x.shape[1:], -1.0),
            noise_high=torch.ones(x.shape[1:]),
            given={"pairs": pairs},
            held_out_given={"pairs": held_out_pairs},
        )

    def _words(self) -> Tensor:
        """(num_codewords, size) of ±1, each entry +1 in half of the words."""
        config = self.config
        generator = generator_of("key_values_words", config.seed)
        ranks = torch.rand(config.num_codewords, config.size, generator=generator).argsort(0)
        return torch.where(ranks < (config.num_codewords + 1) // 2, 1.0, -1.0)

    def _sequences(self, words: Tensor, num: int, part: int) -> tuple[Tensor, Tensor]:
        config, seed = self.config, self.config.seed
        drawn = generator_of("key_values", seed, part)
        shape = (num, config.num_pairs, config.size)
        keys = F.normalize(torch.randn(shape, generator=drawn), dim=2)
        if config.common:
            shared = F.normalize(torch.randn(num, 1, config.size, generator=drawn), dim=2)
            mixed = math.sqrt(config.common) * shared + math.sqrt(1 - config.common) * keys
            keys = F.normalize(mixed, dim=2)
        values = words[torch.randint(len(words), shape[:2], generator=drawn)]
        x = values
        if config.reassigned:
            half = config.num_pairs - config.num_pairs // 2
            places = torch.rand(num, half, generator=drawn).argsort(1)[:, : config.num_pairs - half]
            again = keys.gather(1, places[..., None].expand(-1, -1, config.size))
            keys = torch.cat([keys[:, :half], again], 1)
            x = x[:, half:]
        # a stream of its own: spikes that knew of the values would be no noise
        spikes = generator_of("key_values_spikes", seed, part)
        is_spiked = torch.rand(num, config.num_pairs, 1, generator=spikes) < config.spiked
        is_spike = is_spiked & (torch.rand(shape, generator=spikes) < SPIKED_ENTRIES)
        signs = 2.0 * torch.randint(2, shape, generator=spikes) - 1
        written = torch.where(is_spike, config.spike_size * signs, values)
        x = x[:, -config.asked :] if config.asked else x
        return x.contiguous(), torch.cat([keys, written], 2)
