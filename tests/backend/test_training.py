"""Fitting: schedules, clipping, averaged weights, and state that survives a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.training import Fitter, TrainConfig, scheduled
from jobs import state


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
        1, 1, 0.1, 0.1, 0.03, 0.03,
    ]  # fmt: skip
    assert scheduled("constant", 0.9) == 1
    assert scheduled("cosine", 0) == 1
    assert scheduled("cosine", 0.5) == pytest.approx(0.505)
    assert scheduled("cosine", 1.0) == pytest.approx(0.01)


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


def test_the_average_follows_its_formula() -> None:
    layer = module()
    fitter = Fitter(TrainConfig(ema_decay=0.9), layer)
    expected = layer.weight.detach().clone()
    for step in range(5):
        fitter.update(loss_of(layer), step / 5)
        expected = 0.9 * expected + 0.1 * layer.weight.detach()
    assert fitter.fitted is not layer
    assert torch.allclose(fitter.fitted.weight, expected)  # type: ignore[arg-type]
    assert not any(weight.requires_grad for weight in fitter.fitted.parameters())


def test_without_an_average_the_module_itself_is_fitted() -> None:
    layer = module()
    assert Fitter(TrainConfig(), layer).fitted is layer


def test_everything_survives_a_checkpoint() -> None:
    class Method:
        def __init__(self) -> None:
            self.net = module()
            self.fitter = Fitter(TrainConfig(ema_decay=0.9, beta1=0.5), self.net)

    whole, resumed = Method(), Method()
    for step in range(3):
        whole.fitter.update(loss_of(whole.net), step / 6)
    tensors, tree = state.collect(whole)
    state.restore(resumed, tensors, tree, torch.device("cpu"))
    for step in range(3, 6):
        for each in (whole, resumed):
            each.fitter.update(loss_of(each.net), step / 6)
    assert torch.equal(whole.net.weight, resumed.net.weight)
    assert torch.equal(whole.fitter.fitted.weight, resumed.fitter.fitted.weight)  # type: ignore[arg-type]
