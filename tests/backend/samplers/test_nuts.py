"""NUTS: trees that end where the textbook's recursion ends them, and what a step tells of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend.energies.closed_form import Gaussian
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from backend.sampler import State
from backend.samplers.nuts import NUTS, NUTSConfig
from tests.backend.samplers.laws import DOUBLE, Banana, Gumbels, warmed


def leaf_path(
    energy: Energy, x: Tensor, momentum: Tensor, step_size: float, num: int
) -> tuple[list[Tensor], list[Tensor], list[float]]:
    """Positions, momenta and values of H of `num` leapfrog steps of one point (dim,)."""
    positions, momenta, values = [], [], []
    _, gradient = energy_and_gradient(energy, x[None])
    for _ in range(num):
        half = momentum - 0.5 * step_size * gradient[0]
        x = x + step_size * half
        value, gradient = energy_and_gradient(energy, x[None])
        momentum = half - 0.5 * step_size * gradient[0]
        positions.append(x)
        momenta.append(momentum)
        values.append(float(value[0] + 0.5 * momentum.square().sum()))
    return positions, momenta, values


def turns(momenta: list[Tensor]) -> bool:
    """Whether a balanced tree of these leaves turns anywhere, as the textbook's recursion asks."""
    if len(momenta) == 1:
        return False
    half = len(momenta) // 2
    left, right = momenta[:half], momenta[half:]

    def back(span: list[Tensor]) -> bool:
        total = torch.stack(span).sum(0)
        return bool(span[0] @ total <= 0) or bool(span[-1] @ total <= 0)

    joined = back(momenta) or back([*left, right[0]]) or back([left[-1], *right])
    return turns(left) or turns(right) or joined


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_a_subtree_is_valid_exactly_where_nothing_of_it_turns_or_diverges(depth: int) -> None:
    """On the bent target, forth and back, for trees of one block of leaves and of several."""
    from backend.samplers import nuts, trees

    energy, num, step_size = Banana(), 24, 2.4 / 2**depth
    generator = generator_of("subtree", depth)
    x = torch.randn(num, 2, generator=generator, dtype=DOUBLE)
    momentum = torch.randn(num, 2, generator=generator, dtype=DOUBLE)
    sampler = NUTS(NUTSConfig())
    state = sampler.init(x, energy, generator)
    tree = trees.seed(state, momentum, 1.0)
    forward = torch.arange(num) % 2 == 0
    noise = nuts.gumbel((2**depth, num), x, generator)
    drift = torch.full((2,), step_size, dtype=DOUBLE)
    first, end, subtree, count = sampler._subtree(tree, energy, forward, drift, noise)
    assert count == 2**depth
    valid = []
    for chain in range(num):
        signed = step_size if forward[chain] else -step_size
        positions, momenta, values = leaf_path(energy, x[chain], momentum[chain], signed, count)
        assert torch.allclose(first[chain], momenta[0])
        assert torch.allclose(end.x[chain], positions[-1])
        assert torch.allclose(end.momentum[chain], momenta[-1])
        assert torch.allclose(subtree.total[chain], torch.stack(momenta).sum(0))
        falls = float(tree.hamiltonian[chain]) - torch.tensor(values, dtype=DOUBLE)
        assert torch.allclose(subtree.log_weight[chain], falls.logsumexp(0))
        best = int((falls + noise[:, chain]).argmax())
        assert torch.allclose(subtree.drawn_x[chain], positions[best])
        valid.append(not turns(momenta) and bool((falls > -1000).all()))
    assert subtree.valid.tolist() == valid
    assert 0 < sum(valid) < num


def test_a_trees_statistics_are_those_of_a_tree_grown_by_hand() -> None:
    """One chain: leaves counted up to where a subtree turns, and the mean Metropolis probability.

    From the momentum and directions that the step draws first, the recursion is followed anew.
    """
    energy, step_size, seen = Banana(), 0.3, set()
    sampler = NUTS(NUTSConfig(step_size=step_size))
    for trial in range(30):
        x = torch.randn(1, 2, generator=generator_of("start", trial), dtype=DOUBLE)
        state = sampler.init(x, energy, generator_of("unused", 0))
        _, info = sampler.step(state, energy, generator_of("tree", trial))
        generator = generator_of("tree", trial)
        momentum = torch.randn(1, 2, generator=generator, dtype=DOUBLE)
        directions = torch.rand(2, 10, 1, generator=generator, dtype=DOUBLE)[0, :, 0] < 0.5
        leaves, depth, rate = _by_hand(energy, x[0], momentum[0], step_size, directions)
        assert float(info.figures["tree_depth"]) == depth
        assert float(info.figures["leapfrogs"]) == leaves
        assert float(info.acceptance_rate) == pytest.approx(rate, rel=1e-9)
        assert info.gradient_evaluations >= leaves
        seen.add(depth)
    assert len(seen) > 1


