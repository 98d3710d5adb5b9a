"""Sines and cosines as inputs of a perceptron."""

from __future__ import annotations

import math

import torch

from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.randomness import generator_of


def test_waves_stand_beside_the_position() -> None:
    """With the weights of the position itself at 0, only waves are left, and they repeat."""
    energy = MLPEnergy(MLPConfig(width=8, depth=1, waves=2), torch.Size([3]), generator_of("w", 0))
    first = energy.net[1]
    assert isinstance(first.weight, torch.Tensor) and first.weight.shape == (8, 3 * 5)
    x = torch.randn(6, 3, generator=generator_of("x", 0))
    assert not torch.allclose(energy(x), energy(x + 2 * math.pi), atol=1e-3)
    with torch.no_grad():
        first.weight[:, :3] = 0
    assert torch.allclose(energy(x), energy(x + 2 * math.pi), atol=1e-4)
    assert not torch.allclose(energy(x), energy(x + math.pi), atol=1e-3)


def test_without_waves_nothing_is_added() -> None:
    energy = MLPEnergy(MLPConfig(width=8), torch.Size([3]), generator_of("w", 0))
    x = torch.randn(6, 3, generator=generator_of("x", 0))
    assert torch.equal(energy(x), energy.net(x)[:, 0])


def test_events_of_many_coordinates_have_no_waves() -> None:
    config = MLPConfig(width=8, depth=1, waves=2, waves_up_to=3)
    for dim, num_inputs in ((3, 15), (4, 4)):
        energy = MLPEnergy(config, torch.Size([dim]), generator_of("w", 0))
        assert energy.net[1].weight.shape == (8, num_inputs)
        assert energy(torch.zeros(2, dim)).shape == (2,)
