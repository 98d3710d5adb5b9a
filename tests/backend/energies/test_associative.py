"""Energies of associative memories: local updates beside differences, descent, one-step recall."""

from __future__ import annotations

import pytest
import torch

from backend.energies.associative import AssociativeEnergy, ModernHopfieldEnergy
from backend.energies.discrete import Enumeration, enumerate_states, state_index
from backend.randomness import generator_of


def spins(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2.0 * torch.randint(2, shape, generator=generator_of("spins", seed)) - 1


@pytest.mark.parametrize("power", [2, 3, 4, 7, None])
def test_the_fall_of_a_spin_is_the_difference_of_two_energies(power: int | None) -> None:
    energy = AssociativeEnergy(spins(5, 12).double(), power, torch.Size([12]))
    state = spins(6, 12, seed=1).double()
    for site in range(12):
        column = energy.vectors[:, site] / 12
        rest = energy.overlaps(state) - state[:, site, None] * column
        up, down = state.clone(), state.clone()
        up[:, site], down[:, site] = 1, -1
        expected = energy.of_spins(down) - energy.of_spins(up)
        assert torch.allclose(energy.fall(rest, column), expected, atol=1e-9)


def test_energies_of_bits_are_sums_of_powers_of_overlaps() -> None:
    stored = spins(3, 6)
    energy = AssociativeEnergy(stored, 3, torch.Size([2, 3]))
    bits = enumerate_states((2, 3), 2)
    overlaps = (2 * bits.flatten(1) - 1) @ stored.T / 6
    assert torch.allclose(energy(bits), -6 / 3 * overlaps.pow(3).sum(1), atol=1e-5)
    exponential = AssociativeEnergy(stored, None, torch.Size([2, 3]))
    assert torch.allclose(exponential(bits), -(6 * overlaps).exp().sum(1).log(), atol=1e-5)


@pytest.mark.parametrize("power", [2, 3, 4, None])
def test_no_sweep_at_temperature_zero_raises_the_energy_and_rest_is_a_minimum(
    power: int | None,
) -> None:
    energy = AssociativeEnergy(spins(40, 16).double(), power, torch.Size([16]))
    state = spins(64, 16, seed=1).double()
    generator = generator_of("sweeps", 0)
    for _ in range(30):
        after = energy.asynchronous(state, 0.0, generator)
        assert (energy.of_spins(after) <= energy.of_spins(state) + 1e-9).all()
        if torch.equal(after, state):
            break
        state = after
    assert torch.equal(after, state)
    for site in range(16):
        flipped = state.clone()
        flipped[:, site] *= -1
        assert (energy.of_spins(flipped) >= energy.of_spins(state) - 1e-9).all()


def test_sweeps_at_a_temperature_keep_to_the_law_of_the_energy() -> None:
    energy = AssociativeEnergy(spins(3, 5), 2, torch.Size([5]))
    temperature, num = 0.8, 4000
    law = Enumeration(energy, temperature)
    generator = generator_of("law", 0)
    state = 2 * law.draw(num, generator).flatten(1) - 1
    for _ in range(4):
        state = energy.asynchronous(state, temperature, generator)
    counts = state_index((state + 1) / 2, 2).bincount(minlength=32) / num
    p = law.probabilities
    assert ((counts - p).abs() < 4.5 * (p * (1 - p) / num).sqrt() + 1e-4).all()


def test_some_sites_alone_are_updated_and_many_memories_side_by_side() -> None:
    vectors = spins(3, 4, 10)
    many = AssociativeEnergy(vectors, 3, torch.Size([10]))
    state = spins(3, 6, 10, seed=1)
    sites = torch.tensor([7, 2])
    after = many.asynchronous(state, 0.0, generator_of("some", 0), sites)
    assert set((after != state).any(0).any(0).nonzero().flatten().tolist()) <= {2, 7}
    for index in range(3):
        one = AssociativeEnergy(vectors[index], 3, torch.Size([10]))
        alone = one.asynchronous(state[index], 0.0, generator_of("some", 0), sites)
        assert torch.equal(after[index], alone)


def test_mean_fields_are_the_slope_of_the_energy_and_draw_by_their_tanh() -> None:
    for power in (2, 4, None):
        energy = AssociativeEnergy(spins(4, 9).double(), power, torch.Size([9]))
        state = spins(3, 9, seed=1).double().requires_grad_(True)
        (slope,) = torch.autograd.grad(energy.of_spins(state).sum(), state)
        assert torch.allclose(energy.fields(state.detach()), -slope, atol=1e-9)
    num, temperature = 20_000, 1.5
    row = spins(1, 9, seed=1).double()
    energy = AssociativeEnergy(spins(4, 9).double(), 2, torch.Size([9]))
    drawn = energy.parallel(row.expand(num, 9), temperature, generator_of("glauber", 0))
    expected = torch.tanh(energy.fields(row) / temperature)[0]
    assert ((drawn.mean(0) - expected).abs() < 5 / num**0.5).all()


def test_the_modern_memory_recalls_in_one_step_that_lowers_its_energy() -> None:
    generator = generator_of("modern", 0)
    stored = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    energy = ModernHopfieldEnergy(stored, 2.0)
    q = torch.randn(5, 2, 4, generator=generator, dtype=torch.float64)
    weights = torch.softmax(2.0 * q.flatten(1) @ stored.T, 1)
    after = energy.retrieved(q)
    assert torch.allclose(after, (weights @ stored).view(5, 2, 4))
    assert (energy(after) <= energy(q) + 1e-12).all() and (energy(q) >= 0).all()
    # a fixed point is a stationary point: ∇E(q) = q − retrieved(q)
    q.requires_grad_(True)
    (slope,) = torch.autograd.grad(energy(q).sum(), q)
    assert torch.allclose(slope, (q - energy.retrieved(q)).detach())
    noisy = stored + 0.3 * torch.randn(6, 8, generator=generator, dtype=torch.float64)
    sharp = ModernHopfieldEnergy(stored, 20.0).retrieved(noisy)
    assert torch.allclose(sharp, stored, atol=1e-3)
