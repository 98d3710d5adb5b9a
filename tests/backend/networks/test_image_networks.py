"""Networks for images: what they are told, how they start, and arithmetic that changes nothing."""

from __future__ import annotations

import copy
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.compilation.tracing import trace
from backend.energies import NO_LABEL
from backend.energies.unet import UNetConfig, UNetEnergy
from backend.energies.wide_resnet import WideResNetConfig, WideResNetEnergy
from backend.energy import energy_and_gradient
from backend.gradient_use import differentiated
from backend.networks.compiled import Compiled
from backend.networks.conditioning import ConditionEmbedding, condition_embedding
from backend.networks.residual_blocks import ResidualBlock, halved
from backend.networks.unet import UNet
from backend.networks.wide_resnet import WideResNet
from backend.objectives.score_matching import denoising_score_matching
from backend.randomness import generator_of

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="no C++ compiler here"
)


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=generator_of("images", *shape)) * 2 - 1


def moved(module: nn.Module) -> nn.Module:
    """The module with layers that start at zero drawn too, as after some training."""
    generator = generator_of("moved")
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def unet(*told: int, **how: Any) -> UNet:
    return UNet(1, 8, (1, 2), *(told or (0, 0)), generator_of("unet"), **how)


# ---------------------------------------------------------------------- parts


def test_what_is_not_told_is_the_least_noise_and_no_class() -> None:
    embedding = ConditionEmbedding(3, 4, 8, generator_of("e", 0))
    untold = embedding(5, None, None)
    assert untold.shape == (5, 8)
    assert torch.equal(untold, embedding(5, torch.tensor(0), torch.tensor(NO_LABEL)))
    rows = [
        embedding(1, torch.tensor([level]), torch.tensor([label]))
        for level in range(3)
        for label in range(NO_LABEL, 4)
    ]
    assert len(torch.cat(rows).unique(dim=0)) == 15, "each level with each class has its own"


def test_an_embedding_is_told_each_of_the_batch_apart() -> None:
    embedding = ConditionEmbedding(2, 3, 8, generator_of("e", 1))
    labels = torch.tensor([2, NO_LABEL, 0])
    together = embedding(3, torch.tensor(1), labels)
    for row, label in enumerate(labels):
        alone = embedding(1, torch.tensor([1]), label[None])
        assert torch.allclose(together[row], alone[0], atol=1e-6)
    assert condition_embedding(0, 0, 8, generator_of("e", 2)) is None


def test_a_level_alone_and_a_label_alone_have_no_rows_of_the_other() -> None:
    assert ConditionEmbedding(4, 0, 8, generator_of("e", 3)).labels is None
    only_labels = ConditionEmbedding(0, 4, 8, generator_of("e", 3))
    assert only_labels.levels is None
    assert only_labels.labels is not None and only_labels.labels.num_embeddings == 5


def test_halving_takes_the_mean_of_every_pixel_there_is() -> None:
    x = torch.arange(1 * 1 * 9 * 8.0).reshape(1, 1, 9, 8)
    small = halved(x)
    assert small.shape == (1, 1, 5, 4)
    assert float(small[0, 0, 0, 0]) == (0 + 1 + 8 + 9) / 4
    assert float(small[0, 0, 4, 3]) == (70 + 71) / 2, "the odd row is averaged alone"
    assert torch.equal(halved(x[:, :, :7]), x[:, :, :7]), "7 pixels are not halved"


def test_a_block_without_gain_is_its_shortcut() -> None:
    block = ResidualBlock(4, 4, generator_of("b", 0), activation="silu", gain=0.0, embedding=6)
    x = torch.randn(2, 4, 5, 5, generator=generator_of("x", 0))
    told = torch.randn(2, 6, generator=generator_of("x", 1))
    assert torch.equal(block(x, told), x)
    with torch.no_grad():
        block.gain.gain[2] = 1.0
    changed = (block(x, told) - x).abs().amax((0, 2, 3))
    assert changed[2] > 0 and not changed[[0, 1, 3]].any(), "each channel has a gain of its own"


# ---------------------------------------------------------------------- U-Net


