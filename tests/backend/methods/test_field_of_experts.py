"""Fields of experts: minima, adjoints and slopes beside dense algebra and finite differences."""

from __future__ import annotations

from typing import Any

import torch

from backend import catalogue
from backend.methods.field_of_experts import FieldOfExperts as Method
from backend.objectives.bilevel import FieldOfExperts
from backend.randomness import generator_of
from backend.requests import fitting
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

LENGTH = 20


def field(smoothing: float = 0.4) -> FieldOfExperts:
    filters = torch.randn(3, 5, generator=generator_of("filters", 0), dtype=torch.float64)
    return FieldOfExperts(filters, 0.3, smoothing, learned=True)


def signals(key: str, num: int = 4) -> torch.Tensor:
    return torch.randn(num, LENGTH, generator=generator_of(key, 0), dtype=torch.float64)


def learned(preset: str = "default", **config: Any) -> Method:
    data = {"name": "signals", "num": 40}
    spec = RunSpec(method="field_of_experts", preset=preset, data=data, config=config, seed=0)
    method = prepare(spec, torch.device("cpu"), None).method
    assert isinstance(method, Method)
    return method


def test_slope_and_curvature_are_derivatives_of_the_energy() -> None:
    energy, x = field(), signals("x")
    matrix = energy.matrix(LENGTH)
    wanted = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(wanted).sum(), wanted)
    assert torch.allclose(energy.slope(x, matrix), slope, atol=1e-10)
    hessian = torch.autograd.functional.hessian(lambda z: energy(z[None])[0], x[0])
    assert torch.allclose(matrix.T @ (energy.curvature(x)[0][:, None] * matrix), hessian, atol=1e-9)
    assert float(torch.linalg.eigvalsh(hessian)[-1]) <= energy.lipschitz()


def test_total_variation_adds_up_the_sizes_of_jumps() -> None:
    energy = FieldOfExperts(torch.tensor([[-1.0, 1.0]]), 2.0, 1e-6, learned=False)
    x = torch.zeros(1, LENGTH)
    x[:, 5:9], x[:, 9:] = 3.0, 1.0
    assert abs(float(energy(x).detach()) - 2 * (3 + 2)) < 1e-3


def test_minima_and_adjoints_are_those_of_dense_algebra() -> None:
    energy, noisy = field(), signals("noisy")
    x, _ = energy.minimised(noisy, noisy, 1e-10)
    rest = x - noisy + energy.slope(x, energy.matrix(LENGTH)).detach()
    assert float(rest.abs().max()) <= 1e-10
    right = signals("right")
    q, _ = energy.adjoint(x, right, 1e-10)
    for row in range(len(x)):
        hessian = torch.autograd.functional.hessian(lambda z: energy(z[None])[0], x[row])
        exact = torch.linalg.solve(torch.eye(LENGTH).double() + hessian, right[row])
        assert torch.allclose(q[row], exact, atol=1e-7)


def test_where_all_answers_are_small_minima_are_those_of_ridge_regression() -> None:
    energy, noisy = field(smoothing=1e4), signals("noisy")
    matrix = energy.matrix(LENGTH)
    exact = torch.linalg.solve(torch.eye(LENGTH).double() + 0.3e-4 * matrix.T @ matrix, noisy.T).T
    x, _ = energy.minimised(noisy, noisy, 1e-11)
    assert torch.allclose(x, exact, atol=1e-6)


def test_the_slope_of_the_upper_level_is_that_of_finite_differences() -> None:
    energy, clean, noisy = field(), signals("clean"), signals("noisy")

    def upper() -> float:
        x, _ = energy.minimised(noisy, noisy, 1e-11)
        return float((x - clean).square().sum())

    x, _ = energy.minimised(noisy, noisy, 1e-11)
    q, _ = energy.adjoint(x, 2 * (x - clean), 1e-11)
    loss = -(energy.slope(x, energy.matrix(LENGTH)) * q).sum()
    slopes = torch.autograd.grad(loss, list(energy.parameters()))
    for weights, slope in zip(energy.parameters(), slopes, strict=True):
        flat = weights.data.view(-1)
        for place in (0, len(flat) - 1):
            before = float(flat[place])
            ends = []
            for step in (1e-4, -1e-4):
                flat[place] = before + step
                ends.append(upper())
            flat[place] = before
            assert abs((ends[0] - ends[1]) / 2e-4 - float(slope.view(-1)[place])) < 1e-4


def test_an_adaptive_accuracy_is_made_finer_until_the_slope_can_be_trusted() -> None:
    coarse = learned(accuracy=50.0, slack=0.2, weight=1.0)
    coarse.advance(0.0)
    field = coarse.fitter.module
    x = coarse.solution
    exact, _ = learned(weight=1.0).fitter.module.minimised(coarse.noisy, x, 1e-5)
    assert coarse.accuracy < 25
    assert float((x - exact).norm()) <= 0.1 * float((x - coarse.clean).norm()) + 1e-3
    fixed = learned(accuracy=0.5, adaptive=False)
    fixed.advance(0.0)
    assert fixed.accuracy == 0.5 and fixed.gradient_evaluations == fixed.evaluations > 0
    assert len(field.filters) == 6


def test_data_that_are_no_signals_are_refused_in_a_sentence() -> None:
    spec = RunSpec(method="field_of_experts", data={"name": "ring", "num": 400}, seed=0)
    resolved = catalogue.resolve(spec)
    data = resolved.dataset.load()
    assert dict(fitting.problems(resolved.method, resolved.config, data)).keys() == {"filter_size"}
    steps = catalogue.resolve_data({"name": "signals", "num": 400}).load()
    x = steps.restore(steps.train)
    jumps = (x[:, 1:] != x[:, :-1]).sum(1)
    assert int(jumps.min()) >= 2 and int(jumps.max()) <= 5 and 0 <= float(x.min()) <= 1
