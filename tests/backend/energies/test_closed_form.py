"""Closed forms: they integrate to one, draws follow them, gradients are right."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor

from backend.energies.closed_form import ClosedForm, Gaussian, GaussianMixture, Ring
from backend.energies.closed_form_curves import Circles, Moons, Spirals
from backend.energies.closed_form_shapes import Banana, Checkerboard, DoubleWell, Funnel, Pinwheel
from backend.energy import energy_and_gradient
from backend.metrics.density import Grid, energies
from backend.randomness import generator_of

CORRELATED = torch.tensor([[2.0, 0.9], [0.9, 0.6]])

PLANAR = {
    "ring": Ring(),
    "one mode": Ring(num_modes=1, radius=1.0, sd=0.5),
    "mixture": GaussianMixture(
        torch.tensor([[-2.0, 0.0], [1.0, 1.0]]), 0.4, torch.tensor([0.3, 0.7])
    ),
    "moons": Moons(),
    "sharp moons": Moons(0.02),
    "circles": Circles(),
    "spirals": Spirals(),
    "checkerboard": Checkerboard(),
    "pinwheel": Pinwheel(),
    "double well": DoubleWell(),
    "banana": Banana(),
}
SMOOTH = {key: value for key, value in PLANAR.items() if value.differentiable}
WITH_MOMENTS = {
    "correlated": Gaussian(torch.tensor([1.0, -2.0]), CORRELATED),
    "mixture": PLANAR["mixture"],
    "ring": PLANAR["ring"],
    "banana": PLANAR["banana"],
    "moons": PLANAR["moons"],
    "circles": PLANAR["circles"],
    "spirals": PLANAR["spirals"],
}


@functools.cache
def on_a_grid(name: str) -> tuple[Tensor, float]:
    """Energies over 400 × 400 cells, float64, and the area of one; some take a second."""
    target = PLANAR[name]
    assert target.box is not None
    grid = Grid(target.box, 400)
    return energies(target, grid.points()).double(), grid.cell


@pytest.mark.parametrize("name", PLANAR)
def test_integrates_to_one(name: str) -> None:
    """The midpoint rule is exact to far below 1e-5 at these widths; float32 limits the rest."""
    energy, cell = on_a_grid(name)
    total = (-energy).exp().sum() * cell
    assert float(total) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("target", PLANAR.values(), ids=PLANAR)
def test_draws_follow_the_density(target: ClosedForm) -> None:
    """Counts in a 12 x 12 histogram against the density's mass there: chi-squared per cell."""
    assert target.box is not None
    num, bins, fine = 40_000, 12, 30
    grid = Grid(target.box, bins * fine)
    mass = (-energies(target, grid.points()).double()).exp() * grid.cell
    expected = num * mass.reshape(bins, fine, bins, fine).sum((1, 3)).flatten()
    x = target.draw(num, generator_of(7)).double()
    low, high = torch.tensor(target.box).double().T
    place = ((x - low) / (high - low) * bins).floor().long().clamp(0, bins - 1)
    counts = torch.bincount(place[:, 1] * bins + place[:, 0], minlength=bins**2).double()
    filled = expected >= 5
    assert int(counts[expected < 0.01].sum()) <= 3
    chi = ((counts - expected)[filled].square() / expected[filled]).sum()
    freedom = int(filled.sum()) - 1
    assert abs(float(chi) - freedom) <= 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("name", PLANAR)
def test_mean_energy_of_draws_is_the_entropy(name: str) -> None:
    target = PLANAR[name]
    energy, cell = on_a_grid(name)
    terms = torch.where(energy.isinf(), 0.0, (-energy).exp() * energy)
    entropy = float(terms.sum() * cell)
    drawn = energies(target, target.draw(20_000, generator_of(11)))
    assert drawn.isfinite().all()
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert float(drawn.mean()) == pytest.approx(entropy, abs=4 * error + 1e-4)


