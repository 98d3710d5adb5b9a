"""The trees that NUTS grows, all chains at once: what they hold, and their arithmetic.

All of it is of tensors alone and waits for no device. Momenta are in units of √M.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.compilation.row_blocks import by_rows
from backend.energy import Energy
from backend.sampler import State, per_chain
from backend.samplers.hmc import MAX_RISE, drifted, plainly


class Point(NamedTuple):
    """An end of a trajectory; the momentum in units of √M, so that it is N(0, I)."""

    x: Tensor
    momentum: Tensor
    gradient: Tensor


class Subtree(NamedTuple):
    """The half that a doubling adds, as far as it has come."""

    momentum: Tensor
    """of its last leaf"""
    total: Tensor
    """sum of the momenta of its leaves"""
    log_weight: Tensor
    """(chains,) log of the sum of exp(H_start − H) over its leaves"""
    score: Tensor
    """(chains,) of the drawn leaf: its log weight with Gumbel noise, the largest yet"""
    drawn_x: Tensor
    drawn_energy: Tensor
    drawn_gradient: Tensor
    valid: Tensor
    """(chains,) neither turned back nor diverged yet"""
    rates: Tensor
    """(chains,) sum of the Metropolis probabilities of the leaves, the old tree's included"""
    num_leaves: Tensor
    diverged: Tensor


_NUM_CARRIED = len(Subtree._fields) - 1
"""Parts of a Subtree that a block goes on from: all but the momentum."""


class Tree(NamedTuple):
    """The trajectory of every chain that is being worked on."""

    left: Point
    right: Point
    total: Tensor
    log_weight: Tensor
    hamiltonian: Tensor
    """(chains,) at the start"""
    growing: Tensor
    """(chains,) bool"""
    result: tuple[Tensor, ...]
    """drawn position, energy, gradient; sum of rates, leaves, whether diverged, depth, whether
    moved; each (chains, ...)"""


