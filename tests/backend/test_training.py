"""Fitting: schedules, clipping, averaged weights, and state that survives a checkpoint."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from backend.networks.mlp import mlp
from backend.randomness import generator_of
from backend.spec import RunSpec
from backend.training import Fitter, TrainConfig, scheduled
from jobs.models import method_state
from jobs.records import run_store


def module() -> nn.Linear:
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
        layer.bias.zero_()
    return layer


def loss_of(layer: nn.Module, scale: float = 1.0) -> torch.Tensor:
    x = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])
    return scale * layer(x).square().mean()


def test_the_schedule_falls_where_it_says() -> None:
    assert [scheduled("steps", p) for p in (0, 0.59, 0.6, 0.84, 0.85, 0.999)] == [
        1,
        1,
        0.1,
        0.1,
        0.03,
        0.03,
    ]
    assert scheduled("constant", 0.9) == 1
    assert scheduled("cosine", 0) == 1
    assert scheduled("cosine", 0.5) == pytest.approx(0.505)
    assert scheduled("cosine", 1.0) == pytest.approx(0.01)


def test_the_rate_rises_over_the_share_that_warms_up_and_falls_as_it_would() -> None:
    assert [scheduled("constant", p, 0.2) for p in (0, 0.05, 0.1, 0.2, 0.9)] == [
        0,
        0.25,
        0.5,
        1,
        1,
    ]
    assert scheduled("steps", 0.7, 0.2) == scheduled("steps", 0.7)
    assert scheduled("cosine", 0.5, 1.0) == pytest.approx(0.5 * 0.505)
    layer = module()
    fitter = Fitter(TrainConfig(learning_rate=0.1, warm_up_share=0.5), layer)
    before = layer.weight.detach().clone()
    assert float(fitter.update(loss_of(layer), 0.0)["optimiser/learning_rate"]) == 0
    assert torch.equal(layer.weight.detach(), before)
    assert float(fitter.update(loss_of(layer), 0.25)["optimiser/learning_rate"]) == pytest.approx(
        0.05
    )


@pytest.mark.parametrize("num_parts", [1, 2, 3, 5, 64])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(num_parts: int) -> None:
    """∇ of mean (w·x + b)² is 2 E[(w·x + b) x], whatever the parts; 7 points share out unevenly."""
    layer = module().double()
    fitter = Fitter(TrainConfig(micro_batches=num_parts, gradient_clip=0), layer)
    x = torch.randn(7, 3, generator=generator_of("x", 0), dtype=torch.float64)
    residual = layer(x).detach()
    parts = list(fitter.split(x, residual))
    assert len(parts) == min(num_parts, 7)
    assert sum(share for share, _ in parts) == pytest.approx(1)
    assert torch.equal(torch.cat([part for _, (part, _) in parts]), x)
    fitter.update((share * layer(part).square().mean() for share, (part, _) in parts), 0.0)
    expected = 2 * (residual * x).mean(0, keepdim=True)
    assert torch.allclose(layer.weight.grad, expected)  # type: ignore[arg-type]


def test_one_parts_graph_is_gone_before_the_next_is_made() -> None:
    layer = module()
    fitter = Fitter(TrainConfig(micro_batches=4), layer)
    alive: list[weakref.ref[torch.Tensor]] = []

    def losses() -> Iterator[torch.Tensor]:
        for share, (part,) in fitter.split(torch.ones(8, 3)):
            assert not any(kept() is not None for kept in alive)
            hidden = layer(part)
            alive.append(weakref.ref(hidden))
            loss = share * hidden.square().mean()
            del hidden
            yield loss

    fitter.update(losses(), 0.0)
    assert len(alive) == 4


def test_the_rate_reported_is_the_rate_used() -> None:
    layer = module()
    fitter = Fitter(TrainConfig(learning_rate=0.1, gradient_clip=0, beta1=0.0), layer)
    before = layer.weight.detach().clone()
    said = fitter.update(loss_of(layer), 0.7)
    assert float(said["optimiser/learning_rate"]) == pytest.approx(0.01)
    # Adam's first step is the rate itself, in the direction of the gradient's sign
    assert (before - layer.weight.detach()).abs().max() == pytest.approx(0.01, rel=1e-3)


def test_gradients_are_clipped_by_their_norm_and_the_norm_before_is_told() -> None:
    layer, free = module(), module()
    fitter = Fitter(TrainConfig(gradient_clip=0.5), layer)
    said = fitter.update(loss_of(layer, 10), 0.0)
    loss_of(free, 10).backward()
    gradients = torch.cat([weight.grad.flatten() for weight in free.parameters()])  # type: ignore[union-attr]
    assert float(said["optimiser/gradient_norm"]) == pytest.approx(float(gradients.norm()))
    left = torch.cat([weight.grad.flatten() for weight in layer.parameters()])  # type: ignore[union-attr]
    assert float(left.norm()) == pytest.approx(0.5, rel=1e-3)
    assert torch.allclose(left / left.norm(), gradients / gradients.norm(), atol=1e-5)


def test_a_gradient_within_the_clip_is_left_alone() -> None:
    clipped, free = module(), module()
    for layer, clip in ((clipped, 100.0), (free, 0.0)):
        said = Fitter(TrainConfig(gradient_clip=clip), layer).update(loss_of(layer), 0.0)
        assert 1 < float(said["optimiser/gradient_norm"]) < 100
    assert torch.equal(clipped.weight.grad, free.weight.grad)  # type: ignore[arg-type]


def test_the_update_is_adams() -> None:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − a m̂/(√v̂ + 1e-8); Kingma & Ba 2015."""
    config = TrainConfig(learning_rate=0.05, beta1=0.6, beta2=0.9, gradient_clip=0)
    layer, by_hand = module(), module()
    fitter = Fitter(config, layer)
    memories = [(torch.zeros_like(w), torch.zeros_like(w)) for w in by_hand.parameters()]
    for step in range(1, 6):
        progress = step / 6
        fitter.update(loss_of(layer), progress)
        by_hand.zero_grad()
        loss_of(by_hand).backward()
        rate = 0.05 * scheduled("steps", progress)
        with torch.no_grad():
            for weight, (first, second) in zip(by_hand.parameters(), memories, strict=True):
                assert weight.grad is not None
                first.mul_(0.6).add_(0.4 * weight.grad)
                second.mul_(0.9).add_(0.1 * weight.grad.square())
                size = (second / (1 - 0.9**step)).sqrt() + 1e-8
                weight -= rate * first / (1 - 0.6**step) / size
    assert torch.allclose(layer.weight, by_hand.weight, atol=1e-6)
    assert torch.allclose(layer.bias, by_hand.bias, atol=1e-6)


