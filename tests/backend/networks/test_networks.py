"""Networks: how steep spectral norm lets them be, the wall, what fits what, precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from backend import samplers
from backend.energies import NetworkEnergy, build_network
from backend.energies.conv import ConvConfig, ConvEnergy
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.networks.layers import Gain, conv, linear
from backend.networks.mlp import mlp
from backend.randomness import generator_of
from backend.samplers.langevin import Langevin, LangevinConfig
from jobs.contracts.of_parts import small_task


def matrices(network: nn.Module) -> list[Tensor]:
    """Every weight as it is used, read as a matrix (outputs, rest)."""
    layers = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    return [layer.weight.detach().flatten(1) for layer in layers]


def gain_of(network: nn.Module) -> Gain:
    (layer,) = [layer for layer in network.modules() if isinstance(layer, Gain)]
    return layer


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_spectral_norm_divides_by_the_largest_singular_value(kind: str) -> None:
    generator, layer = generator_of("layer", 0), nn.Module()
    if kind == "linear":
        layer, x = linear(20, 30, generator, True), torch.zeros(1, 20)
    else:
        layer, x = conv(3, 8, 4, generator, True, stride=2), torch.zeros(1, 3, 8, 8)
    raw = layer.parametrizations["weight"].original.detach().flatten(1)  # type: ignore[index,union-attr]
    for _ in range(100):
        layer(x)
    (weight,) = matrices(layer)
    expected = raw / torch.linalg.svdvals(raw)[0]
    assert torch.allclose(weight, expected, rtol=1e-4, atol=1e-6)


def test_its_gradient_is_that_of_the_exact_division() -> None:
    layer = linear(6, 5, generator_of("layer", 2), True)
    x = torch.randn(4, 6, generator=generator_of("x", 3))
    for _ in range(200):
        layer(x)
    original = layer.parametrizations["weight"].original  # type: ignore[index,union-attr]
    exact = original.detach().clone().requires_grad_(True)
    target = x @ (exact / torch.linalg.svdvals(exact)[0]).T + layer.bias.detach()  # type: ignore[operator]
    (expected,) = torch.autograd.grad(target.square().sum(), exact)
    (got,) = torch.autograd.grad(layer(x).square().sum(), original)
    assert torch.allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
def test_a_normalised_network_is_no_steeper_than_its_gain_while_it_learns(activation: str) -> None:
    """Fitted to be as steep as it can: one round of power iteration a use keeps up with Adam."""
    network = mlp(2, 32, 3, generator_of("net", 0), activation, True)  # type: ignore[arg-type]
    gain = gain_of(network)
    assert float(gain.log_gain.detach().exp()) == pytest.approx(10)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    x = torch.randn(256, 2, generator=generator_of("x", 1))
    for _ in range(100):
        optimiser.zero_grad()
        (network(x)[:, 0] * x[:, 0].sign()).mean().neg().backward()
        optimiser.step()
    learned = float(gain.log_gain.detach().exp())
    assert learned > 15
    network.eval()
    sizes = [float(torch.linalg.svdvals(matrix)[0]) for matrix in matrices(network)]
    assert len(sizes) == 4
    assert sizes == pytest.approx([1.0] * 4, abs=0.02)
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    steepest = float(gradient.norm(dim=1).max())
    assert 0.2 * learned < steepest <= learned * math.prod(sizes) * (1 + 1e-5)


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


def test_the_walls_gradient_is_the_way_back_in() -> None:
    shape = torch.Size([4, 5])
    walled = ConvEnergy(ConvConfig(features=4, wall=0.2), shape, generator_of("conv", 3))
    plain = ConvEnergy(ConvConfig(features=4, wall=0), shape, generator_of("conv", 3))
    x = 1.5 * torch.randn(6, 4, 5, generator=generator_of("x", 4))
    difference = energy_and_gradient(walled, x)[1] - energy_and_gradient(plain, x)[1]
    expected = (x - x.clamp(-1, 1)) / 0.2**2
    assert (expected != 0).any() and (expected == 0).any()
    assert torch.allclose(difference, expected, rtol=1e-4, atol=1e-4)


def test_the_wall_says_the_step_at_which_langevin_breaks() -> None:
    """Far outside, the wall is a Gaussian of precision 1 / wall²: stable below 2 wall²."""
    config = ConvConfig(features=4, wall=0.1)
    energy = ConvEnergy(config, torch.Size([4, 4]), generator_of("conv", 4))
    for parameter in energy.net.parameters():
        nn.init.zeros_(parameter)
    assert config.derived()["wall"] == "Langevin steps must stay below 0.02 to be stable."
    sizes = []
    for step_size in (0.018, 0.022):
        sampler = Langevin(LangevinConfig(step_size=step_size))
        start = torch.full((4, 4, 4), 30.0)
        walk = samplers.run(sampler, start, energy, generator_of("wall", 0), 100)
        sizes.append(float(walk.state.position.abs().max()))
    assert sizes[0] < 5 and sizes[1] > 1e5


SHAPES = [
    (8, 8),
    (9, 7),
    (5, 11),
    (28, 28),
    (4, 4, 1),
    (7, 9, 2),
    (32, 32, 3),
    (13, 6, 3),
    (4, 256),
]


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_of_many_shapes(shape: tuple[int, ...], spectral_norm: bool) -> None:
    """One energy an image, whatever else is in the batch, and every pixel counts."""
    config = ConvConfig(features=4, wall=0, spectral_norm=spectral_norm)
    energy = ConvEnergy(config, torch.Size(shape), generator_of("conv", 1)).eval()
    x = torch.rand(3, *shape, generator=generator_of("x", *shape)) * 2 - 1
    values, gradient = energy_and_gradient(energy, x)
    assert values.shape == (3,) and len(values.unique()) == 3
    assert torch.allclose(energy(x[1:2]), values[1:2], rtol=1e-4, atol=1e-5)
    seen = (gradient != 0).any(0)
    # a side of odd length loses at most its last row where it is halved
    assert seen.float().mean() > 0.7


def test_grey_images_with_and_without_a_channel_axis_are_the_same() -> None:
    config = ConvConfig(features=4)
    flat = ConvEnergy(config, torch.Size([8, 6]), generator_of("conv", 5))
    deep = ConvEnergy(config, torch.Size([8, 6, 1]), generator_of("conv", 5))
    x = torch.randn(3, 8, 6, generator=generator_of("x", 5))
    assert torch.equal(flat(x), deep(x[..., None]))


def test_colours_are_the_last_axis() -> None:
    """Weights that look at one channel alone: only x[..., that channel] changes the energy."""
    energy = ConvEnergy(ConvConfig(features=4, wall=0), torch.Size([6, 8, 3]), generator_of("c", 0))
    first = energy.net[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight[:, [0, 2]] = 0
    _, gradient = energy_and_gradient(energy, torch.zeros(1, 6, 8, 3))
    assert (gradient[..., [0, 2]] == 0).all() and (gradient[..., 1] != 0).any()


@pytest.mark.bad_input
@pytest.mark.parametrize("shape", [(2,), (3, 8), (8, 300), (1, 8, 8), (2, 8, 8, 3)], ids=str)
def test_a_shape_that_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"needs images .* Use `mlp`"):
        ConvEnergy(ConvConfig(), torch.Size(shape), generator_of("conv", 6))
    assert MLPEnergy.fits(torch.Size(shape)) == ""


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_an_energy_under_bfloat16_is_float32_and_close(kind: str) -> None:
    shape = torch.Size([8, 8])
    network: NetworkEnergy = (
        MLPEnergy(MLPConfig(width=16), shape, generator_of("net", 3))
        if kind == "mlp"
        else ConvEnergy(ConvConfig(features=4), shape, generator_of("net", 3))
    )
    x = torch.rand(8, *shape, generator=generator_of("x", 2)) * 2 - 1
    full, steep = energy_and_gradient(network, x)
    network.precision = torch.bfloat16
    low, coarse = energy_and_gradient(network, x)
    assert low.dtype == coarse.dtype == torch.float32
    assert not torch.equal(low, full)
    # bfloat16 keeps 8 bits: some rounding in each of the layers, all numbers below 1 in size
    assert torch.allclose(low, full, atol=5 * 2**-8)
    assert torch.nn.functional.cosine_similarity(coarse.flatten(), steep.flatten(), 0) > 0.99


def test_the_precision_of_the_spec_reaches_the_network() -> None:
    from dataclasses import replace

    task = replace(small_task(torch.Size([2])), precision=torch.bfloat16)
    assert build_network(MLPConfig(), task).precision == torch.bfloat16


def test_no_layer_normalises_over_the_batch() -> None:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    energy = ConvEnergy(ConvConfig(), torch.Size([8, 8]), generator_of("conv", 2))
    assert not any(isinstance(module, kinds) for module in energy.modules())
