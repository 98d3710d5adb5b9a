"""Marginalization models: exact marginals of small laws, and training towards them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.energies.discrete import Enumeration, enumerate_states, state_index
from backend.energies.lattices import Ising, Potts
from backend.method import SampleRequest
from backend.methods.marginalization import Marginalization
from backend.networks.any_order import chain_log_prob, fill_in, random_orders, redraw
from backend.networks.masked import MarginalNetworks
from backend.objectives import marginalization as objectives
from backend.randomness import generator_of
from backend.requests.marginal_figures import Judge, marginal_law, sequential_law
from backend.requests.marginals import MarginalMethod
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

CPU = torch.device("cpu")


class ExactMarginals:
    """Marginals and conditionals of a law whose states are all listed, by plain sums."""

    def __init__(self, law: Enumeration) -> None:
        self.num_values, self.sites = law.num_values, law.event_shape.numel()
        self.states = enumerate_states((self.sites,), law.num_values)
        self.probabilities = law.probabilities

    def log_marginal(self, x: Tensor, known: Tensor) -> Tensor:
        agrees = ((self.states == x[:, None]) | ~known[:, None]).all(2)
        return (agrees.double() @ self.probabilities).log().float()

    def log_conditionals(self, x: Tensor, known: Tensor) -> Tensor:
        logs = torch.empty((len(x), self.sites, self.num_values))
        for site in range(self.sites):
            at = known.clone()
            at[:, site] = True
            for value in range(self.num_values):
                there = x.clone()
                there[:, site] = value
                logs[:, site, value] = self.log_marginal(there, at)
        return logs.log_softmax(2)


LAWS = [Ising(2, 3, 0.4, 0.3), Potts(2, 2, 3, 0.8, -0.4)]


@pytest.fixture(params=LAWS, ids=["ising", "potts"])
def law(request: pytest.FixtureRequest) -> Enumeration:
    return Enumeration(request.param)


def run_of(seed: int = 0, **fields: Any) -> Marginalization:
    data = fields.pop("data", {"name": "ising", "rows": 3, "columns": 3, "num": 500})
    config = {"width": 32, "depth": 2, "train": {"batch_size": 64}} | fields
    spec = RunSpec(method="marginalization", data=data, config=config, seed=seed)
    method = prepare(spec, CPU, None).method
    assert isinstance(method, Marginalization)
    return method


def trained(method: Marginalization, num_steps: int) -> Marginalization:
    for step in range(num_steps):
        method.step(step / num_steps)
    return method


# ---------------------------------------------------------------------- exact models


def test_an_exact_model_is_consistent_and_its_chain_has_the_law(law: Enumeration) -> None:
    model, generator = ExactMarginals(law), generator_of("exact", 0)
    x = law.draw(100, generator).flatten(1)
    steps = objectives.random_steps(100, model.sites, generator)
    assert steps.before.sum(1).unique().numel() == model.sites, "every length comes up"
    terms = objectives.consistency(model, x, steps)
    assert terms.errors.abs().max() < 1e-5
    assert abs(float(terms.of_nothing)) < 1e-6
    log_law = law.probabilities.log().float()[state_index(x, model.num_values)]
    torch.testing.assert_close(terms.log_marginal, log_law)
    everything = torch.ones_like(x, dtype=torch.bool)
    for _ in range(3):
        orders = random_orders(100, model.sites, generator)
        chain = chain_log_prob(model, x, everything, orders, num_at_once=37)
        torch.testing.assert_close(chain, log_law, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        sequential_law(model, CPU), law.probabilities.log().float(), atol=1e-5, rtol=0
    )


def test_a_model_off_by_a_site_is_not_consistent(law: Enumeration) -> None:
    class Off(ExactMarginals):
        def log_marginal(self, x: Tensor, known: Tensor) -> Tensor:
            return super().log_marginal(x, known) + 0.25 * known.sum(1)

    model, generator = Off(law), generator_of("off", 0)
    x = law.draw(50, generator).flatten(1)
    terms = objectives.consistency(model, x, objectives.random_steps(50, model.sites, generator))
    torch.testing.assert_close(terms.errors, torch.full((50,), -0.25), atol=1e-5, rtol=0)
    assert float(objectives.consistency_loss(terms, model.sites)) == pytest.approx(
        model.sites * 0.0625, abs=1e-3
    )


def test_the_chain_of_a_part_is_its_marginal(law: Enumeration) -> None:
    model, generator = ExactMarginals(law), generator_of("part", 0)
    x = law.draw(40, generator).flatten(1)
    known = random_orders(40, model.sites, generator) < torch.arange(40)[:, None] % model.sites
    chain = chain_log_prob(model, x, known, random_orders(40, model.sites, generator))
    torch.testing.assert_close(chain, model.log_marginal(x, known), atol=1e-5, rtol=0)
    pair = marginal_law(law.probabilities, [0, 2], model.sites, model.num_values)
    assert float(pair.sum()) == pytest.approx(1)
    at = torch.zeros(1, model.sites, dtype=torch.bool)
    at[0, [0, 2]] = True
    first = torch.zeros(1, model.sites)
    assert float(model.log_marginal(first, at)) == pytest.approx(math.log(pair[0]), abs=1e-5)


def test_what_is_known_stays_and_the_rest_is_drawn_from_its_law(law: Enumeration) -> None:
    model, generator, num = ExactMarginals(law), generator_of("fill", 0), 2000
    x = torch.zeros((num, model.sites))
    x[:, 1] = 1
    known = torch.zeros((num, model.sites), dtype=torch.bool)
    known[:, 1] = True
    orders = random_orders(num, model.sites, generator)
    filled = fill_in(model, x, known, orders, generator, model.sites - 1)
    assert (filled.x[:, 1] == 1).all()
    given = model.log_marginal(filled.x, torch.ones_like(known)) - model.log_marginal(x, known)
    torch.testing.assert_close(filled.log_prob, given, atol=1e-4, rtol=0)
    counts = torch.bincount(
        state_index(filled.x, model.num_values), minlength=len(law.probabilities)
    )
    holds = model.states[:, 1] == 1
    expected = num * law.probabilities[holds] / law.probabilities[holds].sum()
    assert int(counts[~holds].sum()) == 0
    chi_square = float(((counts[holds] - expected).square() / expected).sum())
    degrees = len(expected) - 1
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees)


def test_blocks_drawn_anew_leave_the_law_in_place(law: Enumeration) -> None:
    model, generator, num = ExactMarginals(law), generator_of("redraw", 0), 2000
    x = redraw(model, law.draw(num, generator).flatten(1), 2, generator)
    counts = torch.bincount(state_index(x, model.num_values), minlength=len(law.probabilities))
    expected = num * law.probabilities
    chi_square = float(((counts - expected).square() / expected).sum())
    degrees = len(expected) - 1
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees)


def test_any_order_loss_is_the_entropy_for_an_exact_model(law: Enumeration) -> None:
    model, generator = ExactMarginals(law), generator_of("entropy", 0)
    x = law.draw(2000, generator).flatten(1)
    losses = torch.stack(
        [objectives.any_order_loss(model, part, generator) for part in x.split(100)]
    )
    entropy = -float((law.probabilities * law.probabilities.log()).sum())
    assert abs(float(losses.mean()) - entropy) < 4 * float(losses.std()) / math.sqrt(len(losses))


# ---------------------------------------------------------------------- objectives


def test_reinforce_is_the_gradient_of_the_divergence_on_average() -> None:
    """Over all batches of three events of a law of four, weighted by how often they come up."""
    logits = torch.tensor([0.3, -0.5, 1.0, 0.1], dtype=torch.float64, requires_grad=True)
    log_target = torch.tensor([1.0, 0.2, -1.0, 0.5], dtype=torch.float64)
    log_q = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((log_q.exp() * (log_q - log_target)).sum(), logits)
    large = 100.0  # no batch of these varies by as much, so that all have one scale
    total = torch.zeros(4, dtype=torch.float64)
    for batch in torch.cartesian_prod(*[torch.arange(4)] * 3):
        drawn = logits.log_softmax(0)[batch]
        surrogate = objectives.reverse_kl_surrogate(drawn, log_target[batch], least_spread=large)
        (gradient,) = torch.autograd.grad(surrogate, logits)
        total += float(drawn.detach().sum().exp()) * large * gradient
    torch.testing.assert_close(total, exact, atol=1e-12, rtol=0)
    assert exact.abs().max() > 0.1


def test_regression_rests_at_the_target_and_its_log_z() -> None:
    law = Enumeration(LAWS[0])
    f = law.probabilities.log() + law.log_z
    log_z = torch.tensor(law.log_z, dtype=torch.float64)
    at_rest = objectives.regression_loss(law.probabilities.log(), f, log_z)
    assert float(at_rest) < 1e-20
    assert float(objectives.regression_loss(law.probabilities.log(), f, log_z + 0.5)) > 0.2


@pytest.mark.parametrize("layout", ["perceptron", "convolutional"])
def test_networks_begin_near_the_uniform_law(layout: Any) -> None:
    generator = generator_of("network", 0)
    nets = MarginalNetworks(torch.Size([3, 4]), 3, layout, 8, 2, generator)
    x = torch.randint(3, (20, 12), generator=generator).float()
    known = random_orders(20, 12, generator) < 5
    off = nets.log_marginal(x, known) + 5 * math.log(3)
    assert off.abs().max() < 1
    again = x.masked_fill(~known, 2.0)
    torch.testing.assert_close(nets.log_marginal(again, known), nets.log_marginal(x, known))
    torch.testing.assert_close(nets.log_conditionals(x, known).exp().sum(2), torch.ones(20, 12))


def test_networks_of_a_lattice_that_wraps_treat_all_sites_alike() -> None:
    generator = generator_of("network", 1)
    nets = MarginalNetworks(torch.Size([4, 4]), 2, "convolutional", 6, 2, generator, wraps=True)
    x = torch.randint(2, (5, 4, 4), generator=generator).float()
    known = torch.rand((5, 4, 4), generator=generator) < 0.6

    def moved(v: Tensor) -> Tensor:
        return v.roll((1, 3), (1, 2)).flatten(1)

    there = nets.log_conditionals(moved(x), moved(known)).unflatten(1, (4, 4))
    here = nets.log_conditionals(x.flatten(1), known.flatten(1)).unflatten(1, (4, 4))
    torch.testing.assert_close(there, here.roll((1, 3), (1, 2)))
    torch.testing.assert_close(
        nets.log_marginal(moved(x), moved(known)),
        nets.log_marginal(x.flatten(1), known.flatten(1)),
    )


# ---------------------------------------------------------------------- the method


def test_the_figures_of_an_exact_model_are_those_of_no_error() -> None:
    method = run_of()
    data = method.task.data
    law = Enumeration(Ising(3, 3, 0.2, 0.2))
    judge = Judge(ExactMarginals(law), data, method.log_target)
    generator = generator_of("judge", 0)
    drawn = fill_in(
        judge.model,
        torch.zeros(100, 9),
        torch.zeros(100, 9, dtype=torch.bool),
        random_orders(100, 9, generator),
        generator,
        9,
    )
    figures = judge.final(drawn, generator)
    for name in (
        "target/gap_sd",
        "consistency/chain_error",
        "log_z/error",
        "log_z/importance_error",
        "marginals/log_prob_error",
        "marginals/single_error",
        "marginals/error_of_4",
        "quality/l1",
    ):
        assert figures[name] < 1e-4, name
    assert figures["weights/ess"] == pytest.approx(1, abs=1e-4)
    assert figures["marginals/log_total"] == pytest.approx(0, abs=1e-4)
    assert figures["log_z/exact"] == pytest.approx(law.log_z)
    assert figures["quality/energy_tv"] < 0.3 and figures["quality/mean_value_tv/floor"] < 0.3
    independent = figures["density/any_order_log_likelihood/independent"]
    assert figures["density/any_order_log_likelihood"] > independent


@pytest.mark.parametrize("objective", ["kl", "regression"])
def test_an_energy_alone_teaches_its_law_and_log_z(objective: str) -> None:
    data = {"name": "ising", "rows": 2, "columns": 3, "num": 500}
    fit = {"batch_size": 64, "learning_rate": 5e-3}
    method = run_of(objective=objective, data=data, width=48, train=fit)
    generator = generator_of("before", 0)
    before = method.judge.of_draws(method.completed(500, generator))
    trained(method, 250)
    figures = method.judge.final(method.completed(1000, generator), generator)
    assert figures["target/gap_sd"] < 0.25 < 0.6 < before["target/gap_sd"]
    assert figures["log_z/importance_error"] < 0.05
    assert figures["weights/ess"] > 0.85
    assert figures["quality/l1"] < 0.3
    assert figures["marginals/single_error"] < 0.06


def test_data_alone_teach_it_in_two_stages() -> None:
    method = run_of(
        objective="likelihood",
        data={"name": "ising", "rows": 2, "columns": 3, "coupling": 0.5, "field": 0.0},
        train={"batch_size": 64, "learning_rate": 5e-3},
    )
    nets = method.networks.parts.nets
    trained(method, 1)
    first = {name: p.clone() for name, p in nets.named_parameters()}
    method.step(0.5)
    moved = {name for name, p in nets.named_parameters() if not torch.equal(p, first[name])}
    assert moved and all(name.startswith("conditional") for name in moved)
    first = {name: p.clone() for name, p in nets.named_parameters()}
    method.step(0.6)
    moved = {name for name, p in nets.named_parameters() if not torch.equal(p, first[name])}
    assert moved and all(name.startswith("marginal") for name in moved)
    figures = trained(method, 400).judge.final(
        method.completed(500, generator_of("mle", 0)), generator_of("mle", 1)
    )
    gain = figures["density/any_order_log_likelihood"]
    assert gain > figures["density/any_order_log_likelihood/independent"] + 0.5
    assert figures["marginals/single_error"] < 0.15


def test_draws_hold_what_is_known() -> None:
    method = run_of()
    known = method.task.data.held_out[:6]
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0] = True
    request = SampleRequest(6, known=known, mask=mask)
    assert isinstance(method, MarginalMethod)
    drawn = method.draw(request, generator_of("held", 0))
    assert drawn.shape == (6, 3, 3) and torch.equal(drawn[:, 0], known[:, 0])
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


def test_data_without_an_energy_are_learned_from_by_likelihood_alone() -> None:
    config = Marginalization.Config(layout="convolutional")
    data = run_of(data={"name": "factor_graph", "num": 200}).task.data
    fields = [field for field, _ in Marginalization.problems(config, data)]
    assert fields == ["layout"]
