"""Image networks read as energies: what they are at the start, what they are told, what fits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from backend import catalogue
from backend.energies import NO_LABEL, Condition, NetworkEnergy, build_network
from backend.energies.images import wall_energy
from backend.energies.unet import UNetConfig, UNetEnergy
from backend.energies.wide_resnet import WideResNetConfig, WideResNetEnergy
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.randomness import generator_of
from jobs.contracts.of_parts import small_task

CONFIGS: dict[str, Any] = {"unet": UNetConfig, "wide_resnet": WideResNetConfig}
KINDS = sorted(CONFIGS)


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=generator_of("images", *shape)) * 2 - 1


def energy_of(kind: str, *told: int, shape: tuple[int, ...] = (8, 8), **fields: Any) -> Any:
    config = CONFIGS[kind](**{"features": 4, **fields})
    energy = build_network(config, small_task(torch.Size(shape)), *told)
    with torch.no_grad():  # layers that start at zero, as after some training
        generator = generator_of("moved")
        for parameter in energy.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return energy


def test_a_unet_energy_starts_as_a_standard_gaussian() -> None:
    energy = UNetEnergy(UNetConfig(features=4), torch.Size([8, 8]), generator_of("e"), 3, 2)
    x = images(5, 8, 8)
    value, gradient = energy_and_gradient(energy, x)
    assert torch.allclose(value, 0.5 * x.square().sum((1, 2)), rtol=1e-5)
    assert torch.equal(gradient, x)


def test_a_unet_energy_is_half_the_squared_distance_from_what_the_unet_gives() -> None:
    energy = energy_of("unet", wall=0)
    x = images(3, 8, 8)
    given = energy.body(x)
    assert given.abs().max() > 0.01
    expected = 0.5 * (x - given).square().sum((1, 2))
    assert torch.allclose(energy(x), expected, rtol=1e-5)


def test_a_wide_resnet_energy_starts_near_zero_whatever_the_size() -> None:
    """Against the wall or |x|²: of order one, so that chains are moved by what is learned."""
    for side in (8, 32):
        config = WideResNetConfig(features=16, wall=0)
        energy = WideResNetEnergy(config, torch.Size([side, side]), generator_of("e"))
        assert energy(images(4, side, side)).abs().max() < 0.05 * side**2


@pytest.mark.parametrize("kind", KINDS)
def test_levels_and_labels_are_told_apart_and_left_untold(kind: str) -> None:
    energy = energy_of(kind, 3, 2)
    x = images(1, 8, 8).expand(6, 8, 8)
    levels, labels = torch.arange(6) % 3, torch.tensor([0, 0, 0, 1, 1, NO_LABEL])
    values = energy(x, Condition(levels, labels))
    assert len(values.detach().unique()) == 6
    for row in range(6):
        bound = energy.given(Condition(levels[row], labels[row]))
        assert torch.allclose(bound(x[:2]), values[row], rtol=1e-4)
    untold = energy(x[:1], Condition(torch.tensor([0]), torch.tensor([NO_LABEL])))
    assert torch.allclose(energy(x[:1]), untold, rtol=1e-5)
    assert torch.allclose(energy(x[:1], Condition()), untold, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_levels_or_labels_it_is_a_plain_energy(kind: str) -> None:
    energy = energy_of(kind)
    assert energy.conditional and isinstance(energy, NetworkEnergy)
    assert energy.body.embedding is None
    x = images(2, 8, 8)
    assert torch.equal(energy(x), energy(x, Condition(torch.tensor(1), torch.tensor(1))))


def test_they_are_found_among_the_conditional_ones() -> None:
    found = {kind for kind, cls in catalogue.networks().items() if cls.conditional}
    assert set(KINDS) <= found


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (4, 5, 2), (28, 28), (64, 64, 3)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_images_of_many_shapes(kind: str, shape: tuple[int, ...]) -> None:
    energy = energy_of(kind, shape=shape, multipliers="1,2,2,2").eval()
    x = images(2, *shape)
    value, gradient = energy_and_gradient(energy, x)
    assert value.shape == (2,) and value.dtype == torch.float32
    assert (gradient != 0).any(0).all(), "every pixel counts"
    assert torch.allclose(energy(x[1:]), value[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_grey_images_with_and_without_a_channel_axis_are_the_same(kind: str) -> None:
    flat, deep = energy_of(kind), energy_of(kind, shape=(8, 8, 1))
    x = images(2, 8, 8)
    assert torch.allclose(flat(x), deep(x[..., None]), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_wall_is_added(kind: str) -> None:
    walled, plain = energy_of(kind, wall=0.1), energy_of(kind, wall=0)
    x = 1.3 * images(4, 8, 8)
    outside = (x - x.clamp(-1, 1)).square().sum((1, 2))
    assert (outside > 0).all()
    assert torch.allclose(walled(x) - plain(x), outside / 0.02, rtol=1e-4)
    assert torch.allclose(wall_energy(x, 0.1), outside / 0.02, rtol=1e-4)
    assert not wall_energy(x, 0.0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_multipliers_and_blocks_are_the_widths_and_depth_they_say(kind: str) -> None:
    body = energy_of(kind, multipliers="1,3", num_blocks=2).body
    stages = body.down if kind == "unet" else body.stages
    assert [len(stage.blocks) for stage in stages] == [2, 2]
    assert [stage.blocks[-1].second.out_channels for stage in stages] == [4, 12]


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multipliers", ["", "0", "1,,2", "1;2", "100", "1,1,1,1,1,1,1", "a"])
def test_multipliers_that_are_no_list_are_refused(kind: str, multipliers: str) -> None:
    with pytest.raises(ValidationError, match="multipliers"):
        CONFIGS[kind](multipliers=multipliers)


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", KINDS)
def test_events_that_are_no_images_are_refused(kind: str) -> None:
    with pytest.raises(BadInput, match=r"needs images of shape \(h, w\)"):
        energy_of(kind, shape=(2,))
