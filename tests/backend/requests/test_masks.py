"""Masks in a word."""

from __future__ import annotations

import pytest
import torch

from backend.requests import masks


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_is_read_as_it_was_written(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(97, generator=generator) < seed / 19
    assert torch.equal(masks.read(masks.written(hidden), 97), hidden)


@pytest.mark.parametrize(
    "word", ["", "k", "h-3", "k3 h2", "8k", "k9h3", "k1", "k9999999999h1", "x"]
)
def test_what_is_no_mask_of_so_many_places_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"must be runs|speaks of"):
        masks.read(word, 10)