@cache
def spans(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """First and last leaves of the spans that may not turn in a block of `size` leaves, (checks,).

    Those of all subtrees of 2, 4, ... leaves, and of each half of them with the nearest leaf of the
    other half. The third of the three says at which leaf each is asked: the last of its subtree.
    """
    rows = []
    for length in (2**power for power in range(1, size.bit_length())):
        for start in range(0, size, length):
            last, middle = start + length - 1, start + length // 2
            rows.append((start, last, last))
            if length > 2:
                rows += [(start, middle, last), (middle - 1, last, last)]
    table = torch.tensor(rows, dtype=torch.int64, device=device).reshape(-1, 3)
    first, last_leaf, asked = table.T.contiguous()
    return first, last_leaf, asked


def grown(
    energy: Energy,
    x: Tensor,
    half: Tensor,
    gradient: Tensor,
    first_kick: Tensor,
    kick: Tensor,
    drift: Tensor,
    *given: Tensor | float,
    fused: Callable[..., Any] = plainly,
) -> tuple[Tensor, ...]:
    """A block of leapfrog steps: the last leaf's x, half momentum and gradient, then `_counted`.

    `given` is the rest of what `_counted` takes: its subtree, then what follows its leaves. `fused`
    calls each step's arithmetic, where the block is not compiled as one.
    """
    subtree, rest = given[:_NUM_CARRIED], given[_NUM_CARRIED:]
    noise = rest[2]
    assert isinstance(noise, Tensor)
    leaves = []
    for index in range(len(noise)):
        now = kick if index else first_kick
        x, value, gradient, half = fused(_drifted, energy, x, half, gradient, now, drift)
        leaves.append((x, value, gradient, half))
    stacked = [torch.stack(column) for column in zip(*leaves, strict=True)]
    return x, half, gradient, *fused(_counted, energy, *subtree, *stacked, *rest)


@by_rows(5)
def _drifted(
    energy: Energy, x: Tensor, half: Tensor, gradient: Tensor, kick: Tensor, drift: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`drifted` of chains that go forth and back, so that each has a kick and a drift."""
    return drifted(energy, x, half, gradient, kick, drift)


def _counted(
    energy: Energy,
    total: Tensor,
    log_weight: Tensor,
    score: Tensor,
    drawn_x: Tensor,
    drawn_energy: Tensor,
    drawn_gradient: Tensor,
    valid: Tensor,
    rates: Tensor,
    num_leaves: Tensor,
    diverged: Tensor,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    half: Tensor,
    half_kick: Tensor,
    hamiltonian: Tensor,
    noise: Tensor,
    firsts: Tensor,
    lasts: Tensor,
    asked: Tensor,
    temperature: float,
) -> tuple[Tensor, ...]:
    """The first momentum of a block, and the Subtree with the block; `energy` is not asked.

    x, value, gradient: of the leaves, (leaves, chains, ...). half: their momenta half a kick early.
    noise: Gumbel, (leaves, chains).
    """
    momentum = half - half_kick * gradient
    kinetic = 0.5 * momentum.square().flatten(2).sum(2)
    fall = (hamiltonian - value / temperature - kinetic).nan_to_num(nan=-torch.inf)
    bad = fall <= -MAX_RISE
    sums = total + momentum.cumsum(0)
    opening, closing = momentum.index_select(0, firsts), momentum.index_select(0, lasts)
    whole = sums.index_select(0, lasts) - sums.index_select(0, firsts) + opening
    turned = _turns(opening, closing, whole)
    endings = bad.to(x.dtype).index_add(0, asked, turned.to(x.dtype))
    running = valid & (endings.cumsum(0) - endings == 0)
    best, which = (fall + noise).max(0)
    taken = best > score
    wide, chains = per_chain(taken, drawn_x), torch.arange(len(taken), device=x.device)
    return (
        momentum[0],
        momentum[-1],
        sums[-1],
        torch.logaddexp(log_weight, fall.logsumexp(0)),
        torch.where(taken, best, score),
        torch.where(wide, x[which, chains], drawn_x),
        torch.where(taken, value[which, chains], drawn_energy),
        torch.where(wide, gradient[which, chains], drawn_gradient),
        valid & (endings.sum(0) == 0),
        rates + (running * fall.clamp(max=0).exp()).sum(0),
        num_leaves + running.sum(0),
        diverged | (running & bad).any(0),
    )


def turned_across(
    last: Tensor, total: Tensor, first: Tensor, before: Tensor, base: Tensor
) -> Tensor:
    """(chains,) whether any subtree of several blocks that ends with this leaf turns.

    last: momentum of the leaf. total: sum of the momenta up to it. Of the blocks at which those
    subtrees begin, from the largest subtree to the smallest and then this block, all (blocks,
    chains, *event_shape): first: momentum of the first leaf. before: of the leaf before that. base:
    sum over all leaves before it. The right half of each subtree begins where the next one does.
    """
    last, whole = last.expand_as(first[1:]), total - base
    spans = [
        (first[:-1], last, whole[:-1]),
        (first[:-1], first[1:], base[1:] - base[:-1] + first[1:]),
        (before[1:], last, whole[1:] + before[1:]),
    ]
    return _turns(*(torch.cat(column) for column in zip(*spans, strict=True))).any(0)


def _turns(first: Tensor, last: Tensor, total: Tensor) -> Tensor:
    """(spans, chains) whether spans with momenta `first`, ..., `last` of sum `total` turn.

    All (spans, chains, *event_shape), in units of √M, so that pᵀM⁻¹ρ is a plain product.
    """
    of_first = (first * total).flatten(2).sum(2)
    of_last = (last * total).flatten(2).sum(2)
    return (of_first <= 0) | (of_last <= 0)


def seed(state: State, momentum: Tensor, temperature: float) -> Tree:
    """Trees of one point each."""
    end = Point(state.position, momentum, state.gradient)
    zero = torch.zeros_like(state.energy)
    no = torch.zeros_like(zero, dtype=torch.bool)
    hamiltonian = state.energy / temperature + 0.5 * momentum.square().flatten(1).sum(1)
    result = (*state[:3], zero, zero, no, zero, no)
    return Tree(end, end, momentum, zero, hamiltonian, ~no, result)


def sprout(tree: Tree, forward: Tensor) -> tuple[Point, Subtree]:
    """The end of the tree where it will grow, and a subtree without leaves."""
    end = _either(forward, tree.right, tree.left)
    nothing = torch.full_like(tree.log_weight, -torch.inf)
    x, value, gradient, rates, num_leaves, diverged = tree.result[:6]
    return end, Subtree(
        end.momentum,
        torch.zeros_like(tree.total),
        nothing,
        nothing,
        x,
        value,
        gradient,
        tree.growing,
        rates,
        num_leaves,
        diverged,
    )


def joined(
    tree: Tree, first: Tensor, end: Point, subtree: Subtree, forward: Tensor, swap: Tensor
) -> Tree:
    """The tree with its new half, where that is valid; it goes on growing where it has not turned.

    The drawn point is the subtree's with probability min(1, its weight over the old tree's).
    """
    valid, weight = subtree.valid, subtree.log_weight
    far = _either(forward, tree.left, tree.right).momentum
    near = _either(forward, tree.right, tree.left).momentum
    total = tree.total + subtree.total
    turned = _turns(
        torch.stack([far, far, near]),
        torch.stack([end.momentum, first, end.momentum]),
        torch.stack([total, tree.total + first, subtree.total + near]),
    ).any(0)
    taken = valid & (swap < (weight - tree.log_weight).exp())
    wide = per_chain(taken, total)
    x, value, gradient, *_, depth, moved = tree.result
    return Tree(
        _either(valid & ~forward, end, tree.left),
        _either(valid & forward, end, tree.right),
        total,
        torch.logaddexp(tree.log_weight, weight),
        tree.hamiltonian,
        valid & ~turned,
        (
            torch.where(wide, subtree.drawn_x, x),
            torch.where(taken, subtree.drawn_energy, value),
            torch.where(wide, subtree.drawn_gradient, gradient),
            subtree.rates,
            subtree.num_leaves,
            subtree.diverged,
            depth + valid,
            moved | taken,
        ),
    )


def _either(there: Tensor, one: Point, other: Point) -> Point:
    """`one` where `there` (chains,), else `other`."""
    wide = per_chain(there, one.x)
    x, momentum, gradient = (torch.where(wide, *pair) for pair in zip(one, other, strict=True))
    return Point(x, momentum, gradient)


def picked(tree: Tree, index: Tensor) -> Tree:
    """The trees of some chains."""
    left, right = (
        Point(end.x[index], end.momentum[index], end.gradient[index]) for end in tree[:2]
    )
    total, log_weight, hamiltonian, growing = (part[index] for part in tree[2:6])
    result = tuple(part[index] for part in tree.result)
    return Tree(left, right, total, log_weight, hamiltonian, growing, result)


def written(
    result: tuple[Tensor, ...], chains: Tensor | None, part: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """The results of all chains with those of some put in their places."""
    if chains is None:
        return part
    pairs = zip(result, part, strict=True)
    return tuple(whole.index_copy(0, chains, some) for whole, some in pairs)


def trailing_ones(number: int) -> int:
    """Number of binary ones that a number ends in.

    >>> [trailing_ones(number) for number in (1, 3, 5, 7, 8)]
    [1, 2, 1, 3, 0]
    """
    return ((number + 1) & -(number + 1)).bit_length() - 1
