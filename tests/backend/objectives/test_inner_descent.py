"""Steps learned through, on quadratic energies whose every step is known, and what is drawn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from backend.energies import Condition
from backend.methods.energy_transformer import EnergyTransformerConfig
from backend.objectives.inner_descent import Descent, Replay, judged_shares, step_factors
from backend.randomness import generator_of

CPU = torch.device("cpu")
CURVATURE = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)


class Bowl(nn.Module):
    """½ Σ a_i (x_i − m c_i)², a fixed and m to be learned."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        assert condition.context is not None
        return 0.5 * (CURVATURE * (x - self.slope * condition.context).square()).sum(1)


def bowl(step_size: float = 0.3) -> tuple[Descent, Tensor, Tensor]:
    generator = generator_of("bowl")
    x, context = torch.randn((2, 5, 3), generator=generator, dtype=torch.float64)
    return Descent(Bowl(1.5), step_size).double(), x, context


@pytest.mark.parametrize("num_steps", [1, 4])
def test_unrolled_steps_on_a_quadratic_and_their_gradients_are_the_closed_form(
    num_steps: int,
) -> None:
    """x_k − mc = (1 − αa)^k (x_0 − mc), so that all derivatives of |x_k|² are powers too."""
    descent, start, context = bowl()
    factor = torch.tensor([1.0, 0.5, 2.0, 1.0, 1.3], dtype=torch.float64)
    *_, last = descent.learned(start, context, factor, num_steps, unrolled=True)
    alpha = descent.log_step.detach().exp() * factor[:, None]
    shrunk = (1 - alpha * CURVATURE) ** num_steps
    x = 1.5 * context + shrunk * (start - 1.5 * context)
    assert torch.allclose(last.position, x, atol=1e-12)
    last.position.square().sum().backward()
    of_slope = (2 * x * (1 - shrunk) * context).sum()
    assert descent.network.slope.grad.item() == pytest.approx(of_slope.item(), rel=1e-10)
    of_step = -num_steps * CURVATURE * alpha * (1 - alpha * CURVATURE) ** (num_steps - 1)
    of_log_step = (2 * x * of_step * (start - 1.5 * context)).sum()
    assert descent.log_step.grad is not None
    assert descent.log_step.grad.item() == pytest.approx(of_log_step.item(), rel=1e-6)


def test_detached_steps_learn_from_their_own_gradient_alone() -> None:
    """Of x_2 = x_1 − αa(x_1 − mc) with x_1 fixed, the derivative in m is αac."""
    descent, start, context = bowl()
    factor = torch.ones(5, dtype=torch.float64)
    first, last = descent.learned(start, context, factor, 2, unrolled=False)
    last.position.sum().backward()
    alpha = descent.log_step.detach().exp()
    assert descent.network.slope.grad.item() == pytest.approx(
        (alpha * CURVATURE * context).sum().item(), rel=1e-10
    )
    assert torch.allclose(descent.stepped(start, context), first.position, atol=1e-12)


class Bowls(nn.Module):
    """½ a_k |x|² for a landscape k each, (batch, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor([0.5, 2.0], dtype=torch.float64))

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        return 0.5 * self.curvature * x.square().sum(1, keepdim=True)


def test_each_step_goes_down_its_own_landscape_and_later_ones_the_last() -> None:
    """x_3 = (1 − αa_0)(1 − αa_1)² x_0, with its derivatives in both; the last one judges."""
    start = torch.randn((5, 3), generator=generator_of("bowls"), dtype=torch.float64)
    descent, factor = Descent(Bowls(), 0.3, 2).double(), torch.ones(5, dtype=torch.float64)
    *_, last = descent.learned(start, start, factor, 3, unrolled=True)
    alpha = float(descent.log_step.detach().exp())
    first, second = 1 - 0.5 * alpha, 1 - 2 * alpha
    assert torch.allclose(last.position, first * second**2 * start, atol=1e-12)
    last.position.square().sum().backward()
    square = float(start.detach().square().sum())
    expected = [-2 * alpha * first * second**4 * square, -4 * alpha * first**2 * second**3 * square]
    assert descent.network.curvature.grad.tolist() == pytest.approx(expected, rel=1e-9)
    x = start
    for index in range(3):
        x = descent.stepped(x, start, index)
    assert torch.allclose(x, last.position, atol=1e-12)
    assert torch.allclose(descent.energies(start, start), start.square().sum(1), atol=1e-12)


def test_noise_comes_before_the_gradient_of_each_step() -> None:
    descent, start, context = bowl()
    noise = torch.randn((5, 2, 3), generator=generator_of("noise"), dtype=torch.float64)
    factor = torch.ones(5, dtype=torch.float64)
    *_, last = descent.learned(start, context, factor, 2, True, noise)
    x = start
    for index in range(2):
        x = descent.stepped(x + noise[:, index], context)
    assert torch.allclose(last.position, x, atol=1e-12)


def test_the_steps_of_each_row_are_drawn_and_its_last_ones_judged() -> None:
    config = EnergyTransformerConfig(num_inner_steps=2, extra_steps=2, num_judged=2)
    shares = judged_shares(config, 3000, generator_of("shares"), CPU)
    assert shares.shape == (3000, 4) and torch.equal(shares.sum(1), torch.ones(3000))
    patterns, counts = shares.unique(dim=0, return_counts=True)
    expected = [[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]]
    assert patterns.tolist() == expected
    assert (counts / 3000 - 1 / 3).abs().max() < 0.04  # 4.6 standard errors
    apart = config.model_copy(update={"unrolled": False, "extra_steps": 0, "num_judged": 1})
    assert judged_shares(apart, 2, generator_of("shares"), CPU).tolist() == [[0.5, 0.5]] * 2
    assert step_factors(100, 1.0, generator_of("f"), CPU).eq(1).all()
    factors = step_factors(4000, 2.0, generator_of("f"), CPU)
    assert factors.min() >= 0.5 and factors.max() <= 2.0
    assert factors.log().mean().abs() < 0.03 and factors.log().std() > 0.38  # log 2 / √3 = 0.40


def test_the_latest_predictions_are_gone_on_from() -> None:
    replay = Replay(torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2))
    replay.push(torch.tensor([7, 8]), torch.ones(2, 2))
    assert replay.rows.tolist() == [7, 8, 0] and replay.positions[:, 0].tolist() == [1, 1, 0]
    replay.push(torch.tensor([1, 2, 3, 4]), torch.full((4, 2), 2.0))
    rows, positions = replay.drawn(50, generator_of("replay"))
    assert set(rows.tolist()) == {1, 2, 3} and positions.eq(2).all()
