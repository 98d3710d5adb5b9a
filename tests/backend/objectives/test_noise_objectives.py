"""Noise contrast, the compositional likelihood and their landscapes against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.distributions import build_distribution
from backend.energies.closed_form import Gaussian
from backend.energies.location import LocationConfig, LocationEnergy
from backend.method import Task
from backend.objectives.compositional import (
    compositional_likelihood,
    effective_share,
    log_mean_exp,
)
from backend.objectives.landscapes import Kind, landscape, landscape_of
from backend.objectives.noise_contrastive import exponential, logistic
from backend.randomness import generator_of

LOG_Z = 0.5 * math.log(2 * math.pi)


def normal(mean: float, sd: float = 1.0) -> torch.distributions.Normal:
    return torch.distributions.Normal(
        torch.tensor(mean).double(), torch.tensor(sd).double(), validate_args=False
    )


def draws(mean: float, sd: float, num: int, seed: int) -> Tensor:
    white = torch.randn(num, generator=generator_of("x", seed), dtype=torch.float64)
    return mean + sd * white


# ---------------------------------------------------------------------- noise contrast


@pytest.mark.parametrize("ratio", [0.5, 1.0, 4.0])
def test_where_data_are_noise_the_loss_is_that_of_guessing(ratio: float) -> None:
    zeros = torch.zeros(10).double()
    contrast = logistic(zeros, zeros, ratio)
    share = 1 / (1 + ratio)
    expected = -math.log(share) - ratio * math.log(1 - share)
    assert float(contrast.loss) == pytest.approx(expected)
    assert float(exponential(zeros, zeros).loss) == pytest.approx(0)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_the_true_density_and_its_log_z_are_where_the_slope_is_0(loss: str, ratio: float) -> None:
    """For data N(0.5, 1) against N(0, 1.5²): the slopes in (mean, log Z) at the truth and off it,
    in standard errors of 40 batches."""
    p, q, num = normal(0.5), normal(0.0, 1.5), 4000
    slopes: dict[float, list[Tensor]] = {0.0: [], 0.2: []}
    for seed in range(40):
        x = torch.cat([draws(0.5, 1, num, 2 * seed), draws(0, 1.5, int(ratio * num), 2 * seed + 1)])
        for off, found in slopes.items():
            at = torch.tensor([0.5 + off, LOG_Z + off], dtype=torch.float64, requires_grad=True)
            log_ratio = -0.5 * (x - at[0]).square() - at[1] - q.log_prob(x)
            parts = log_ratio.split([num, int(ratio * num)])
            value = logistic(*parts, ratio) if loss == "logistic" else exponential(*parts)
            found.append(torch.autograd.grad(value.loss, at)[0])
    assert float(p.log_prob(torch.tensor(0.5))) == pytest.approx(-LOG_Z)
    for off, found in slopes.items():
        table = torch.stack(found)
        in_errors = table.mean(0) / (table.std(0) / len(table) ** 0.5)
        assert (in_errors.abs() < 4).all() if off == 0 else (in_errors > 10).any()


def test_accuracy_counts_data_and_noise_alike() -> None:
    contrast = logistic(torch.tensor([1.0, 1.0, 1.0, -1.0]), torch.tensor([-1.0, 1.0]), 0.5)
    assert float(contrast.accuracy) == pytest.approx(0.5 * (3 / 4 + 1 / 2))


def test_far_noise_does_not_overflow_the_exponential_loss() -> None:
    on_data = torch.full((3,), -400.0, requires_grad=True)
    value = exponential(on_data, torch.full((3,), 600.0)).loss
    assert float(value.detach()) == pytest.approx(300 - math.log(2), abs=1e-4)


# ---------------------------------------------------------------------- composition


def test_the_average_is_of_weights_not_of_logarithms() -> None:
    energy, log_q = torch.tensor([0.3, 1.0, -0.5]), torch.tensor([-1.0, -2.0, -0.7])
    found = compositional_likelihood(torch.zeros(2), energy, log_q, torch.tensor(0.4), 0.25)
    expected = 0.75 * math.exp(0.4) + 0.25 * float((-energy - log_q).exp().mean())
    assert float(found.log_u.exp()) == pytest.approx(expected)
    whole = compositional_likelihood(torch.zeros(2), energy, log_q, torch.tensor(0.4), 1.0)
    assert float(whole.log_u) == pytest.approx(float(log_mean_exp(-energy - log_q)))


def test_with_one_batch_its_gradient_is_that_of_the_log_of_the_mean_weight() -> None:
    x, z = draws(1, 1, 50, 0), draws(0, 2, 70, 1)
    at = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    on_data, on_noise = 0.5 * (x - at).square(), 0.5 * (z - at).square()
    log_q = normal(0, 2).log_prob(z)
    start = torch.zeros((), dtype=torch.float64)
    found = compositional_likelihood(on_data, on_noise, log_q, start, 1.0)
    [mine] = torch.autograd.grad(found.surrogate, at, retain_graph=True)
    direct = on_data.mean() + log_mean_exp(-on_noise - log_q)
    [expected] = torch.autograd.grad(direct, at)
    assert float(mine) == pytest.approx(float(expected))
    assert float(found.likelihood) == pytest.approx(float(direct.detach()))


def test_with_the_true_z_its_gradient_is_that_of_the_likelihood() -> None:
    """d/dμ of −E log N(x; μ, 1) for data N(1, 1) is μ − 1, whatever the noise is."""
    slopes = []
    for seed in range(60):
        x, z = draws(1, 1, 2000, 2 * seed), draws(0, 2, 2000, 2 * seed + 1)
        at = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        log_u = torch.tensor(LOG_Z, dtype=torch.float64)
        found = compositional_likelihood(
            0.5 * (x - at).square(), 0.5 * (z - at).square(), normal(0, 2).log_prob(z), log_u, 1e-9
        )
        slopes.append(torch.autograd.grad(found.surrogate, at)[0])
    table = torch.stack(slopes)
    assert abs(table.mean() - (0.3 - 1)) < 4 * table.std() / len(table) ** 0.5


def test_the_effective_share_counts_equal_weights() -> None:
    assert float(effective_share(torch.zeros(7))) == pytest.approx(1)
    assert float(effective_share(torch.tensor([0.0, -1e4, -1e4, -1e4]))) == pytest.approx(0.25)
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = float(weights.sum() ** 2 / weights.square().sum() / 3)
    assert float(effective_share(weights.log() + 80)) == pytest.approx(expected, rel=1e-4)


# ---------------------------------------------------------------------- landscapes


def slope(kind: Kind, mean: float, off: float, sd: float = 1.0, ratio: float = 1.0) -> float:
    at = torch.tensor([mean - off], dtype=torch.float64)
    found = landscape(kind, at, mean, normal(mean).log_prob, normal(0, sd).log_prob, ratio)
    return abs(float(found.gradient))


@pytest.mark.parametrize(
    ("mean", "off", "expected"),
    [(16.0, 8.0, 2.0e-4), (16.0, 1.0, 3.7e-13), (4.0, 1.0, 0.13), (4.0, 0.1, 0.0145)],
)
def test_a_classifiers_slope_dies_where_noise_is_far(
    mean: float, off: float, expected: float
) -> None:
    """Exact values, known to two or three digits."""
    assert slope("noise_contrastive", mean, off) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("off", [8.0, 1.0, 0.1])
def test_the_likelihoods_slope_is_the_distance(off: float) -> None:
    at = torch.tensor([16 - off], dtype=torch.float64)
    found = landscape("likelihood", at, 16.0, normal(16).log_prob, normal(0).log_prob)
    assert float(found.gradient) == pytest.approx(-off)
    assert float(found.value) == pytest.approx(0.5 * (1 + off**2) + LOG_Z)


def test_the_exponential_landscape_is_its_closed_form() -> None:
    """For unit Gaussians at 3 (data), at μ (model) and at 0 (noise)."""
    mean, at = 3.0, torch.tensor([1.2], dtype=torch.float64)
    found = landscape("exponential", at, mean, normal(mean).log_prob, normal(0).log_prob)
    mu = 1.2
    # r = μ x − μ²/2, so that exp(∓r/2) is log-normal under either
    on_data = math.exp(mu**2 / 4 - mu * mean / 2 + mu**2 / 8)
    on_noise = math.exp(-(mu**2) / 4 + mu**2 / 8)
    assert float(found.value) == pytest.approx(math.log(0.5 * on_data + 0.5 * on_noise))
    data_slope = on_data * (mu / 2 - mean / 2 + mu / 4)
    noise_slope = on_noise * (-mu / 2 + mu / 4)
    expected = (data_slope + noise_slope) / (on_data + on_noise)
    assert float(found.gradient) == pytest.approx(expected)


def test_the_landscape_of_a_run_is_in_the_users_units_and_marks_where_it_is() -> None:
    data = catalogue.resolve_data({"name": "shifted_gaussian", "mean": 5.0, "num": 200}).load()
    task = Task(data, torch.device("cpu"), generator_of(0))
    config = catalogue.distributions()["fixed"].Config(sd=3.0)
    energy = LocationEnergy(LocationConfig(start=1.5), data.event_shape, generator_of(0))
    curves = landscape_of(
        "noise_contrastive", energy, data, build_distribution(config, data, task.generator)
    )
    assert [curve.path for curve in curves] == ["objective/landscape", "objective/gradient"]
    values, gradients = curves
    assert values.names[1] == "now"  # type: ignore[attr-defined]
    [place] = torch.tensor(values.y[1]).isfinite().nonzero()[:, 0].tolist()  # type: ignore[attr-defined]
    assert values.x[place] == pytest.approx(1.5)  # type: ignore[attr-defined]
    lowest = values.x[values.y[0].argmin()]  # type: ignore[attr-defined]
    assert lowest == pytest.approx(5.0, abs=0.06), "least at the true mean"
    flattest = gradients.x[gradients.y[0].argmin()]  # type: ignore[attr-defined]
    assert flattest == pytest.approx(5.0, abs=0.06)


def test_other_energies_and_data_have_no_landscape() -> None:
    ring = catalogue.resolve_data({"name": "ring", "num": 200}).load()
    energy = LocationEnergy(LocationConfig(), ring.event_shape, generator_of(0))
    assert landscape_of("likelihood", energy, ring) == []
    line = catalogue.resolve_data({"name": "shifted_gaussian", "num": 200}).load()
    fixed = Gaussian(torch.zeros(1), torch.eye(1))
    assert landscape_of("likelihood", fixed, line) == []
