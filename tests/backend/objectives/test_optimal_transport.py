"""Transport plans against exact assignments."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from backend.objectives.optimal_transport import coupled, partners, sinkhorn
from backend.randomness import generator_of


def batches(num: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = generator_of("batches", seed)
    source = torch.randn(num, 2, generator=generator)
    corner = torch.randint(4, (num, 1), generator=generator)
    angle = corner * torch.pi / 2
    target = 2 * torch.cat([angle.cos(), angle.sin()], 1)
    return source, target + 0.2 * torch.randn(num, 2, generator=generator)


def squares(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (source[:, None] - target[None]).square().sum(-1)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_plan_of_little_entropy_costs_what_the_exact_assignment_costs(seed: int) -> None:
    """Between them: the plan's cost is at least the optimum less what its columns are off by, and
    at most ρ log num above it, since an assignment has entropy log num less than the product."""
    source, target = batches(128, seed)
    cost = squares(source, target)
    rows, columns = linear_sum_assignment(cost.numpy())
    exact = float(cost[rows, columns].mean())
    plan = sinkhorn(cost, 0.01)
    rho = 0.01 * float(cost.mean())
    got = float((plan * cost).sum())
    assert exact - 0.01 * exact < got < exact + rho * float(torch.tensor(128.0).log())
    assert got < 0.3 * float(cost.mean()), "far below a pairing by chance"


@pytest.mark.parametrize("entropy", [0.005, 0.02, 1.0])
def test_its_rows_and_columns_sum_to_equal_shares(entropy: float) -> None:
    plan = sinkhorn(squares(*batches(64, 2)), entropy)
    assert torch.allclose(plan.sum(1), torch.full((64,), 1 / 64), rtol=1e-4)
    assert float((64 * plan.sum(0) - 1).abs().mean()) < 0.05, "as far as the rounds take them"


def test_with_much_entropy_every_pair_is_as_likely() -> None:
    plan = sinkhorn(squares(*batches(32, 3)), 100.0)
    assert torch.allclose(plan, torch.full_like(plan, 1 / 32**2), rtol=0.1)


def test_a_plan_of_two_by_two_is_its_closed_form() -> None:
    """P_12 / P_11 = exp(−(C_12 + C_21 − C_11 − C_22) / 2ρ) for equal shares."""
    cost = torch.tensor([[0.3, 1.0], [1.4, 0.1]], dtype=torch.float64)
    rho = 0.5 * cost.mean()
    ratio = torch.exp(-(1.0 + 1.4 - 0.3 - 0.1) / (2 * rho))
    plan = sinkhorn(cost, 0.5)
    assert float(plan[0, 0]) == pytest.approx(float(0.5 / (1 + ratio)), rel=1e-6)
    assert float(plan[0, 1]) == pytest.approx(float(0.5 * ratio / (1 + ratio)), rel=1e-6)


def test_partners_are_drawn_with_the_shares_of_their_row() -> None:
    num = 40_000
    shares = torch.tensor([0.5, 0.0, 0.2, 0.3])
    found = partners((shares / num).expand(num, 4), generator_of("partners", 0))
    counts = torch.bincount(found, minlength=4) / num
    error = (shares * (1 - shares) / num).sqrt()
    assert ((counts - shares).abs() <= 4 * error).all()


def test_pairs_are_nearly_as_near_as_the_best_and_nothing_global_is_drawn() -> None:
    source, target = batches(128, 4)
    before = torch.random.get_rng_state()
    paired = coupled(source, target, 0.01, generator_of("pairs", 0))
    assert torch.equal(before, torch.random.get_rng_state())
    cost = squares(source, target)
    rows, columns = linear_sum_assignment(cost.numpy())
    best = float(cost[rows, columns].mean())
    assert float((source - paired).square().sum(1).mean()) < 1.3 * best


def test_equal_points_are_paired_without_a_number_that_is_not_finite() -> None:
    assert sinkhorn(torch.zeros(8, 8), 0.02).isfinite().all()
    far = squares(torch.randn(16, 2, generator=generator_of("far")), 1e4 * torch.ones(16, 2))
    assert sinkhorn(far, 0.005).isfinite().all()
