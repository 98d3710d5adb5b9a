"""Objectives against closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend.energies.closed_form import Ring
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import Energy
from backend.objectives.contrastive import contrastive, whole
from backend.objectives.score_matching import denoising_error, denoising_score_matching
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


def test_with_exact_samples_it_goes_the_way_of_the_likelihood() -> None:
    """∂/∂λ of the mean −log N(x; μ, 1/λ) in d dimensions is E|x − μ|²/2 − d/(2λ)."""
    precision, num, dim = 2.5, 100_000, 2
    energy = Quadratic(precision, 0.5)
    x_data = torch.randn(num, dim, generator=generator_of("d", 1), dtype=torch.float64)
    noise = torch.randn(num, dim, generator=generator_of("m", 1), dtype=torch.float64)
    contrastive(energy, x_data, 0.5 + noise / precision**0.5, 0.0).loss.backward()
    expected = (x_data - 0.5).square().sum(1).mean() / 2 - dim / (2 * precision)
    # of |noise|²/(2λ): the variance of a chi-squared law is twice its degrees of freedom
    error = (2 * dim) ** 0.5 / (2 * precision) / num**0.5
    assert energy.precision.grad is not None
    assert abs(float(energy.precision.grad - expected)) < 4 * error


def test_on_a_network_it_is_the_difference_of_the_mean_gradients() -> None:
    network = MLPEnergy(MLPConfig(width=8, depth=2), torch.Size([2]), generator_of("net", 0))
    network = network.double()
    x_data = torch.randn(30, 2, generator=generator_of("d", 2), dtype=torch.float64)
    x_model = torch.randn(50, 2, generator=generator_of("m", 2), dtype=torch.float64)
    weights = list(network.parameters())
    got = torch.autograd.grad(contrastive(network, x_data, x_model, 0.0).loss, weights)
    on_data = torch.autograd.grad(network(x_data).mean(), weights)
    on_model = torch.autograd.grad(network(x_model).mean(), weights)
    for mine, data, model in zip(got, on_data, on_model, strict=True):
        assert torch.allclose(mine, data - model, atol=1e-12)


# ---------------------------------------------------------------------- score matching

SPREAD, CENTRE = 0.7, -0.3
"""Standard deviation and mean of the data, in each of two dimensions."""


def expected_loss(precision: Tensor, mean: Tensor, noise_sd: float) -> Tensor:
    """½ E|z − σλ(x + σz − μ)|² for x ~ N(CENTRE, SPREAD² I), in closed form."""
    kept = (1 - noise_sd**2 * precision) ** 2 + (noise_sd * precision * SPREAD) ** 2
    return 0.5 * (2 * kept + (noise_sd * precision) ** 2 * (CENTRE - mean).square().sum())


def in_batches(energy: Energy, weights: list[Tensor], noise_sd: float) -> tuple[Tensor, Tensor]:
    """Mean of (loss, its gradient) over 60 batches of 2,000 and its standard error."""
    generator = generator_of("batches", str(noise_sd))
    rows = []
    for _ in range(60):
        x = CENTRE + SPREAD * torch.randn(2000, 2, generator=generator, dtype=torch.float64)
        loss = denoising_score_matching(energy, x, noise_sd, generator)
        gradients = torch.autograd.grad(loss, weights)
        rows.append(torch.cat([part.detach().flatten() for part in (loss, *gradients)]))
    table = torch.stack(rows)
    return table.mean(0), table.std(0) / len(table) ** 0.5


@pytest.mark.parametrize("noise_sd", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("off", [(1.0, 0.0), (1.3, 0.0), (1.0, 0.2), (0.5, -0.4)], ids=str)
def test_denoisings_value_and_gradient_are_their_closed_form(
    noise_sd: float, off: tuple[float, float]
) -> None:
    """At the blurred density, λ = 1 / (s² + σ²) and μ the data's mean, and away from it."""
    energy = Quadratic(off[0] / (SPREAD**2 + noise_sd**2), CENTRE + off[1])
    weights: list[Tensor] = [energy.precision, energy.mean]
    truth = expected_loss(energy.precision, energy.mean, noise_sd)
    slopes = torch.autograd.grad(truth, weights)
    expected = torch.cat([part.detach().flatten() for part in (truth, *slopes)])
    got, error = in_batches(energy, weights, noise_sd)
    assert ((got - expected).abs() < 4 * error).all()
    if off == (1.0, 0.0):
        left = SPREAD**2 / (SPREAD**2 + noise_sd**2)
        assert float(truth.detach()) == pytest.approx(left), "noise that data could have made"
        assert (expected[1:].abs() < 1e-12).all()


class Tilted(Energy):
    """θ E(x), θ learned: least at θ = 1 if E is the energy sought."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy
        self.theta = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.theta * self.energy(x)


def test_denoising_seeks_the_blurred_density_of_data_with_modes() -> None:
    """A ring of Gaussians blurred by σ is the ring with sd √(s² + σ²): there, and only there."""
    noise_sd, generator = 0.4, generator_of("ring", 0)
    sharp, blurred = Ring(), Ring(sd=math.hypot(0.3, noise_sd))
    slopes: dict[str, list[float]] = {"sharp": [], "blurred": []}
    for _ in range(40):
        x = sharp.draw(2000, generator).double()
        for name, ring in (("sharp", sharp), ("blurred", blurred)):
            energy = Tilted(ring)
            denoising_score_matching(energy, x, noise_sd, generator).backward()
            assert energy.theta.grad is not None
            slopes[name].append(float(energy.theta.grad))
    in_errors = {
        name: float(torch.tensor(found).mean() / (torch.tensor(found).std() / len(found) ** 0.5))
        for name, found in slopes.items()
    }
    assert abs(in_errors["blurred"]) < 4
    assert in_errors["sharp"] > 20


def test_denoisings_noise_is_the_generators() -> None:
    x = torch.zeros(8, 2, dtype=torch.float64)
    before = torch.random.get_rng_state()
    first, second, other = (
        denoising_score_matching(Quadratic(1.0, 0.0), x, 0.5, generator_of("n", seed)).item()
        for seed in (0, 0, 1)
    )
    assert first == second != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_contrast_in_parts_is_that_of_the_whole() -> None:
    energy = Quadratic(2.0, 0.5)
    x_data = torch.randn(7, 2, generator=generator_of("d", 5), dtype=torch.float64)
    x_model = 3 * torch.randn(7, 2, generator=generator_of("m", 5), dtype=torch.float64)
    parts = [
        (len(data) / 7, contrastive(energy, data, model, 0.1))
        for data, model in zip(x_data.chunk(3), x_model.chunk(3), strict=True)
    ]
    expected = contrastive(energy, x_data, x_model, 0.1)
    for got, value in zip(whole(parts), expected, strict=True):
        assert float(got) == pytest.approx(float(value.detach()))
    assert not whole(parts).loss.requires_grad


def test_denoising_with_the_noise_given_is_the_square_it_says() -> None:
    """E = λ|x − μ|²/2 has s(x) = −λ(x − μ): the loss is ½ |z − σλ(x + σz − μ)|², averaged."""
    energy = Quadratic(2.0, 0.5)
    x = torch.randn(6, 2, generator=generator_of("d", 6), dtype=torch.float64)
    noise = torch.randn(6, 2, generator=generator_of("z", 6), dtype=torch.float64)
    expected = 0.5 * (noise - 0.3 * 2.0 * (x + 0.3 * noise - 0.5)).square().sum(1).mean()
    got = denoising_error(energy, x, noise, 0.3)
    assert float(got.detach()) == pytest.approx(float(expected))
