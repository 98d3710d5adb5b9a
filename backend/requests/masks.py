"""Masks drawn by hand, written in one word: `k20h8k36` is 20 places known, 8 hidden, 36 known."""

from __future__ import annotations

import re

import torch
from torch import Tensor

MOST_CHARACTERS = 6000
"""What an address may hold beside the rest of a question."""
_RUN = re.compile("([kh])([0-9]{1,9})")
_WORD = re.compile("([kh][0-9]{1,9})+")


def read(word: str, num_places: int) -> Tensor:
    """Read which places are hidden, (num_places,) bool, row by row from the upper left.

    Raises ValueError with a sentence where the word is no mask of so many places.
    """
    if not _WORD.fullmatch(word):
        raise ValueError(
            f"must be runs of known and hidden places, such as k{max(num_places - 1, 1)}h1, "
            f"got {word[:40]!r}."
        )
    runs = [(letter == "h", int(num)) for letter, num in _RUN.findall(word)]
    total = sum(num for _, num in runs)
    if total != num_places:
        raise ValueError(
            f"speaks of {total:,} places, and an event of this run has {num_places:,}."
        )
    hidden, lengths = zip(*runs, strict=True)
    return torch.tensor(hidden).repeat_interleave(torch.tensor(lengths))


def written(hidden: Tensor) -> str:
    """Write which places are hidden, (num_places,) bool, in the shortest word.

    >>> written(torch.tensor([False, False, True, False]))
    'k2h1k1'
    """
    values, lengths = hidden.flatten().unique_consecutive(return_counts=True)
    pairs = zip(values.tolist(), lengths.tolist(), strict=True)
    return "".join(f"{'h' if value else 'k'}{num}" for value, num in pairs)
