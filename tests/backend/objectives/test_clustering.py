"""Terms of clustering beside numpy, closed forms and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.datasets.digits import sums
from backend.objectives.clustering import invariance, prior, ramp, unsatisfied
from backend.randomness import generator_of


def logits(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(shape, generator=generator_of("logits", seed), dtype=torch.float64)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x)
    return powers / powers.sum(-1, keepdims=True)


def test_invariance_is_the_cross_entropy_of_both() -> None:
    of_x, of_near = logits(7, 3), logits(7, 3, seed=1)
    p, q = softmax(of_x.numpy()), softmax(of_near.numpy())
    assert float(invariance(of_x, of_near)) == pytest.approx(-(p * np.log(q)).sum(1).mean())
    flat = torch.zeros(4, 5)
    assert float(invariance(flat, flat)) == pytest.approx(math.log(5))
    sure = 50 * torch.eye(5)
    assert float(invariance(sure, sure)) == pytest.approx(0, abs=1e-6)


def test_the_prior_is_least_where_shares_are_those_expected() -> None:
    target = torch.tensor([0.5, 0.3, 0.2])
    entropy = -(target * target.log()).sum()
    assert torch.allclose(prior(target, target), entropy)
    other = torch.tensor([0.2, 0.3, 0.5])
    divergence = (target * (target / other).log()).sum()
    assert torch.allclose(prior(other, target), entropy + divergence)
    assert prior(torch.tensor([1.0, 0.0, 0.0]), target).isfinite()


def test_sums_are_all_pairs_that_stay_below_ten() -> None:
    expected = [[a, b, a + b] for a, b in itertools.product(range(10), repeat=2) if a + b < 10]
    assert sums(10).tolist() == expected and len(expected) == 55


def test_the_constraint_and_its_gradient_are_those_of_enumeration() -> None:
    """By all 4³ triples of symbols, one by one, and the gradient p − p(symbol | it adds up)."""
    raw = logits(3, 3, 4).requires_grad_()
    loss = unsatisfied(raw.log_softmax(2), sums(4))
    loss.sum().backward()
    p = softmax(raw.detach().numpy())
    for row in range(3):
        total, given = 0.0, np.zeros((3, 4))
        for triple in itertools.product(range(4), repeat=3):
            if triple[0] + triple[1] != triple[2]:
                continue
            mass = math.prod(p[row, member, symbol] for member, symbol in enumerate(triple))
            total += mass
            for member, symbol in enumerate(triple):
                given[member, symbol] += mass
        assert float(loss[row].detach()) == pytest.approx(-math.log(total))
        assert raw.grad is not None
        assert raw.grad[row].numpy() == pytest.approx(p[row] - given / total)


def test_all_zero_meets_the_constraint() -> None:
    of_zero = torch.tensor([[[60.0] + [0.0] * 9] * 3])
    assert float(unsatisfied(of_zero.log_softmax(2), sums(10))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.0), (0.49, 0.0), (0.6, 0.5), (0.7, 1.0), (1.0, 1.0)]
)
def test_ramp(progress: float, expected: float) -> None:
    assert ramp(progress, 0.5, 0.2) == pytest.approx(expected)
