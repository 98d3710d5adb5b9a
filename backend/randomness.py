"""Generators made from keys, so that nothing ever draws from torch's global generator."""

from __future__ import annotations

import numpy as np
import torch


def generator_of(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on `key` alone; keys that differ anywhere give unrelated streams.

    >>> int(torch.randint(100, (), generator=generator_of(0, 1)))
    96
    """
    words = np.random.SeedSequence([value & 0xFFFFFFFF for value in key]).generate_state(2)
    seed = (int(words[0]) << 31) ^ int(words[1])
    return torch.Generator(device=device).manual_seed(seed)