def _by_hand(
    energy: Energy, x: Tensor, momentum: Tensor, step_size: float, directions: Tensor
) -> tuple[int, int, float]:
    """Leaves up to the turn, valid doublings, and the mean probability over those leaves."""
    start = float(energy(x[None])[0] + 0.5 * momentum.square().sum())
    left = right = (x, momentum)
    path, num, depth, rates = [momentum], 0, 0, 0.0
    while True:
        forth = bool(directions[depth])
        at, signed = (right, step_size) if forth else (left, -step_size)
        positions, momenta, values = leaf_path(energy, *at, signed, 2**depth)
        for index in range(len(momenta)):
            num += 1
            rates += math.exp(min(0.0, start - values[index]))
            ended = any(
                (index + 1) % size == 0 and turns(momenta[index + 1 - size : index + 1])
                for size in (2**power for power in range(1, depth + 1))
            )
            if ended:
                return num, depth, rates / num
        depth += 1
        if forth:
            right, path = (positions[-1], momenta[-1]), path + momenta
        else:
            left, path = (positions[-1], momenta[-1]), momenta[::-1] + path
        if turns(path):  # its halves do not, or it would not have come here
            return num, depth, rates / num


def test_ten_dimensions_of_condition_number_100() -> None:
    """After warm-up every variance is within a tenth, and trees are short: the mass was found."""
    variances = torch.logspace(-1, 1, 10)
    energy, generator = Gaussian(torch.zeros(10), torch.diag(variances)), generator_of("ten", 0)
    sampler = NUTS(NUTSConfig())
    state = warmed(sampler, torch.randn(40, 10, generator=generator), energy, generator, 120)
    positions, depths, divergences, rates_told = [], [], [], []
    for _ in range(100):
        state, info = sampler.step(state, energy, generator)
        positions.append(state.position)
        rates_told.append(info.acceptance_rate.mean())
        depths.append(info.figures["tree_depth"])
        divergences.append(info.figures["divergences"])
    x = torch.cat(positions).double()
    ratio = x.var(0) / variances
    assert ratio.min() > 0.9 and ratio.max() < 1.1
    rates = torch.stack(rates_told)
    assert abs(float(rates.mean()) - 0.8) < 0.05
    assert (x.mean(0) / variances.sqrt()).abs().max() < 0.06
    assert 1.5 < torch.stack(depths).mean() < 3.5
    assert torch.stack(divergences).sum() == 0


def test_a_trajectory_turns_after_half_a_swing_however_small_the_step() -> None:
    """In E = x²/2 a tree of about π/ε leaves has turned: twice the leaves at half the step."""
    energy = Gaussian(torch.zeros(20), torch.eye(20))
    leaves = []
    for step_size in (0.2, 0.1, 0.05):
        sampler, generator = NUTS(NUTSConfig(step_size=step_size)), generator_of("swing", 0)
        state = sampler.init(torch.randn(60, 20, generator=generator), energy, generator)
        _, info = sampler.step(state, energy, generator)
        leaves.append(float(info.figures["leapfrogs"]))
        assert math.pi / 4 < leaves[-1] * step_size < 3 * math.pi
    assert leaves[0] < leaves[1] < leaves[2]


@pytest.mark.parametrize("max_depth", [1, 3])
def test_no_tree_is_deeper_than_it_may_be(max_depth: int) -> None:
    energy, generator = Gumbels(), generator_of("depth", max_depth)
    sampler = NUTS(NUTSConfig(step_size=1e-3, max_depth=max_depth))
    state = sampler.init(Gumbels.draw(10, generator), energy, generator)
    _, info = sampler.step(state, energy, generator)
    assert float(info.figures["tree_depth"]) == max_depth
    assert info.gradient_evaluations == 2**max_depth - 1 == float(info.figures["leapfrogs"])


def test_chains_that_have_ended_cost_nothing_more() -> None:
    """With two long trees among many short ones the energy is asked of few positions at the end."""
    sizes: list[int] = []

    class Watched(Energy):
        def forward(self, x: Tensor, condition: object = None) -> Tensor:
            sizes.append(len(x))
            wide = torch.where(x[:, 1] > 0, 1.0, 20.0)
            return 0.5 * ((x[:, 0] / wide).square() + ((x[:, 1].abs() - 100) / wide).square())

    start = torch.tensor([[0.3, 100.0]] * 62 + [[0.3, -100.0]] * 2)
    sampler, generator = NUTS(NUTSConfig(step_size=0.5)), generator_of("few", 0)
    state: State = sampler.init(start, Watched(), generator)
    sizes.clear()
    after, info = sampler.step(state, Watched(), generator)
    assert len(sizes) == info.gradient_evaluations
    assert sizes[0] == 64 and sizes[-1] == 2
    assert info.accepted.float().mean() > 0.8
    value, gradient = energy_and_gradient(Watched(), after.position)
    assert torch.equal(value, after.energy) and torch.equal(gradient, after.gradient)
