"""Tasks in turn: the posterior against quadrature, fitted priors, and what is forgotten."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.energies.carried_posterior import (
    CarriedPosterior,
    Gaussians,
    fitted_gaussians,
    log_of_mean,
    prototype_log_probs,
)
from backend.method import Task
from backend.methods.sequential_bayes import SequentialBayes
from backend.randomness import generator_of
from backend.requests import fitting


def sequential(**config: Any) -> SequentialBayes:
    data = catalogue.resolve_data({"name": "two_tasks", "num": 100}).load()
    settings = SequentialBayes.Config.model_validate(config)
    return SequentialBayes(settings, Task(data, torch.device("cpu"), generator_of("tasks", 0)))


def two_gaussians() -> Gaussians:
    factors = torch.tensor([[[1.0, 0.0], [0.5, 0.7]], [[0.4, 0.0], [0.0, 0.4]]]).double()
    means = torch.tensor([[0.0, 1.0], [2.0, -1.0]]).double()
    return Gaussians(torch.tensor([0.3, 0.7]).double().log(), means, factors)


def test_the_energy_is_that_of_network_and_prior_written_out() -> None:
    generator = generator_of("weights", 0)
    inputs = torch.randn(4, 2, generator=generator).double()
    posterior = CarriedPosterior(inputs, torch.tensor([0, 1, 1, 0]), hidden=3)
    w = torch.randn(1, posterior.dim, generator=generator).double()
    assert posterior.dim == 13
    u, c, v, b = w[0, :6].view(2, 3), w[0, 6:9], w[0, 9:12], w[0, 12]
    total = 0.5 * float(w.square().sum()) + 13 / 2 * math.log(2 * math.pi)
    for x, label in zip(inputs, [0, 1, 1, 0], strict=True):
        logit = float(b) + sum(float(v[j]) * math.tanh(float(x @ u[:, j] + c[j])) for j in range(3))
        total += math.log1p(math.exp(logit)) - label * logit
    assert float(posterior(w)[0]) == pytest.approx(total, rel=1e-6)


def test_carried_gaussians_integrate_to_one_and_are_found_from_their_draws() -> None:
    gaussians = two_gaussians()
    side = torch.linspace(-7, 7, 141, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    whole = gaussians.log_prob(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert float(whole) == pytest.approx(1, abs=1e-4)
    generator = generator_of("draws", 0)
    of = torch.multinomial(gaussians.log_weights.exp(), 5_000, True, generator=generator)
    white = torch.randn(5_000, 2, generator=generator, dtype=torch.float64)
    x = gaussians.means[of] + (gaussians.factors[of] @ white[..., None])[..., 0]
    fit = fitted_gaussians(x, 2, generator)
    assert float((fit.log_prob(x) - gaussians.log_prob(x)).mean().abs()) < 0.02
    data = torch.zeros(1, 2).double(), torch.zeros(1).double()
    carried = CarriedPosterior(*data, 1, carried=None)
    assert carried.dim == 5
    at = torch.zeros(1, 5).double()
    wide = Gaussians(torch.zeros(1).double(), at, torch.eye(5).double()[None])
    same = CarriedPosterior(*data, 1, carried=wide)
    halved = CarriedPosterior(*data, 1, carried=wide, weight=0.5)
    assert torch.allclose(carried(at), same(at))
    assert torch.allclose(halved(at) - same(at), -0.5 * same.prior(at))


def test_prototypes_predict_as_quadrature_over_their_means_does() -> None:
    x = torch.tensor([[0.3], [1.1], [-0.2], [-0.9]]).double()
    tasks = [(x, torch.tensor([0, 0, 1, 1]))]
    at = torch.tensor([[0.4], [-2.0]]).double()
    variance = float(torch.tensor([0.4, 0.4, 0.35, 0.35]).square().mean())
    means = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    parts = []
    for rows in (x[:2, 0], x[2:, 0]):
        energy = 0.5 * means**2 + (rows[:, None] - means).square().sum(0) / (2 * variance)
        share = (-energy).softmax(0)
        density = (-(at - means).square() / (2 * variance)).exp()
        parts.append((share * density).sum(1))
    expected = torch.stack(parts, 1)
    expected = (expected / expected.sum(1, keepdim=True)).log()
    assert torch.allclose(prototype_log_probs(tasks, at), expected, atol=1e-6)


def test_predictions_average_probabilities_and_not_logits() -> None:
    logits = torch.tensor([[0.0, 3.0], [2.0, -3.0]])
    expected = logits.sigmoid().mean(0)
    assert torch.allclose(log_of_mean(logits)[:, 1].exp(), expected)
    assert torch.allclose(log_of_mean(logits).exp().sum(1), torch.ones(2))


def run(method: SequentialBayes, steps: int) -> dict[str, float]:
    for index in range(steps):
        method.advance(index / steps)
    return method.readings()


def test_the_second_task_begins_half_way_with_draws_after_its_own_warm_up() -> None:
    method = sequential(num_chains=4, num_warm_up=3, num_leapfrog=2, num_components=2)
    assert method._draws().shape == (1, 4, 33)
    figures = run(method, 20)
    assert method.stage == 1 and method.steps == 10 and method._draws().shape == (7, 4, 33)
    names = {"task_1", "task_2", "task_1_before", "task_2_before", "prototypes_1", "r_hat"}
    assert "continual/density_gap" in figures
    assert {f"continual/{name}" for name in names} <= set(figures)
    fit = Gaussians(method.log_weights, method.means, method.factors)
    w = method.state.position
    alone = CarriedPosterior(*method.rows_of[1], 8, carried=fit)
    assert torch.allclose(method.state.energy, alone(w), rtol=1e-4)


@pytest.mark.slow
def test_rows_of_both_tasks_keep_the_first_and_a_fitted_prior_does_not() -> None:
    few = {"num_leapfrog": 10, "num_warm_up": 50, "num_chains": 8}
    joint = run(sequential(prior="joint", **few), 200)
    assert min(joint["continual/task_1"], joint["continual/task_2"]) >= 0.95
    carried = run(sequential(prior="mixture", **few), 200)
    assert carried["continual/task_1_before"] >= 0.95 and carried["continual/task_2"] >= 0.95
    assert carried["continual/task_1"] <= 0.8
    assert carried["continual/density_gap"] > 5


def test_labels_of_the_tasks_are_those_of_their_places_and_other_data_are_refused() -> None:
    data = catalogue.resolve_data({"name": "two_tasks"}).load()
    x: Tensor = data.restore(data.train)
    assert torch.equal(data.given["task"] == 0, x[:, 0] < -0.5)
    first = data.given["task"] == 0
    assert data.labels is not None
    above = (x[first, 1] > 0).long()
    assert torch.equal(data.labels[first], above)
    assert torch.equal(data.labels[~first], (x[~first, 0] > 2).long())
    digits = catalogue.resolve_data({"name": "digits"}).load()
    problems = dict(fitting.problems(SequentialBayes, SequentialBayes.Config(), digits))
    assert problems["data.name"]
