"""Products of linear layers by oneDNN: torch's values and gradients, chosen once and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.compilation.compiler import Compiler
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.networks import products
from backend.randomness import generator_of
from backend.system.home import cache

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)
PROCESSOR = "a processor"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    monkeypatch.setenv("BASIN_HOME", str(tmp_path))
    before = products.in_use()
    yield
    products.use(before)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes that oneDNN was asked for."""
    asked: list[torch.Size] = []
    plain = products._by_onednn

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        asked.append(x.shape)
        return plain(x, weight, bias)

    monkeypatch.setattr(products, "_by_onednn", counted)
    return asked


def layer(dtype: torch.dtype = torch.float32) -> products.Linear:
    made = nn.utils.skip_init(products.Linear, 96, 128).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator_of(1)))
    return made


def derivatives(made: nn.Module, x: Tensor) -> list[Tensor]:
    """Value; gradients of its energy; gradients of the squared gradient in x, as score matching
    takes them."""
    x = x.detach().requires_grad_(True)
    value = made(x)
    energy = torch.tanh(value).sum()
    leaves = [x, *made.parameters()]
    first = torch.autograd.grad(energy, leaves, create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), leaves)
    return [value, *first, *second]


@pytest.mark.parametrize("shape", [(200, 96), (4, 50, 96)])
def test_values_gradients_and_double_gradients_are_torchs(
    shape: tuple[int, ...], calls: list[torch.Size]
) -> None:
    x, exact = torch.randn(shape, generator=generator_of("x")), layer(torch.float64)
    wanted = derivatives(exact, x.double())
    errors = {}
    for name in ("torch", "onednn"):
        products.use(name)
        parts = zip(derivatives(layer(), x), wanted, strict=True)
        errors[name] = max(float(((a - b).norm() / b.norm()).detach()) for a, b in parts)
    assert len(calls) >= 6  # forth, and back in x and weight, twice
    assert errors["onednn"] < 2 * errors["torch"] < 2e-6


@pytest.mark.parametrize(
    "x",
    [torch.ones(4, 96), torch.ones(200, 96, dtype=torch.float64)],
    ids=["few rows", "other dtype"],
)
def test_what_does_not_fit_is_left_to_torch(x: Tensor, calls: list[torch.Size]) -> None:
    products.use("onednn")
    made = layer(x.dtype)
    wanted = nn.functional.linear(x, made.weight, made.bias)
    assert torch.equal(made(x), wanted) and not calls


def test_a_compiled_step_takes_them_and_gives_what_eager_gives() -> None:
    config = MLPConfig(width=64, depth=2)
    energy = MLPEnergy(config, torch.Size([2]), generator_of("network"))
    x = torch.randn((500, 2), generator=generator_of("x"))
    products.use("onednn")
    compiler = Compiler(background=False)
    compiled = compiler(energy_and_gradient, energy, x)
    (piece,) = compiler._pieces[energy].values()
    assert piece.traced is not None and "basin.linear" in piece.traced.graph.code
    if compiler.status.phase == "compiled":
        for one, other in zip(compiled, energy_and_gradient(energy, x), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    else:
        assert "compiler" in compiler.status.reason


def test_the_choice_is_measured_once_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.SETTING, "measured")
    monkeypatch.setattr(products, "_worth_a_try", lambda: True)
    monkeypatch.setattr(products, "_processor", lambda: PROCESSOR)
    monkeypatch.setattr(products, "measured", lambda: "onednn")
    assert products.chosen() == "onednn"
    assert json.loads((cache() / "products.json").read_text()) == {PROCESSOR: "onednn"}
    monkeypatch.setattr(products, "measured", lambda: "torch")
    assert products.chosen() == "onednn"
    monkeypatch.setattr(products, "_processor", lambda: "another")
    assert products.chosen() == "torch"
    (cache() / "products.json").write_text("[")
    assert products.chosen() == "torch"
    monkeypatch.setattr(products, "_worth_a_try", lambda: False)
    monkeypatch.setattr(products, "measured", lambda: pytest.fail("measured in vain"))
    assert products.chosen() == "torch"


def test_only_what_is_quicker_at_equal_error_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return (x.bfloat16() @ weight.bfloat16().T).float()

    def instant(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if x.shape not in answers:
            answers[x.shape] = nn.functional.linear(x, weight)
        return answers[x.shape]

    answers: dict[torch.Size, Tensor] = {}
    monkeypatch.setattr(products, "_by_onednn", rounded)
    assert products.measured() == "torch"
    monkeypatch.setattr(products, "_by_onednn", instant)
    assert products.measured() == "onednn"


def test_the_setting_decides_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.SETTING, "onednn")
    assert products.chosen() == "onednn"
    monkeypatch.setenv(products.SETTING, "fastest")
    with pytest.raises(BadInput, match="measured, torch or onednn, got 'fastest'"):
        products.chosen()