@pytest.mark.parametrize("target", WITH_MOMENTS.values(), ids=WITH_MOMENTS)
def test_moments(target: Gaussian | GaussianMixture | Banana) -> None:
    num = 100_000
    x = target.draw(num, generator_of(5)).double()
    mean, covariance = target.moments()
    centred = x - mean
    products = centred[:, :, None] * centred[:, None, :]
    assert ((x.mean(0) - mean).abs() <= 4.5 * x.std(0) / num**0.5).all()
    assert ((products.mean(0) - covariance).abs() <= 4.5 * products.std(0) / num**0.5).all()


@pytest.mark.parametrize(
    "target", [*SMOOTH.values(), *list(WITH_MOMENTS.values())[:1], Funnel(), Funnel(5, 2.0)]
)
def test_gradient_against_finite_differences(target: ClosedForm) -> None:
    x = target.draw(64, generator_of(3)).double()
    _, gradient = energy_and_gradient(target, x)
    step = 1e-5
    for i in range(target.dim):
        shift = torch.zeros(target.dim, dtype=torch.float64)
        shift[i] = step
        with torch.no_grad():
            numeric = (target(x + shift) - target(x - shift)) / (2 * step)
        assert torch.allclose(gradient[:, i], numeric, rtol=1e-4, atol=1e-4)


def test_correlated_gaussian_has_torchs_density() -> None:
    mean = torch.tensor([1.0, -2.0])
    x = torch.randn((50, 2), generator=generator_of(0))
    known = torch.distributions.MultivariateNormal(mean, CORRELATED).log_prob(x)
    assert torch.allclose(Gaussian(mean, CORRELATED)(x), -known, atol=1e-4)


def test_ring_is_the_benchmark() -> None:
    ring = Ring()
    assert ring.modes is not None and ring.modes.shape == (8, 2)
    assert torch.allclose(ring.modes.norm(dim=1), torch.tensor(2.0))
    assert ring.mode_sd == 0.3


def test_funnel_in_closed_form() -> None:
    """At v = 0 every coordinate is a unit normal; a slice over v integrates to one."""
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    base = math.log(3 * 2 * math.pi)
    assert torch.allclose(Funnel()(x), torch.tensor([base, base + 0.5]), atol=1e-5)
    # substitute x = exp(v/2) u: the mass is that of two independent normals
    v = torch.linspace(-18, 18, 721, dtype=torch.float64)
    u = torch.linspace(-8, 8, 321, dtype=torch.float64)
    grid = torch.cartesian_prod(v, u)
    position = torch.stack([grid[:, 0], (grid[:, 0] / 2).exp() * grid[:, 1]], 1)
    mass = (-Funnel()(position)).exp() * (grid[:, 0] / 2).exp() * (v[1] - v[0]) * (u[1] - u[0])
    assert float(mass.sum()) == pytest.approx(1, abs=1e-4)
    drawn = Funnel(3).draw(50_000, generator_of(2))
    white = drawn[:, 1:] / (drawn[:, :1] / 2).exp()
    assert float(white.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * white.numel()))
    assert float(drawn[:, 0].std()) == pytest.approx(3, abs=4 * 3 / math.sqrt(2 * 50_000))


def test_checkerboard_says_that_it_has_no_gradient() -> None:
    board = Checkerboard()
    assert not board.differentiable
    x = torch.tensor([[-3.5, -3.5], [-1.5, -3.5], [9.0, 0.0], [-3.5, -4.5]])
    energy, gradient = energy_and_gradient(board, x)
    assert energy.tolist() == pytest.approx([math.log(32), math.inf, math.inf, math.inf])
    assert (gradient == 0).all()


@pytest.mark.parametrize("target", PLANAR.values(), ids=PLANAR)
def test_draws_come_from_the_generator_alone(target: ClosedForm) -> None:
    before = torch.get_rng_state()
    first, second = (target.draw(100, generator_of(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, target.draw(100, generator_of(2)))
    assert torch.equal(before, torch.get_rng_state())
