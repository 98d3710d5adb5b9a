"""What memories hold: storage by formula, capacity by brute force, theory by its own equations."""

from __future__ import annotations

import itertools
import math

import torch

from backend.energies.associative import AssociativeEnergy
from backend.randomness import generator_of
from backend.requests.retrieval import (
    Memory,
    capacity,
    critical_load,
    crosstalk_load,
    random_spins,
    recalled,
    settled,
)


def test_examples_are_stored_as_means_or_one_by_one() -> None:
    patterns = random_spins((3, 4000), generator_of("patterns", 0))
    supervised = Memory(4, "supervised", 20, 0.4).vectors(patterns, generator_of("e", 0))
    # entries of mean square 1, whose mean along the pattern is r / √Γ
    assert supervised.shape == (3, 4000)
    assert abs(float(supervised.square().mean()) - 1) < 0.03
    gamma = 0.4**2 + (1 - 0.4**2) / 20
    assert abs(float((supervised * patterns).mean()) - 0.4 / math.sqrt(gamma)) < 0.01
    unsupervised = Memory(4, "unsupervised", 20, 0.4).vectors(patterns, generator_of("e", 0))
    assert unsupervised.shape == (60, 4000)
    examples = unsupervised * 20**0.25
    assert torch.allclose(examples.abs(), torch.ones(()))
    means = examples.view(3, 20, 4000).mean(1) / math.sqrt(gamma)
    assert torch.allclose(means, supervised, atol=1e-5)
    assert torch.equal(Memory(4).vectors(patterns, generator_of("e", 0)), patterns)
    # one example each: both rules store the same
    one = [Memory(2, rule, 1, 0.4) for rule in ("supervised", "unsupervised")]  # type: ignore[arg-type]
    first, second = (each.vectors(patterns, generator_of("e", 0)) for each in one)
    assert torch.allclose(first, second)


def test_a_lone_pattern_is_recalled_and_an_overloaded_memory_recalls_none() -> None:
    generator = generator_of("recall", 0)
    assert recalled(Memory(2), 64, 1, 0.2, 0.0, 50, generator).retrieved == 1.0
    assert recalled(Memory(3), 64, 40, 0.1, 0.0, 64, generator).overlap > 0.99
    assert recalled(Memory(2), 64, 40, 0.1, 0.0, 64, generator).retrieved < 0.1
    # at a temperature far above the critical one nothing is left
    assert recalled(Memory(2), 64, 1, 0.0, 20.0, 200, generator).overlap < 0.3


def test_the_capacity_of_small_memories_is_that_of_trying_every_load() -> None:
    size, share, num = 13, 0.9, 2000
    patterns = random_spins((num, 8, size), generator_of("brute", 0)).double()

    def cue(load: int) -> torch.Tensor:
        state = patterns[:, :1].clone()
        state[..., 0] *= -1
        return state

    def by_brute_force(load: int) -> float:
        """Descent by whole energies, one random site after the other."""
        energy = AssociativeEnergy(patterns[:, :load], 2, torch.Size([size]))
        state, generator = cue(load), generator_of("orders", load)
        for site in itertools.chain(*(torch.randperm(size, generator=generator) for _ in range(8))):
            other = state.clone()
            other[..., site] *= -1
            lower = energy.of_spins(other) < energy.of_spins(state) - 1e-9
            state = torch.where(lower[..., None], other, state)
        return float(((state * patterns[:, :1]).mean(-1) > 0.95).double().mean())

    def by_fields(load: int) -> float:
        energy = AssociativeEnergy(patterns[:, :load], 2, torch.Size([size]))
        rest = settled(energy, cue(load), 0.0, generator_of("orders", load), most=8)
        return float(((rest * patterns[:, :1]).mean(-1) > 0.95).double().mean())

    brute = [by_brute_force(load) for load in range(1, 9)]
    assert all(abs(by_fields(load) - each) < 0.02 for load, each in enumerate(brute, 1))
    assert brute == sorted(brute, reverse=True)
    every = sum(each >= share for each in brute)
    assert 1 <= every < 8
    assert capacity(by_fields, 1, share) == every


def test_the_search_for_the_capacity_ends_at_the_last_load_that_holds() -> None:
    for edge in (0, 1, 2, 3, 9, 37):
        assert capacity(lambda load, edge=edge: float(load <= edge), 4) == edge  # type: ignore[misc]
    high = capacity(lambda load: float(load <= 12_345), 8)
    assert high <= 12_345 <= 1.03 * high


def test_the_critical_load_solves_the_mean_field_equations() -> None:
    assert abs(critical_load(0.0) - 0.138) < 5e-4
    assert critical_load(1.0) == critical_load(2.0) == 0.0
    loads = [critical_load(each) for each in (0.1, 0.3, 0.6, 0.9)]
    assert loads == sorted(loads, reverse=True)
    # iterated from the pattern, the equations come to rest near it below the line, never above
    z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    weight = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    temperature = 0.5

    def iterated(load: float) -> tuple[float, float]:
        """m, and how far the last iteration moved it."""
        m, q, r, before = 1.0, 1.0, 1.0, 0.0
        for _ in range(600):
            field = (m + math.sqrt(load * r) * z) / temperature
            before = m
            m, q = float(weight @ field.tanh()), float(weight @ field.tanh().square())
            r = q / (1 - (1 - q) / temperature) ** 2
        return m, abs(m - before)

    at = critical_load(temperature)
    m, moved = iterated(0.97 * at)
    assert m > 0.8 and moved < 1e-6
    assert iterated(1.03 * at)[1] > 1e-3


def test_crosstalk_falls_with_turned_bits_and_grows_by_its_power() -> None:
    assert crosstalk_load(64, 3, 0.5) == 0.0
    ratio = crosstalk_load(128, 4) / crosstalk_load(64, 4)
    assert math.isclose(ratio, 8 * math.log(64) / math.log(128))
