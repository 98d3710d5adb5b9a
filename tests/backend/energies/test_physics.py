"""Field theory and clusters against closed forms, brute force and a known minimum."""

from __future__ import annotations

import math

import pytest
import torch

from backend.catalogue import resolve_data
from backend.datasets.physics import images
from backend.energies.physics import Chain, LennardJones, Pair, Phi4, pair_potential
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.metrics.quadrature import LOG_2PI
from backend.randomness import generator_of

GOLDEN = (1 + math.sqrt(5)) / 2


@pytest.mark.parametrize(("length", "mass_squared"), [(2, 0.5), (3, 1.0), (16, 2.0)])
def test_a_free_field_is_a_gaussian(length: int, mass_squared: float) -> None:
    """Without coupling the modes of wave number k are independent, of variance 1/(m² + 2 -
    2 cos k)."""
    truth = Chain(Phi4(1, length, mass_squared, 0.0)).truth()
    wave = 2 * math.pi / length * torch.arange(length, dtype=torch.float64)
    stiffness = mass_squared + 2 - 2 * wave.cos()
    log_z = 0.5 * (length * LOG_2PI - float(stiffness.log().sum()))
    assert truth.variance is not None and truth.functions is not None
    assert truth.log_z == pytest.approx(log_z, abs=1e-10)
    assert float(truth.variance[0]) == pytest.approx(float((1 / stiffness).mean()), abs=1e-10)
    neighbour = float((wave.cos() / stiffness).mean())
    assert float(truth.functions.mean[1]) == pytest.approx(neighbour, abs=1e-10)
    assert truth.mean_energy == pytest.approx(0.5 * length, abs=1e-9)


def test_three_coupled_sites_by_brute_force() -> None:
    energy = Phi4(1, 3, -4.0, 6.975)
    truth = Chain(energy).truth()
    axis = torch.linspace(-3, 3, 101, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis, axis)
    values = energy(x)
    mass = (-values).exp() * float(axis[1] - axis[0]) ** 3
    total = float(mass.sum())
    assert truth.variance is not None and truth.functions is not None
    assert truth.log_z == pytest.approx(math.log(total), abs=1e-8)
    assert truth.mean_energy == pytest.approx(float(mass @ values) / total, abs=1e-8)
    known = (mass @ energy.functions(x)) / total
    assert torch.allclose(truth.functions.mean, known, atol=1e-8)
    assert float(truth.variance[0]) == pytest.approx(float(known[0]), abs=1e-8)


def test_a_field_that_nothing_holds_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        resolve_data({"name": "phi4", "mass_squared": 0.0, "coupling": 0.0}).load()
    assert caught.value.problems[0].field == "data.mass_squared"


def test_a_free_field_in_two_dimensions_from_its_short_run() -> None:
    """The run made at load, against the Gaussian closed form."""
    data = resolve_data(
        {"name": "phi4", "dims": 2, "length": 4, "mass_squared": 1.0, "coupling": 0.0}
    ).load()
    wave = 0.5 * math.pi * torch.arange(4, dtype=torch.float64)
    one = 2 - 2 * wave.cos()
    stiffness = 1.0 + one[:, None] + one
    truth = data.truth
    assert truth is not None and truth.variance is not None and truth.variance_error is not None
    error = float(truth.variance_error[0, 0])
    assert float(truth.variance[0, 0]) == pytest.approx(
        float((1 / stiffness).mean()), abs=4 * error
    )
    assert truth.mean_energy_error is not None
    assert truth.mean_energy == pytest.approx(8, abs=4 * truth.mean_energy_error)
    assert truth.log_z is None and data.draw is None and "run of HMC" in truth.source


def test_the_minimum_of_thirteen_particles_is_the_icosahedron() -> None:
    corners = [(0.0, 0.0, 0.0)]
    for a in (1.0, -1.0):
        for b in (GOLDEN, -GOLDEN):
            corners += [(0.0, a, b), (a, b, 0.0), (b, 0.0, a)]
    noise = torch.randn((13, 3), generator=generator_of(0), dtype=torch.float64)
    start = torch.tensor(corners, dtype=torch.float64) / math.hypot(1, GOLDEN) * 1.1 + 0.02 * noise
    x = start[None].requires_grad_(True)
    energy = LennardJones(13, 1.0, 0.0)
    search = torch.optim.LBFGS([x], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = energy(x).sum()
        value.backward()
        return value

    search.step(closure)  # type: ignore[no-untyped-call]
    assert float(energy(x.detach())) == pytest.approx(-44.326801, abs=1e-5)


def test_two_particles_against_an_integral_over_the_plane_of_pair_and_centre() -> None:
    """log Z by a sum over distance from the centre and between the two, in other coordinates."""
    energy = LennardJones(2, 0.7, 0.8)
    r = torch.linspace(0.7, 12, 4001, dtype=torch.float64)
    s = torch.linspace(0, 8, 2001, dtype=torch.float64)
    between = (
        4
        * math.pi
        * r.square()
        * (-(pair_potential(r.square()) + 0.25 * 0.8 * r.square()) / 0.7).exp()
    )
    centre = 4 * math.pi * s.square() * (-0.8 * s.square() / 0.7).exp()
    known = math.log(float(torch.trapezoid(between, r) * torch.trapezoid(centre, s)))
    assert Pair(energy).log_z == pytest.approx(known, abs=1e-6)


def test_particles_in_one_place_have_finite_energy_and_gradient() -> None:
    energy, gradient = energy_and_gradient(LennardJones(5, 0.5, 0.5), torch.zeros(1, 5, 3))
    assert energy.isfinite().all() and gradient.isfinite().all()
    near = torch.tensor([0.2499, 0.25, 0.2501], dtype=torch.float64)
    slopes = pair_potential(near).diff() / near.diff()
    assert float(slopes[0] / slopes[1]) == pytest.approx(1, rel=2e-3)


def test_turning_and_renaming_particles_keeps_the_energy() -> None:
    energy = LennardJones(4, 0.5, 0.5)
    x = 1.5 * torch.randn((6, 4, 3), generator=generator_of(0))
    assert torch.allclose(energy(images(x, 6, generator_of(1))), energy(x), rtol=1e-3)
    assert not torch.equal(images(x, 6, generator_of(1)), x)
