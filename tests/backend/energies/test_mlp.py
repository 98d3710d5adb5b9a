"""The multilayer perceptron as an energy: its gradient written out is that of autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend.data import Data, noise_box
from backend.energies import build_network
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import energy_and_gradient
from backend.method import Task
from backend.metrics.sites import independent_log_prob, site_log_probs
from backend.networks import products
from backend.randomness import generator_of


def energy(shape: tuple[int, ...] = (2,), kind: type[MLPEnergy] = MLPEnergy, **fields: Any) -> Any:
    return kind(MLPConfig(**{"width": 64, **fields}), torch.Size(shape), generator_of("mlp"))


def by_autograd(energy: MLPEnergy, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_(True)
    value = energy(x)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


@pytest.mark.parametrize("kind", ["torch", "onednn"])
@pytest.mark.parametrize(("shape", "depth"), [((2,), 3), ((3, 4), 1), ((10,), 2)])
def test_the_gradient_written_out_is_that_of_autograd(
    shape: tuple[int, ...], depth: int, kind: str
) -> None:
    network = energy(shape, depth=depth)
    x = torch.randn((300, *shape), generator=generator_of("positions"))
    products.use(kind)
    try:
        known = network.closed_form(x)
        assert known is not None
        torch.testing.assert_close(known, by_autograd(network, x), rtol=1e-6, atol=1e-7)
        value, gradient = energy_and_gradient(network, x)
    finally:
        products.use("torch")
    assert torch.equal(value, known[0]) and torch.equal(gradient, known[1])
    assert not value.requires_grad and not gradient.requires_grad


@pytest.mark.parametrize("num_values", [2, 3])
def test_a_straight_path_begins_at_independent_sites(num_values: int) -> None:
    rows = torch.randint(num_values, (200, 5), generator=generator_of("rows")).float()
    rows[:150, :2] = num_values - 1
    zero, one, box = torch.zeros(()), torch.ones(()), noise_box(rows)
    data = Data("given", "Given", rows, rows, zero, one, *box, num_values=num_values)
    task = Task(data, torch.device("cpu"), generator_of("network"))
    network = build_network(MLPConfig(width=16, straight=True), task)
    with torch.no_grad():
        energies = network(data.train).double()
    exact = -independent_log_prob(site_log_probs(data), data.train)
    torch.testing.assert_close(energies - energies[0], exact - exact[0], rtol=0, atol=1e-4)


def test_the_gradient_of_a_straight_path_is_that_of_autograd() -> None:
    network = energy((3, 4), straight=True)
    with torch.no_grad():
        network.straight.normal_(generator=generator_of("straight"))
    x = torch.randn((300, 3, 4), generator=generator_of("positions"))
    known = network.closed_form(x)
    assert known is not None
    torch.testing.assert_close(known, by_autograd(network, x), rtol=1e-6, atol=1e-6)


class Steeper(MLPEnergy):
    def outputs(self, x: Tensor, condition: Any = None) -> Tensor:
        return 2 * super().outputs(x, condition)


@pytest.mark.parametrize(
    "other",
    [
        energy(waves=2),
        energy(activation="tanh"),
        energy(spectral_norm=True),
        energy(kind=Steeper),
    ],
    ids=["waves", "another activation", "spectral norm", "a plug-in's own"],
)
def test_what_is_not_written_out_is_left_to_autograd(other: MLPEnergy) -> None:
    x = torch.randn((50, 2), generator=generator_of("positions"))
    other.eval()
    assert other.closed_form(x) is None
    torch.testing.assert_close(energy_and_gradient(other, x), by_autograd(other, x))
    assert other.double().closed_form(x.double()) is None


def test_double_precision_is_left_to_autograd() -> None:
    assert energy().double().closed_form(torch.zeros((3, 2), dtype=torch.float64)) is None
