"""State: whatever a method keeps comes back bit for bit, and nothing that cannot is let through."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from backend.errors import NotAvailable
from backend.sampler import State
from jobs.models import method_state

CPU = torch.device("cpu")


class Buffer:
    """A helper with state of its own, callable as schedules often are."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.rows = torch.zeros(4, 2)
        self.filled = 0

    def __call__(self, progress: float) -> float:
        return 1.0 - progress


class Holder:
    """Keeps one of everything; `advance` changes all of it."""

    def __init__(self, optimiser: str = "adam", width: int = 3) -> None:
        self.generator = torch.Generator().manual_seed(1)
        self.net = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.copy_(torch.rand(weight.shape, generator=self.generator))
        self.optimiser: torch.optim.Optimizer = {
            "adam": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
            "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
            "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
        }[optimiser](self.net.parameters())
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, 10)
        self.buffer = Buffer(self)
        self.chains: State | None = None
        self.same_position: torch.Tensor | None = None
        self.by_level = {1: torch.zeros(2), "name": [torch.zeros(()), 0.5]}
        self.best = float("inf")

    def advance(self) -> torch.Tensor:
        x = torch.randn(5, 2, generator=self.generator)
        loss = self.net(x).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.chains = State(x, x.sum(1), 2 * x)
        self.same_position = self.chains.position
        self.buffer.rows = self.buffer.rows + x[:4]
        self.buffer.filled += 1
        self.by_level[1] = x[0]
        self.best = min(self.best, float(loss.detach()))
        return loss.detach()


def through_a_file(holder: Holder) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from safetensors.torch import load, save

    tensors, tree = method_state.collect(holder)
    return load(save(tensors)), json.loads(json.dumps(tree))


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "rmsprop"])
def test_a_restored_object_goes_on_as_the_first_one_does(optimiser: str) -> None:
    first = Holder(optimiser)
    for _ in range(4):
        first.advance()
    second = Holder(optimiser)
    method_state.restore(second, *through_a_file(first), CPU)
    assert second.buffer.filled == 4 and second.best == first.best
    assert isinstance(second.chains, State)
    assert second.same_position is second.chains.position
    assert second.buffer.owner is second
    for _ in range(4):
        assert torch.equal(first.advance(), second.advance())
    mine, _ = method_state.collect(first)
    theirs, _ = method_state.collect(second)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def test_what_is_collected_does_not_change_with_the_object() -> None:
    holder = Holder()
    holder.advance()
    tensors, _ = method_state.collect(holder)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    holder.advance()
    assert all(torch.equal(tensors[name], before[name]) for name in tensors)


def test_a_mode_is_part_of_the_state() -> None:
    first, second = Holder(), Holder()
    first.net.eval()
    method_state.restore(second, *method_state.collect(first), CPU)
    assert not second.net.training


def test_an_attribute_is_found_by_the_name_it_had() -> None:
    first, second = Holder(), Holder()
    first.advance()
    first.statistics = State(*torch.arange(6.0).reshape(3, 2))  # type: ignore[attr-defined]
    second.statistics = None  # type: ignore[attr-defined]
    tensors, tree = through_a_file(first)
    tree["items"]["account"] = tree["items"].pop("statistics")
    renamed = {name.replace("statistics", "account"): value for name, value in tensors.items()}
    method_state.restore(second, renamed, tree, CPU)
    assert torch.equal(second.statistics.energy, torch.tensor([2.0, 3.0]))  # type: ignore[attr-defined]
    assert not hasattr(second, "account")


@pytest.mark.bad_input
def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(NotAvailable, match="does not fit"):
        method_state.restore(Holder(width=4), *method_state.collect(Holder(width=3)), CPU)


@pytest.mark.bad_input
def test_a_file_cannot_name_a_type_outside_basin() -> None:
    holder = Holder()
    holder.advance()
    tensors, tree = through_a_file(holder)
    tree["items"]["chains"]["named"] = "subprocess:Popen"
    with pytest.raises(NotAvailable, match="not a type of Basin"):
        method_state.restore(Holder(), tensors, tree, CPU)
