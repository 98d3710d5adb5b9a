"""Objectives against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.energy import Energy
from backend.objectives.contrastive import contrastive
from backend.objectives.score_matching import denoising_score_matching
from backend.randomness import generator_of


class Quadratic(Energy):
    """E(x) = λ |x − μ|² / 2, with λ and μ learned."""

    def __init__(self, precision: float, mean: float, dim: int = 2) -> None:
        super().__init__()
        self.precision = nn.Parameter(torch.tensor(precision, dtype=torch.float64))
        self.mean = nn.Parameter(torch.full((dim,), mean, dtype=torch.float64))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * self.precision * (x - self.mean).square().sum(1)


def test_its_gradient_is_that_of_the_likelihood() -> None:
    """∂/∂λ (E[E(x_data)] − E[E(x_model)]) = E|x_data − μ|²/2 − E|x_model − μ|²/2."""
    energy = Quadratic(2.0, 0.5)
    x_data = torch.randn(500, 2, generator=generator_of("d", 0), dtype=torch.float64)
    x_model = 3 * torch.randn(500, 2, generator=generator_of("m", 0), dtype=torch.float64)
    contrast = contrastive(energy, x_data, x_model.requires_grad_(True), 0.0)
    contrast.loss.backward()
    squares = [(x.detach() - 0.5).square().sum(1).mean() / 2 for x in (x_data, x_model)]
    assert energy.precision.grad == pytest.approx(float(squares[0] - squares[1]))
    expected = -2.0 * ((x_data - 0.5).mean(0) - (x_model.detach() - 0.5).mean(0))
    assert torch.allclose(energy.mean.grad, expected)  # type: ignore[arg-type]
    assert x_model.grad is None, "samples are given, not differentiated through"


def test_its_parts_are_what_they_say() -> None:
    energy = Quadratic(1.0, 0.0)
    x_data, x_model = torch.ones(4, 2).double(), 3 * torch.ones(4, 2).double()
    contrast = contrastive(energy, x_data, x_model, 0.1)
    assert (float(contrast.data), float(contrast.model), float(contrast.largest)) == (1, 9, 9)
    assert float(contrast.loss.detach()) == pytest.approx(1 - 9 + 0.1 * (1 + 81))


@pytest.mark.parametrize("noise_sd", [0.1, 0.5])
def test_denoising_finds_the_blurred_density(noise_sd: float) -> None:
    """Data N(μ, s²) and noise σ: the best λ is 1 / (s² + σ²), the best mean μ."""
    spread, mean = 0.7, -0.3
    energy = Quadratic(1.0, 0.0)
    optimiser = torch.optim.Adam(energy.parameters(), lr=0.02)
    generator = generator_of("dsm", str(noise_sd))
    kept = []
    for step in range(1500):
        x = mean + spread * torch.randn(512, 2, generator=generator, dtype=torch.float64)
        optimiser.zero_grad()
        denoising_score_matching(energy, x, noise_sd, generator).backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 1500)
        if step > 1000:
            kept.append((float(energy.precision.detach()), float(energy.mean.detach().mean())))
    precision = sum(p for p, _ in kept) / len(kept)
    assert precision == pytest.approx(1 / (spread**2 + noise_sd**2), rel=0.02)
    assert sum(m for _, m in kept) / len(kept) == pytest.approx(mean, abs=0.02)


def test_denoisings_value_is_its_closed_form() -> None:
    """At the best score it is d/2 · s² / (s² + σ²): the noise that cannot be told from data."""
    spread, noise_sd = 0.7, 0.5
    energy = Quadratic(1 / (spread**2 + noise_sd**2), 0.0)
    generator = generator_of("value", 0)
    x = spread * torch.randn(200_000, 2, generator=generator, dtype=torch.float64)
    value = float(denoising_score_matching(energy, x, noise_sd, generator).detach())
    expected = spread**2 / (spread**2 + noise_sd**2)
    assert value == pytest.approx(expected, abs=4 * expected / 200_000**0.5)
