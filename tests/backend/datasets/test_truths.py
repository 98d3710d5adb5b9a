"""What data say is known of their law, against exact draws and finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.catalogue import resolve_data
from backend.data import Data
from backend.energies.closed_form_gaussians import ConditionedGaussian
from backend.energy import energy_and_gradient
from backend.errors import BadInput
from backend.metrics.density import energies
from backend.metrics.modes import mode_weights
from backend.metrics.quadrature import mixture_entropy, planar_mixture_entropy
from backend.randomness import generator_of

NUM = 20_000
SMALL = {"num": 100, "num_held_out": 100}

WITH_DRAWS: dict[str, dict[str, Any]] = {
    "ring": {"name": "ring"},
    "alternating ring": {"name": "ring", "weights": "alternating"},
    "wide uneven ring": {"name": "ring", "weights": "alternating", "num_modes": 3, "sd": 1.0},
    "moons": {"name": "moons"},
    "circles": {"name": "circles"},
    "checkerboard": {"name": "checkerboard"},
    "pinwheel": {"name": "pinwheel"},
    "two arms": {"name": "pinwheel", "num_arms": 2, "rate": 0.6},
    "spirals": {"name": "spirals"},
    "double well": {"name": "double_well"},
    "tilted wells": {"name": "double_well", "tilt": 1.5, "dim": 5, "barrier": 2.0},
    "banana": {"name": "banana", "dim": 4},
    # with more spread the fourth moment is too wild for an error to be told from draws
    "funnel": {"name": "funnel", "spread": 0.7, "dim": 4},
    "gaussian": {"name": "gaussian"},
    "along the axes": {"name": "gaussian", "rotation": 0, "dim": 5, "condition": 1e4},
    "one dimension": {"name": "gaussian", "dim": 1},
    "mixture": {"name": "mixture"},
    "far mixture": {"name": "mixture", "dim": 20, "spread": 10.0},
    "near mixture": {"name": "mixture", "dim": 3, "spread": 1.0},
    "phi4": {"name": "phi4"},
    "two particles": {"name": "lennard_jones", "num_particles": 2},
}


def load(spec: dict[str, Any]) -> Data:
    sized = "num" in catalogue.datasets()[spec["name"]].Config.model_fields
    return resolve_data({**(SMALL if sized else {}), **spec}).load()


def within(found: Tensor, known: Tensor, error: Tensor) -> None:
    """Some hundred figures are looked at in all, so 4.5 standard errors rather than 4."""
    assert ((found - known).abs() <= 4.5 * error + 1e-4 * (1 + known.abs())).all()


@pytest.mark.parametrize("spec", WITH_DRAWS.values(), ids=WITH_DRAWS)
def test_exact_draws_have_the_truth(spec: dict[str, Any]) -> None:
    data = load(spec)
    truth, root = data.truth, math.sqrt(NUM)
    assert truth is not None and data.draw is not None
    assert truth.mean is not None and truth.variance is not None
    assert truth.mean_energy is not None and truth.log_z is not None
    assert truth.mean.shape == truth.variance.shape == data.event_shape
    x = data.draw(NUM, generator_of("test", 1))
    within(x.double().mean(0), truth.mean, x.double().std(0) / root)
    squares = (x.double() - truth.mean).square()
    within(squares.mean(0), truth.variance, squares.std(0) / root)
    energy = data.density if data.density is not None else data.target
    assert energy is not None
    values = energies(energy, x, 1000).double()
    own = torch.tensor(truth.mean_energy_error or 0.0)
    error = torch.hypot(values.std() / root, own)
    within(values.mean(), torch.tensor(truth.mean_energy), error)
    if data.modes is not None:
        assert truth.mode_weights is not None
        assert float(truth.mode_weights.sum()) == pytest.approx(1, abs=1e-6)
        share = truth.mode_weights
        own = share * 0 if truth.mode_weights_error is None else truth.mode_weights_error
        error = torch.hypot((share * (1 - share)).sqrt() / root, own)
        within(mode_weights(x, data.modes).double(), share, error)
    if truth.functions is not None:
        figures = truth.functions.of(x).double()
        within(figures.mean(0), truth.functions.mean, figures.std(0) / root)


@pytest.mark.parametrize(
    "spec",
    [
        *WITH_DRAWS.values(),
        {"name": "phi4", "dims": 2, "length": 3},
        {"name": "lennard_jones", "num_particles": 3},
        {"name": "logistic_regression", "table": "iris"},
        {"name": "bayesian_net", "hidden": 3},
    ],
    ids=lambda spec: "-".join(map(str, spec.values())),
)
def test_gradients_are_those_of_finite_differences(spec: dict[str, Any]) -> None:
    data = load(spec)
    energy = data.density if data.density is not None else data.target
    assert energy is not None
    if not getattr(energy, "differentiable", True):
        return
    x = data.restore(data.held_out[:4]).double()
    _, gradient = energy_and_gradient(energy, x)
    generator = generator_of("direction", 0)
    for _ in range(3):
        direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        # a hair's breadth: particles that touch are steep
        step = 1e-6 * direction
        with torch.no_grad():
            numeric = (energy(x + step) - energy(x - step)) / 2e-6
        known = (gradient * direction).flatten(1).sum(1)
        size = (gradient.abs() * direction.abs()).flatten(1).sum(1)
        assert ((numeric - known).abs() <= 1e-6 * size + 1e-6).all()


def test_the_condition_number_is_kept_from_data_to_sampler() -> None:
    """Rotated or not, z is x, and the covariance has the spectrum that was asked for."""
    for rotation in (0, 3):
        spec = {"name": "gaussian", "dim": 30, "condition": 1e4, "rotation": rotation, **SMALL}
        data = resolve_data(spec).load()
        assert isinstance(data.density, ConditionedGaussian)
        assert torch.equal(data.restore(data.train), data.train)
        eigenvalues = torch.linalg.eigvalsh(data.density.covariance())
        assert float(eigenvalues[-1] / eigenvalues[0]) == pytest.approx(1e4, rel=1e-2)
        ratios = eigenvalues[1:] / eigenvalues[:-1]
        assert torch.allclose(ratios, ratios.mean(), rtol=1e-2)
        diagonal = data.density.covariance().diagonal()
        assert torch.allclose(diagonal, torch.ones(30).double(), atol=1e-5) == bool(rotation)


def test_a_gaussian_of_a_thousand_dimensions_has_torchs_density() -> None:
    target = ConditionedGaussian(1000, 100.0, generator_of("rotation", 1))
    x = target.draw(3, generator_of(0)).double()
    known = torch.distributions.MultivariateNormal(
        torch.zeros(1000).double(), target.covariance()
    ).log_prob(x)
    assert torch.allclose(target(x), -known, rtol=1e-5)


def test_the_tilt_of_a_double_well_is_the_difference_of_its_bottoms() -> None:
    data = load({"name": "double_well", "tilt": 2.0, "barrier": 4.0})
    assert data.density is not None and data.modes is not None
    assert data.truth is not None and data.truth.mode_weights is not None
    energy, gradient = energy_and_gradient(data.density, data.modes.double())
    assert float(energy[1] - energy[0]) == pytest.approx(2, abs=0.05)
    assert torch.allclose(gradient, torch.zeros(2, 2).double(), atol=1e-4)
    left, right = data.truth.mode_weights.tolist()
    # wells of nearly one width: the odds are nearly those of their depths
    assert math.log(left / right) == pytest.approx(2, abs=0.2)
    assert load({"name": "double_well"}).truth.mode_weights.tolist() == pytest.approx([0.5, 0.5])  # type: ignore[union-attr]


@pytest.mark.bad_input
def test_a_tilt_that_leaves_one_well() -> None:
    with pytest.raises(BadInput) as caught:
        load({"name": "double_well", "tilt": 3.0, "barrier": 1.0})
    assert caught.value.problems[0].field == "data.tilt"


def test_an_alternating_ring_weighs_its_modes_one_to_two() -> None:
    truth = load({"name": "ring", "weights": "alternating"}).truth
    assert truth is not None and truth.mode_weights is not None
    ratios = truth.mode_weights[1::2] / truth.mode_weights[::2]
    assert torch.allclose(ratios, torch.full((4,), 2.0).double(), rtol=0.05)


def test_both_ways_to_the_entropy_of_a_mixture_agree() -> None:
    means = torch.tensor([[-1.0, 0.0], [0.5, 0.3], [2.0, -1.0]]).double()
    weights = torch.tensor([0.2, 0.5, 0.3]).double()
    sds = torch.full((3,), 0.4).double()
    one = planar_mixture_entropy(means, 0.4, weights)
    assert mixture_entropy(means, sds, weights) == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("gaussian", "condition", 10.0),
        ("gaussian", "rotation", 2),
        ("gaussian", "dim", 9),
        ("mixture", "num_components", 3),
        ("mixture", "spread", 2.0),
        ("mixture", "layout", 1),
        ("double_well", "tilt", 1.0),
        ("double_well", "dim", 3),
        ("banana", "dim", 3),
        ("ring", "weights", "alternating"),
        ("phi4", "mass_squared", 1.0),
        ("phi4", "coupling", 2.0),
        ("phi4", "length", 4),
        ("phi4", "dims", 2),
    ],
)
def test_every_option_changes_the_draws(name: str, field: str, value: Any) -> None:
    changed, default = load({"name": name, field: value}), load({"name": name})
    same = changed.train.shape == default.train.shape
    assert not same or not torch.equal(changed.train, default.train)
