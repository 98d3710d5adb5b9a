"""Generators of keys: the same key, the same draws; any other key, others."""

from __future__ import annotations

import itertools

import torch

from backend.randomness import generator_of


def test_keys_that_differ_anywhere_give_other_streams() -> None:
    keys: list[tuple[int | str, ...]] = [
        (),
        (0,),
        (1,),
        (0, 0),
        (0, 1),
        (1, 0),
        (0, 0, 0),
        ("a",),
        ("b",),
        ("a", 0),
        (0, "a"),
        ("ab",),
        ("a", "b"),
        (2**31 - 1,),
        (123456, 7),
    ]
    seeds = [generator_of(*key).initial_seed() for key in keys]
    assert len(set(seeds)) == len(keys)
    draws = [torch.randn(2000, generator=generator_of(*key)) for key in keys]
    for first, second in itertools.combinations(draws, 2):
        # independent draws correlate within 1 / √2000 = .022
        assert abs(float((first * second).mean())) < 0.12


def test_a_key_gives_the_same_draws_again() -> None:
    first, second = (torch.rand(10, generator=generator_of("x", 4, 2)) for _ in range(2))
    assert torch.equal(first, second)
