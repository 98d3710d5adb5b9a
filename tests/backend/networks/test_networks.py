"""Networks: how steep spectral norm lets them be, the wall, what fits what, precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.energies import build_network, network_problems
from backend.energies.conv import ConvConfig, ConvEnergy
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.networks.layers import Gain, linear
from backend.networks.mlp import mlp
from backend.randomness import generator_of
from tests.test_contracts import _task


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    layer = linear(20, 30, generator_of("layer", 0), True)
    x = torch.randn(4, 20, generator=generator_of("x", 0))
    for _ in range(50):
        layer(x)
    largest = torch.linalg.svdvals(layer.weight.detach())[0]
    assert largest == pytest.approx(1, abs=1e-3)


def test_a_normalised_network_is_no_steeper_than_its_gain() -> None:
    network = mlp(2, 32, 3, generator_of("net", 0), "tanh", True)
    x = torch.randn(2000, 2, generator=generator_of("x", 1))
    for _ in range(50):
        network(x)
    network.eval()
    (layer,) = [layer for layer in network.modules() if isinstance(layer, Gain)]
    gain = float(layer.log_gain.detach().exp())
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    assert gradient.norm(dim=1).max() <= gain * 1.01
    assert gain == pytest.approx(10)


def test_evaluation_leaves_the_power_iteration_alone() -> None:
    layer = linear(5, 6, generator_of("layer", 1), True).eval()
    before = {name: value.clone() for name, value in layer.named_buffers()}
    layer(torch.ones(2, 5))
    assert all(torch.equal(before[name], value) for name, value in layer.named_buffers())


@pytest.mark.parametrize("activation", ["silu", "gelu", "softplus", "tanh", "relu"])
def test_every_activation_bends(activation: str) -> None:
    network = mlp(1, 16, 2, generator_of("net", 2), activation, False)  # type: ignore[arg-type]
    y = network(torch.tensor([[-2.0], [0.0], [2.0]])).detach()[:, 0]
    assert abs(float(y[0] - 2 * y[1] + y[2])) > 1e-4


def test_the_wall_is_the_square_it_says_and_nothing_inside() -> None:
    shape = torch.Size([4, 4])
    walled = ConvEnergy(ConvConfig(features=4, wall=0.1), shape, generator_of("conv", 0))
    plain = ConvEnergy(ConvConfig(features=4, wall=0), shape, generator_of("conv", 0))
    inside = torch.rand(3, 4, 4, generator=generator_of("x", 0)) * 2 - 1
    assert torch.allclose(walled(inside), plain(inside))
    outside = inside.clone()
    outside[:, 0, 0], outside[:, 1, 1] = 1.2, -1.3
    expected = (0.2**2 + 0.3**2) / (2 * 0.1**2)
    assert (walled(outside) - plain(outside)).tolist() == pytest.approx([expected] * 3, rel=1e-4)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (28, 28), (32, 32, 3), (4, 4, 1)], ids=str)
def test_images_of_many_shapes(shape: tuple[int, ...]) -> None:
    config = ConvConfig(features=4)
    energy = ConvEnergy(config, torch.Size(shape), generator_of("conv", 1))
    assert energy(torch.zeros(2, *shape)).shape == (2,)


def test_what_does_not_fit_is_said_in_a_sentence() -> None:
    points, images = _task(torch.Size([2])).data, _task(torch.Size([8, 8])).data
    ((field, sentence),) = network_problems(ConvConfig(), points, "energy")
    assert field == "energy.kind" and sentence.endswith(".")
    assert network_problems(ConvConfig(), images, "energy") == []
    assert network_problems(MLPConfig(), points, "energy") == []
    assert network_problems(MLPConfig(), images, "energy") == []


def test_an_energy_under_bfloat16_is_float32_and_close() -> None:
    network = MLPEnergy(MLPConfig(width=16), torch.Size([2]), generator_of("net", 3))
    x = torch.randn(8, 2, generator=generator_of("x", 2))
    full = network(x)
    network.precision = torch.bfloat16
    low = network(x)
    assert low.dtype == torch.float32
    assert not torch.equal(low, full)
    assert torch.allclose(low, full, atol=0.05)


def test_the_precision_of_the_spec_reaches_the_network() -> None:
    from dataclasses import replace

    task = replace(_task(torch.Size([2])), precision=torch.bfloat16)
    assert build_network(MLPConfig(), task).precision == torch.bfloat16


def test_no_layer_normalises_over_the_batch() -> None:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    energy = ConvEnergy(ConvConfig(), torch.Size([8, 8]), generator_of("conv", 2))
    assert not any(isinstance(module, kinds) for module in energy.modules())
