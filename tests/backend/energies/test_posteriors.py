"""Posteriors: gradients, minibatches, symmetries, and references against independent sums."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from backend.catalogue import resolve_data
from backend.datasets import long_run
from backend.datasets.posteriors import predictions, read_table, regression_points
from backend.energies.posteriors import BayesianNet, LogisticRegression
from backend.energy import energy_and_gradient
from backend.randomness import generator_of


def small_regression(rows: int = 12) -> LogisticRegression:
    inputs, targets, _ = read_table("iris")
    return LogisticRegression(inputs[::8][:rows], targets[::8][:rows], 1.5)


def test_the_energy_is_minus_log_prior_times_likelihood() -> None:
    energy = small_regression()
    w = torch.randn((7, energy.dim), generator=generator_of(0))
    prior = torch.distributions.Normal(0.0, 1.5).log_prob(w).sum(1)
    logits = w @ energy.inputs.T
    likelihood = torch.distributions.Bernoulli(logits=logits).log_prob(energy.targets).sum(1)
    assert torch.allclose(energy(w), -prior - likelihood, rtol=1e-4)


def test_minibatches_are_unbiased() -> None:
    """Over all pairs of rows their mean is the energy itself, gradient and all; drawn ones meet
    that mean within their standard error."""
    energy = small_regression(6)
    w = torch.randn((3, energy.dim), generator=generator_of(0), dtype=torch.float64)
    whole, gradient = energy_and_gradient(energy, w)
    parts = []
    for pair in itertools.combinations(range(6), 2):
        chosen = torch.tensor(pair)
        losses = energy.losses(w, energy.inputs[chosen].double(), energy.targets[chosen].double())
        parts.append(energy.prior(w) + 3 * losses.sum(1))
    assert torch.allclose(torch.stack(parts).mean(0), whole)
    generator, drawn, slopes = generator_of(1), [], []
    for _ in range(800):
        value, slope = energy_and_gradient(energy.minibatch(2, generator), w)
        drawn.append(value)
        slopes.append(slope)
    for figures, known in ((torch.stack(drawn), whole), (torch.stack(slopes), gradient)):
        error = figures.std(0) / math.sqrt(800)
        assert ((figures.mean(0) - known).abs() <= 4 * error + 1e-9).all()
        assert (figures.std(0) > 0).any()


def test_a_minibatch_of_all_rows_is_the_energy() -> None:
    energy = small_regression()
    w = torch.randn((3, energy.dim), generator=generator_of(0))
    assert torch.allclose(energy.minibatch(10_000, generator_of(1))(w), energy(w), rtol=1e-5)


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer"])
def test_laplace_finds_the_mode(table: str) -> None:
    inputs, targets, _ = read_table(table)
    energy = LogisticRegression(inputs, targets)
    mode, factor = energy.laplace()
    _, gradient = energy_and_gradient(energy, mode[None])
    assert float(gradient.abs().max()) < 1e-5
    hessian = torch.autograd.functional.hessian(lambda w: energy(w[None]).sum(), mode)
    assert torch.allclose(factor.T @ hessian @ factor, torch.eye(energy.dim).double(), atol=1e-4)


@pytest.mark.parametrize("table", ["iris", "wine"])
def test_references_agree_with_importance_sampling(table: str) -> None:
    """Moments of the bundled long run against draws of a wide Student's t at the mode, weighed."""
    target = resolve_data({"name": "logistic_regression", "table": table}).target()  # type: ignore[attr-defined]
    truth = long_run.bundled_truth(f"logistic_regression_{table}", {"prior_sd": 1.0})
    assert truth is not None and truth.mean is not None and truth.mean_error is not None
    assert truth.variance is not None and truth.variance_error is not None
    mode, factor = target.laplace()
    num, freedom, dim = 60_000, 8, target.dim
    generator = generator_of("importance", 0)
    white = torch.randn((num, dim), generator=generator, dtype=torch.float64)
    chi = torch.randn((num, freedom), generator=generator, dtype=torch.float64).square().sum(1)
    z = white * (freedom / chi).sqrt()[:, None]
    log_proposal = -0.5 * (freedom + dim) * (1 + z.square().sum(1) / freedom).log()
    w = mode + z @ factor.T
    with torch.no_grad():
        log_weight = -torch.cat([target(part) for part in w.split(10_000)]) - log_proposal
    weight = log_weight.softmax(0)
    assert 1 / float(weight.square().sum()) > 5000
    for values, known, error in (
        (w, truth.mean, truth.mean_error),
        ((w - truth.mean).square(), truth.variance, truth.variance_error),
    ):
        mean = weight @ values
        own = (weight.square() @ (values - mean).square()).sqrt()
        assert ((mean - known).abs() <= 4 * torch.hypot(own, error)).all()


@pytest.mark.parametrize(
    "spec",
    [
        *({"name": "logistic_regression", "table": table} for table in ("iris", "breast_cancer")),
        {"name": "bayesian_net"},
        {"name": "lennard_jones"},
        {"name": "phi4", "dims": 2},
    ],
    ids=lambda spec: "-".join(map(str, spec.values())),
)
def test_defaults_have_a_long_run_and_others_a_short_one(spec: dict[str, object]) -> None:
    data = resolve_data(spec).load()
    truth = data.truth
    assert truth is not None and "R-hat" in truth.source
    assert float(truth.source.rpartition(" ")[2]) <= 1.01
    assert data.draw is None and data.density is None and data.target is not None
    assert truth.mean_energy is not None and truth.mean_energy_error is not None
    # held-out draws are of the same law: their energies agree
    energy = data.target(data.restore(data.held_out)).double()
    num = min(len(energy), 300)
    error = math.hypot(float(energy.std()) / math.sqrt(num), truth.mean_energy_error)
    assert float(energy.mean()) == pytest.approx(truth.mean_energy, abs=4 * error)


def test_other_settings_say_that_their_run_was_short() -> None:
    data = resolve_data({"name": "logistic_regression", "table": "iris", "prior_sd": 2.0}).load()
    assert data.truth is not None and "too short" in data.truth.source
    assert data.truth.mean is not None and data.truth.mean_error is not None


def test_a_net_knows_no_order_and_no_sign_of_its_units() -> None:
    net = BayesianNet(*regression_points(0.1), hidden=6, noise=0.1, prior_sd=2.0)
    w = torch.randn((5, net.dim), generator=generator_of(0))
    other = net.reordered(w, generator_of(1))
    assert not torch.allclose(other, w)
    assert torch.allclose(net(other), net(w), rtol=1e-4)
    values = predictions(net).of
    assert torch.allclose(values(other), values(w), atol=1e-4)