def test_adamw_pulls_the_weights_apart_from_the_gradient() -> None:
    """w ← w − a λ w − a m̂/(√v̂ + 1e-8), at Adam's first step − a λ w − a sign g; Loshchilov &
    Hutter 2019."""
    shared = {"learning_rate": 0.05, "gradient_clip": 0.0, "weight_decay": 0.3}
    layer, by_hand = module(), module()
    Fitter(TrainConfig(optimiser="adamw", **shared), layer).update(loss_of(layer), 0.0)  # type: ignore[arg-type]
    loss_of(by_hand).backward()
    for weight, before in zip(layer.parameters(), by_hand.parameters(), strict=True):
        assert before.grad is not None
        expected = before - 0.05 * 0.3 * before - 0.05 * before.grad.sign()
        assert torch.allclose(weight, expected, atol=1e-6)
    coupled = module()
    Fitter(TrainConfig(optimiser="adam", **shared), coupled).update(loss_of(coupled), 0.0)  # type: ignore[arg-type]
    assert not torch.allclose(coupled.weight, layer.weight, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "memory", "fresh"),
    [
        ({"momentum": 0.9}, 0.9, 1.0),
        ({"momentum": 0.9, "weight_decay": 0.2, "gradient_clip": 0.5}, 0.9, 1.0),
        ({"beta1": 0.6, "weight_decay": 0.2}, 0.6, 0.4),
        ({"beta1": 0.6, "momentum": 0.9}, 0.9, 1.0),
        ({"weight_decay": 0.2}, 0.0, 1.0),
    ],
    ids=str,
)
def test_gradient_descent_remembers_and_decays_as_it_says(
    settings: dict[str, Any], memory: float, fresh: float
) -> None:
    """v ← m v + f (g + λ w), w ← w − a v, v the first g + λ w at the first step, as torch has it;
    λ comes after the clip."""
    config = TrainConfig(
        **{"optimiser": "sgd", "learning_rate": 0.05, "gradient_clip": 0.0, **settings}
    )
    layer, by_hand = module(), module()
    fitter = Fitter(config, layer)
    velocities: list[torch.Tensor] = []
    for step in range(4):
        fitter.update(loss_of(layer), 0.0)
        by_hand.zero_grad()
        loss_of(by_hand).backward()
        weights = list(by_hand.parameters())
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        clip = min(1.0, config.gradient_clip / float(norm)) if config.gradient_clip else 1.0
        with torch.no_grad():
            decayed = [
                clip * gradient + config.weight_decay * weight
                for gradient, weight in zip(gradients, weights, strict=True)
            ]
            velocities = (
                [
                    memory * velocity + fresh * now
                    for velocity, now in zip(velocities, decayed, strict=True)
                ]
                if step
                else decayed
            )
            for weight, velocity in zip(weights, velocities, strict=True):
                weight -= 0.05 * velocity
    assert torch.allclose(layer.weight, by_hand.weight, atol=1e-5)
    assert torch.allclose(layer.bias, by_hand.bias, atol=1e-5)


