"""The residual perceptron: how it starts, and what it can be told."""

from __future__ import annotations

import pytest
import torch

from backend.energies import NO_LABEL, Condition
from backend.energies.residual_mlp import ResidualMLPConfig, ResidualMLPEnergy
from backend.networks.residual_mlp import ResidualMap, ResidualMLP
from backend.randomness import generator_of

SHAPE = torch.Size([4, 3])


def positions(num: int = 5) -> torch.Tensor:
    return torch.randn(num, *SHAPE, generator=generator_of("x", 0))


def test_a_small_start_scale_starts_from_a_nearly_flat_energy() -> None:
    full, small = (
        ResidualMLPEnergy(ResidualMLPConfig(start_scale=scale), SHAPE, generator_of("n", 0))(
            positions()
        )
        for scale in (1.0, 0.01)
    )
    assert torch.allclose(small, 0.01 * full, atol=1e-6)
    assert full.abs().max() > 0.01


def test_it_computes_what_its_docstring_says() -> None:
    net = ResidualMLP(12, 2, 6, 2, generator_of("n", 1), num_levels=3, num_labels=2)
    x, told = positions(), Condition(torch.tensor(2), torch.tensor(NO_LABEL))
    levels, labels = net.embedding.levels, net.embedding.labels
    assert levels is not None and labels is not None
    condition = levels[2] + labels[0]
    hidden = net.first(x.flatten(1)) + condition
    hidden = hidden + net.blocks[0](torch.nn.functional.silu(hidden + condition))
    expected = net.last(torch.nn.functional.silu(hidden))
    assert torch.allclose(net(x, told), expected, atol=1e-6)


@pytest.mark.parametrize(("num_levels", "num_labels"), [(0, 0), (3, 0), (0, 2), (3, 2)])
def test_what_is_not_told_is_the_least_noise_and_no_class(num_levels: int, num_labels: int) -> None:
    config = ResidualMLPConfig(width=8)
    energy = ResidualMLPEnergy(config, SHAPE, generator_of("n", 2), num_levels, num_labels)
    told = Condition(torch.tensor(0), torch.tensor(NO_LABEL))
    assert torch.equal(energy(positions()), energy(positions(), told))
    other = energy(positions(), Condition(torch.tensor(2), torch.tensor(1)))
    assert torch.equal(other, energy(positions())) == (not num_levels and not num_labels)


def test_as_a_map_it_starts_near_the_identity() -> None:
    x = positions()
    moved = ResidualMap(SHAPE, 16, 2, generator_of("n", 3), 2)(x, Condition(torch.tensor(1))) - x
    assert moved.shape == x.shape
    assert 0 < moved.abs().max() < 0.3
