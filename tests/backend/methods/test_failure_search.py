"""Failure search: exact figures beside sums over all inputs, and what is learned."""

from __future__ import annotations

import math

import pytest
import torch

from backend import catalogue
from backend.energies.discrete import enumerate_states, state_index
from backend.events import Scalar, Table
from backend.method import SampleRequest
from backend.methods.failure_search import FailureSearch, enumerated
from backend.randomness import generator_of
from backend.requests import fitting
from backend.spec import RunSpec
from jobs.models.method_setup import prepare

SMALL = {"name": "failing_inputs", "length": 3, "num_letters": 4, "num_failing": 2, "num": 400}


def search(preset: str = "default", **config: object) -> FailureSearch:
    spec = RunSpec(method="failure_search", preset=preset, data=SMALL, config=config, seed=0)
    method = prepare(spec, torch.device("cpu"), None).method
    assert isinstance(method, FailureSearch)
    return method


def seen(method: FailureSearch) -> dict[str, float]:
    events = method.observe(generator_of("observe", 0))
    return {event.path: event.value for event in events if isinstance(event, Scalar)}


def test_the_policy_is_a_normalised_law_and_draws_come_from_it() -> None:
    policy = search().policy
    with torch.no_grad():
        policy.logits.normal_(generator=generator_of("logits", 0))
    states = enumerate_states((3,), 4)
    q = policy.table().exp()
    assert torch.allclose(policy.log_prob(states).double().exp(), q, atol=1e-6)
    assert math.isclose(float(q.sum()), 1.0, rel_tol=1e-9)
    num = 40_000
    x = policy.draw(*policy.noise(num, generator_of("draws", 0)))
    counts = state_index(x, 4).bincount(minlength=64) / num
    assert ((counts - q).abs() < 5 * (q / num).sqrt() + 1e-4).all()


def test_the_optimum_is_that_of_the_sum_over_all_inputs() -> None:
    method = search()
    optimum = enumerated(method.target, 0.3)
    assert optimum is not None
    states = enumerate_states((3,), 4)
    failing = method.target.is_value.argmax(-1)  # type: ignore[union-attr, operator]
    apart = (states[:, None].long() != failing).sum(-1).amin(1).double()
    energies = 1.5 * apart
    assert torch.allclose(optimum.energies, energies, atol=1e-5)
    assert math.isclose(
        optimum.objective, -0.3 * math.log(float((-energies / 0.3).exp().sum())), rel_tol=1e-6
    )
    assert optimum.lowest.tolist() == (apart == 0).nonzero().flatten().tolist()
    # J of any law lies above by T times its divergence from the optimum
    q = method.policy.table().exp()
    p = (-(energies - optimum.objective) / 0.3).exp()
    divergence = float((q * (q / p).log()).sum())
    figures = seen(method)
    gap = figures["failures/objective"] - optimum.objective
    assert math.isclose(gap, 0.3 * divergence, rel_tol=1e-5)
    assert figures["failures/objective/uniform"] > figures["failures/objective/goal"]


def test_the_likelihood_ratio_is_the_slope_of_the_objective_on_average() -> None:
    method = search("reinforce", train={"batch_size": 20_000})
    loss, _, num = method._likelihood_ratio()
    (estimate,) = torch.autograd.grad(loss, method.policy.logits)
    states = enumerate_states((3,), 4)
    log_q = method.policy.log_prob(states)
    objective = (log_q.exp() * (method.asked(states) + 0.3 * log_q)).sum()
    (exact,) = torch.autograd.grad(objective, method.policy.logits)
    assert num == 20_000
    assert (estimate - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("preset", ["default", "reinforce"])
def test_failures_are_found(preset: str) -> None:
    method = search(preset)
    before = seen(method)
    for step in range(200):
        method.advance(step / 200)
    after = seen(method)
    assert after["failures/objective"] < before["failures/objective"] - 1
    assert after["failures/mass"] > 10 * before["failures/mass"]
    assert after["failures/modes"] >= 1
    # 4 directions, 2 from half the budget on and 1 from 80 %, asked twice each
    calls = 32 * 200 if preset == "reinforce" else 2 * 32 * (4 * 100 + 2 * 60 + 40)
    assert int(method.num_calls) == calls
    table = next(e for e in method.observe(generator_of("o", 0)) if isinstance(e, Table))
    word, *_, energy = table.rows[0]
    assert isinstance(energy, float) and abs(energy) < 1e-5
    assert set(str(word)) <= set("abcd")


def test_what_cannot_be_asked_is_refused() -> None:
    method = search()
    assert method.refusal(SampleRequest(3, num_steps=5)) == (
        "num_steps",
        "has no effect: inputs are drawn at once by the learned law.",
    )
    ring = catalogue.resolve_data({"name": "ring"}).load()
    assert "data.name" in dict(fitting.problems(FailureSearch, method.config, ring))
    with pytest.raises(Exception, match="at most"):
        catalogue.resolve_data({"name": "failing_inputs", "length": 9}).load()