class Scaled(nn.Module):
    """A layer and a number of its own beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = module()
        self.log_z = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x) + self.log_z
        return result


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_parameter_may_have_a_rate_of_its_own(optimiser: Any) -> None:
    config = TrainConfig(optimiser=optimiser, learning_rate=0.001, gradient_clip=0)
    plain, quick = Scaled(), Scaled()
    rates = {"log_z": 100.0, "layer": 0.5, "layer.bias": 0.0}
    fitters = Fitter(config, plain), Fitter(config, quick, rates)
    for fitter in fitters:
        said = fitter.update(loss_of(fitter.module), 0.7)
        assert float(said["optimiser/learning_rate"]) == pytest.approx(1e-4)
    start = Scaled()
    moved = {
        name: [each.get_parameter(name) - start.get_parameter(name) for each in (plain, quick)]
        for name in ("log_z", "layer.weight", "layer.bias")
    }
    for name, factor in (("log_z", 100), ("layer.weight", 0.5), ("layer.bias", 0)):
        assert torch.allclose(moved[name][1], factor * moved[name][0], rtol=1e-2, atol=1e-9), name
    assert len(fitters[1].weights) == 3


def test_a_rate_for_a_parameter_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter 'weigh' among weight, bias"):
        Fitter(TrainConfig(), module(), {"weigh": 2.0})


def test_the_average_follows_its_formula() -> None:
    layer = module()
    fitter = Fitter(TrainConfig(ema_decay=0.9), layer)
    expected = layer.weight.detach().clone()
    for step in range(5):
        fitter.update(loss_of(layer), step / 5)
        expected = 0.9 * expected + 0.1 * layer.weight.detach()
    assert fitter.fitted is not layer
    assert torch.allclose(fitter.fitted.weight, expected)
    assert not any(weight.requires_grad for weight in fitter.fitted.parameters())


def test_without_an_average_the_module_itself_is_fitted() -> None:
    layer = module()
    assert Fitter(TrainConfig(), layer).fitted is layer


def test_the_average_of_a_normalised_network_carries_its_singular_vectors() -> None:
    """Buffers are state, not weights: the average takes the latest, and evaluates with them."""
    network = mlp(3, 8, 2, generator_of("net", 0), "silu", True)
    fitter = Fitter(TrainConfig(ema_decay=0.5), network)
    for step in range(4):
        fitter.update(loss_of(network), step / 4)
    fitted = fitter.fitted
    assert fitter.average is fitted is not network
    buffers = list(zip(fitted.buffers(), network.buffers(), strict=True))
    assert len(buffers) == 6
    assert all(torch.equal(kept, latest) for kept, latest in buffers)
    assert all(kept.data_ptr() != latest.data_ptr() for kept, latest in buffers)


class Method:
    """What a method that trains keeps."""

    def __init__(self, **settings: Any) -> None:
        settings = dict(settings)
        self.net = mlp(3, 8, 2, generator_of("net", 1), "silu", settings.pop("spectral", False))
        rates = settings.pop("rates", None)
        self.fitter = Fitter(TrainConfig(**settings), self.net, rates)

    def numbers(self) -> dict[str, torch.Tensor]:
        kept = {f"fitted.{key}": value for key, value in self.fitter.fitted.state_dict().items()}
        return {**self.net.state_dict(), **kept}


@pytest.mark.parametrize(
    "settings",
    [
        {"ema_decay": 0.9, "beta1": 0.5},
        {"schedule": "cosine"},
        {"ema_decay": 0.5, "spectral": True},
        {"optimiser": "adamw", "weight_decay": 0.1, "ema_decay": 0.9, "rates": {"1": 3.0}},
        {"optimiser": "sgd", "momentum": 0.9},
    ],
    ids=str,
)
def test_everything_survives_a_checkpoint(settings: dict[str, Any], basin_home: Path) -> None:
    """Through the file, as jobs write it: weights, Adam's memories, the average, bit for bit."""
    whole, resumed = Method(**settings), Method(**settings)
    for step in range(3):
        whole.fitter.update(loss_of(whole.net), step / 6)
    directory = run_store.create_run(RunSpec(method="any", data={"name": "ring"}))
    tensors, tree = method_state.collect(whole)
    directory.save_checkpoint(3, tensors, {"state": tree})
    assert not any(map(torch.equal, whole.net.parameters(), resumed.net.parameters()))

    found = directory.load_checkpoint()
    method_state.restore(resumed, found.tensors, found.meta["state"], torch.device("cpu"))
    for step in range(3, 6):
        said = [each.fitter.update(loss_of(each.net), step / 6) for each in (whole, resumed)]
        assert said[0] == said[1]
    mine, theirs = whole.numbers(), resumed.numbers()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_checkpoint_holds_every_weight_once() -> None:
    """Weights, their average, Adam's two memories: four numbers a weight, and its step counts."""
    method = Method(ema_decay=0.9)
    method.fitter.update(loss_of(method.net), 0.0)
    tensors, _ = method_state.collect(method)
    num_weights = sum(weight.numel() for weight in method.net.parameters())
    num_counts = len(list(method.net.parameters()))
    assert sum(tensor.numel() for tensor in tensors.values()) == 4 * num_weights + num_counts