@pytest.mark.parametrize("shape", [(8, 8), (9, 14), (28, 28), (12, 8, 3), (16, 16, 1)], ids=str)
def test_a_unet_starts_as_the_identity_and_keeps_the_shape(shape: tuple[int, ...]) -> None:
    network = UNet((*shape, 1)[2], 4, (1, 2, 2), 0, 0, generator_of("unet"))
    x = images(2, *shape)
    assert torch.equal(network(x), x)
    after = moved(network)(x)
    assert after.shape == x.shape and not torch.equal(after, x)
    assert torch.allclose(network(x[:1]), after[:1], atol=1e-5), "rows answer for each other"


def test_a_unet_without_the_residual_starts_at_zero() -> None:
    x = images(2, 8, 8)
    assert not unet(residual=False)(x).any()
    apart = moved(unet())(x) - moved(unet(residual=False))(x)
    assert torch.allclose(apart, x, atol=1e-6)


def test_every_pixel_a_unet_gives_depends_on_all_it_is_given() -> None:
    """8×8 pixels through two resolutions: what is far away comes by way of the small one."""
    network = moved(UNet(1, 4, (1, 2), 0, 0, generator_of("unet"), num_blocks=2))
    x = images(1, 8, 8).requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(x)[0, 0, 0], x)
    assert (gradient != 0).all()


def test_a_unet_is_told_of_levels_and_labels() -> None:
    network, x = moved(unet(3, 2)), images(1, 8, 8).expand(4, 8, 8)
    levels, labels = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0, 0, NO_LABEL])
    told = network(x, levels, labels)
    assert len(told.flatten(1).unique(dim=0)) == 4
    assert torch.allclose(network(x), network(x, torch.tensor(0), torch.tensor(NO_LABEL)))


def test_gradients_reach_every_weight() -> None:
    networks = [moved(unet(2, 2)), WideResNet(1, 4, (1, 2), 2, generator_of("w"), num_labels=2)]
    for network in networks:
        network(images(3, 8, 8), None, torch.tensor([0, 1, NO_LABEL])).square().sum().backward()
        unmoved = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert unmoved == []


# ---------------------------------------------------------------------- wide ResNet


def test_the_readout_is_a_sum_over_pixels_dotted_with_the_conditions_vector() -> None:
    """Blocks without gain and a first layer that passes one pixel on: Σ a(x) v, by hand."""
    network = WideResNet(1, 1, (1,), 1, generator_of("w", 0), num_labels=3, activation="leaky_relu")
    (block,) = network.stages[0].blocks  # type: ignore[union-attr,misc]
    with torch.no_grad():
        block.gain.gain.zero_()
        network.first.weight.zero_()  # type: ignore[operator]
        network.first.weight[0, 0, 1, 1] = 1.0  # type: ignore[index]
        network.first.bias.zero_()  # type: ignore[operator]
    x, labels = images(3, 6, 5), torch.tensor([2, NO_LABEL, 0])
    assert network.embedding is not None
    vectors = network.readout(network.embedding(3, None, labels))[:, 0]
    expected = torch.where(x > 0, x, 0.2 * x).sum((1, 2)) * vectors
    assert torch.allclose(network(x, None, labels), expected[:, None], atol=1e-5)


def test_spectral_norm_is_on_every_layer_but_the_readout() -> None:
    network = WideResNet(3, 4, (1, 2), 1, generator_of("w", 1), spectral=True, num_levels=3)
    network(images(2, 8, 8, 3))
    network.eval()
    sizes = {
        name: float(torch.linalg.svdvals(layer.weight.detach().flatten(1))[0])
        for name, layer in network.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and not name.startswith("embedding")
    }
    free = sizes.pop("readout")
    assert len(sizes) == 1 + 2 * 3 + 1
    assert list(sizes.values()) == pytest.approx([1.0] * len(sizes), abs=0.02)
    assert free < 0.9


# ---------------------------------------------------------------------- arithmetic

ENERGIES = {
    "unet": lambda **how: UNetEnergy(
        UNetConfig(features=8, **how), torch.Size([8, 8]), generator_of("e"), 2, 3
    ),
    "wide_resnet": lambda **how: WideResNetEnergy(
        WideResNetConfig(features=8, spectral_norm=True, **how),
        torch.Size([8, 8]),
        generator_of("e"),
        2,
        3,
    ),
}


@pytest.mark.parametrize("kind", sorted(ENERGIES))
def test_channels_last_is_the_same_network(kind: str) -> None:
    plain, last = moved(ENERGIES[kind]()), moved(ENERGIES[kind](channels_last=True))
    assert all(map(torch.equal, plain.state_dict().values(), last.state_dict().values()))
    layers = [module for module in last.modules() if isinstance(module, nn.Conv2d)]
    laid: list[bool] = []
    for layer in layers:
        layer.register_forward_hook(
            lambda module, given, out: laid.append(
                out.is_contiguous(memory_format=torch.channels_last) and not out.is_contiguous()
            )
        )
    x = images(4, 8, 8)
    for got, expected in zip(*(energy_and_gradient(e, x) for e in (last, plain)), strict=True):  # type: ignore[arg-type]
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    # all but the first, and what the U-Net gives: one channel lies the same either way
    assert len(laid) == len(layers) and sum(laid) >= len(layers) - 2


@pytest.mark.parametrize("kind", sorted(ENERGIES))
def test_bfloat16_gives_float32_energies_within_rounding(kind: str) -> None:
    """bfloat16 keeps 8 bits. Sums over 256 pixels end in float32, so neighbours are told apart."""
    energy = moved(ENERGIES[kind]()).eval()
    x = images(16, 8, 8)
    full, steep = energy_and_gradient(energy, x)  # type: ignore[arg-type]
    energy.precision = torch.bfloat16  # type: ignore[assignment]
    low, coarse = energy_and_gradient(energy, x)  # type: ignore[arg-type]
    assert low.dtype == coarse.dtype == torch.float32
    assert not torch.equal(low, full)
    assert (low - full).abs().max() < 4 * 2**-8 * full.abs().max()
    assert not torch.equal(low.bfloat16().float(), low), "the sum itself was not rounded"
    assert nn.functional.cosine_similarity(coarse.flatten(), steep.flatten(), 0) > 0.995


def test_the_readout_is_not_rounded_under_bfloat16() -> None:
    """64×64 pixels of one value: a sum kept in bfloat16 would lose what a pixel adds."""
    network = WideResNet(1, 2, (1,), 1, generator_of("w", 2))
    seen: list[torch.dtype] = []
    network.readout.register_forward_hook(
        lambda module, given, out: seen.extend([given[0].dtype, out.dtype])
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = network(torch.zeros(2, 64, 64))
    assert seen == [torch.float32] * 2 and value.dtype == torch.float32


def test_spectral_norm_is_taken_in_full_precision_under_bfloat16() -> None:
    network = WideResNet(1, 4, (1,), 1, generator_of("w", 3), spectral=True)
    other = copy.deepcopy(network)
    x = images(2, 8, 8)
    network(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        other(x)
    for kept, expected in zip(other.buffers(), network.buffers(), strict=True):
        assert torch.equal(kept, expected)


# ---------------------------------------------------------------------- compiling


@pytest.fixture
def eager_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of a compiled call but the machine code, which takes too long here."""
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: whole(function, backend="aot_eager"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(ENERGIES))
def test_a_compiled_network_trains_and_samples_as_eager(kind: str, eager_backend: None) -> None:
    plain, quick = moved(ENERGIES[kind]()), moved(ENERGIES[kind](compile=True))
    assert plain.state_dict().keys() == quick.state_dict().keys()
    for size in (4, 6):
        x = images(size, 8, 8)
        pairs = []
        for energy in (plain, quick):
            energy.zero_grad()
            value, gradient = energy_and_gradient(energy, x)  # type: ignore[arg-type]
            energy(x).mean().backward()
            learned = [p.grad.clone() for p in energy.parameters() if p.grad is not None]
            pairs.append([value, gradient, *learned])
        assert len(pairs[0]) == len(pairs[1]) > 20
        for got, expected in zip(*pairs, strict=True):
            assert torch.allclose(got, expected, rtol=1e-3, atol=1e-5)
    assert quick.compiled.status.phase == "compiled", quick.compiled.status  # type: ignore[union-attr]
    assert all(parameter.requires_grad for parameter in quick.parameters())


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).square().flatten(1).sum(1)


def test_a_copy_runs_on_its_own_weights(eager_backend: None) -> None:
    compiled, module = Compiled(), Squares()
    x = torch.ones(2, 3)
    assert compiled(module, x).tolist() == [12, 12]
    other, twin = copy.deepcopy((module, compiled))
    with torch.no_grad():
        other.scale.fill_(1.0)
    assert twin.status.phase == "eager"
    assert twin(other, x).tolist() == [3, 3] and compiled(module, x).tolist() == [12, 12]


def test_where_only_positions_are_differentiated_weights_pay_nothing(eager_backend: None) -> None:
    compiled, module = Compiled(), Squares()
    x = torch.ones(2, 3, requires_grad=True)
    with differentiated("positions"):
        value = compiled(module, x)
    value.sum().backward()
    assert module.scale.grad is None and module.scale.requires_grad
    assert x.grad is not None and (x.grad == 8).all()
    compiled(module, x).sum().backward()
    assert float(module.scale.grad) == 2 * 2 * 6


def test_score_matching_of_a_compiled_network_is_that_of_eager(eager_backend: None) -> None:
    losses = []
    for compile in (False, True):
        energy = moved(ENERGIES["unet"](compile=compile))
        loss = denoising_score_matching(energy, images(4, 8, 8), 0.1, generator_of("z"))  # type: ignore[arg-type]
        loss.backward()
        losses.append(float(loss.detach()))
        assert all(p.grad is not None for n, p in energy.named_parameters() if "last.weight" in n)
    assert losses[0] == losses[1]


def test_what_cannot_be_compiled_runs_eager_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(function: Any) -> Any:
        def fails(*given: Any) -> Tensor:
            raise RuntimeError("no compiler found\nat all")

        return fails

    monkeypatch.setattr(torch, "compile", broken)
    energy, plain = ENERGIES["wide_resnet"](compile=True), ENERGIES["wide_resnet"]()
    x = images(2, 8, 8)
    assert torch.equal(energy(x), plain(x))
    status = energy.compiled.status  # type: ignore[union-attr]
    assert status.phase == "failed"
    assert str(status) == "compiled path failed: RuntimeError: no compiler found"
    assert "no compiler found" in caplog.text
    assert torch.equal(energy(x), plain(x))
    assert len(caplog.records) == 1, "said once"


def test_a_sampler_takes_the_whole_step_of_a_network_that_would_compile_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", None)
    energy, x = ENERGIES["wide_resnet"](compile=True).eval(), images(4, 8, 8)
    traced = trace(energy_and_gradient, energy, (x,))
    assert energy.compiled.status.phase == "eager"
    own = [owner[name] for owner, name in traced.slots]
    plain = energy_and_gradient(ENERGIES["wide_resnet"]().eval(), x)
    for got, expected in zip(traced.graph(*own, x), plain, strict=True):
        assert torch.allclose(got, expected, atol=1e-5)


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_machine_code_gives_the_numbers_of_eager() -> None:
    found = []
    for compile in (False, True):
        config = WideResNetConfig(features=4, multipliers="1", compile=compile)
        energy = WideResNetEnergy(config, torch.Size([8, 8]), generator_of("e")).eval()
        found.append(energy_and_gradient(energy, images(4, 8, 8)))
        if energy.compiled is not None:
            assert energy.compiled.status.phase == "compiled", energy.compiled.status
    for got, expected in zip(*found, strict=True):
        assert torch.allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", sorted(ENERGIES))
def test_a_gpu_in_bfloat16_channels_last_and_compiled_agrees_with_float32(kind: str) -> None:
    config_of: Any = {"unet": UNetConfig, "wide_resnet": WideResNetConfig}[kind]
    energy_of: Any = {"unet": UNetEnergy, "wide_resnet": WideResNetEnergy}[kind]
    found = []
    for quick in (False, True):
        config = config_of(
            features=32, multipliers="1,2,2", num_blocks=2, channels_last=quick, compile=quick
        )
        energy = energy_of(config, torch.Size([32, 32, 3]), generator_of("gpu"), 3, 10)
        energy = moved(energy).to("cuda").eval()
        energy.precision = torch.bfloat16 if quick else torch.float32
        x = images(16, 32, 32, 3).to("cuda")
        value, gradient = energy_and_gradient(energy, x)
        energy(x).mean().backward()
        learned = torch.cat([p.grad.flatten() for p in energy.parameters() if p.grad is not None])
        found.append((value, gradient.flatten(), learned))
        if quick:
            assert energy.compiled.status.phase == "compiled", energy.compiled.status
    (value, *slopes), (exact, *expected) = found[1], found[0]
    assert value.dtype == torch.float32
    assert (value - exact).abs().max() < 8 * 2**-8 * exact.abs().max()
    for got, wanted in zip(slopes, expected, strict=True):
        assert nn.functional.cosine_similarity(got, wanted, 0) > 0.99
