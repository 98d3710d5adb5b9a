"""Contracts of samplers: shapes, costs, determinism, and that exact ones leave the law in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from backend import catalogue, samplers
from backend.energies.closed_form import Gaussian
from backend.energies.discrete import enumerate_states, state_index
from backend.energies.lattices import Ising
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from jobs.contracts import need

SHAPES = ((2,), (1, 3, 3), (4, 5))


def sampler_of(kind: str) -> Any:
    cls = catalogue.samplers()[kind]
    return cls(cls.Config())


def gaussian() -> Gaussian:
    return Gaussian(torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))


def spins() -> Ising:
    """A lattice that is not symmetric and small enough to be enumerated."""
    return Ising(2, 3, 0.3, 0.2, False)


def stays_exact(kind: str) -> bool:
    """True where exact draws stay exact draws: passes bring their own, and the replicas of a ladder
    are no exact draws when they start where the coldest does (tested where tempering is)."""
    cls = catalogue.samplers()[kind]
    return cls.exact and not cls.anneals and kind != "parallel_tempering"


class Counted(Energy):
    """Counts at how many positions it is asked."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy, self.rows = energy, 0

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        self.rows += len(x)
        return self.energy(x.flatten(1)[:, :2]) + 0.5 * x.flatten(1)[:, 2:].square().sum(1)


def walks_any_shape_and_counts_its_gradients(kind: str, shape: tuple[int, ...]) -> None:
    """Positions keep their shape, each row of a gradient is counted, a seed gives the same."""
    energy = Counted(gaussian())
    before = torch.random.get_rng_state()
    start = torch.randn(7, *shape, generator=generator_of("start", 0))
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5, 1)
    _need_shapes(walk, shape)
    num_rows = energy.rows
    need(
        7 * walk.gradient_evaluations == num_rows or (walk.info and walk.info.figures),
        f"asked for {num_rows} rows of the energy and counts {7 * walk.gradient_evaluations} in "
        "`gradient_evaluations`.",
    )
    again = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5)
    _need_same(walk, again, before)
    value, gradient = energy_and_gradient(energy, walk.state.position)
    close = torch.allclose(value, walk.state.energy, atol=1e-5)
    need(close, "`state.energy` is not the energy at `state.position`.")
    if walk.state.gradient.any():  # samplers that follow none carry zeros
        close = torch.allclose(gradient, walk.state.gradient, atol=1e-5)
        need(close, "`state.gradient` is not the gradient at `state.position`.")


def keeps_to_whole_numbers(kind: str) -> None:
    """A sampler of whole numbers takes and leaves nothing else."""
    energy = spins()
    need(catalogue.samplers()[kind].fits(energy) == "", "does not take a lattice of spins.")
    before = torch.random.get_rng_state()
    start = torch.randint(2, (7, 2, 3), generator=generator_of("start", 0)).float()
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5, 1)
    _need_shapes(walk, (2, 3))
    positions = walk.positions
    need(
        positions is not None and bool(((positions == 0) | (positions == 1)).all()),
        "leaves the values 0 and 1.",
    )
    again = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 0), 5)
    _need_same(walk, again, before)
    value, gradient = energy.value_and_gradient(walk.state.position)
    close = torch.allclose(value, walk.state.energy, atol=1e-5)
    need(close, "`state.energy` is not the energy at `state.position`.")
    close = torch.allclose(gradient, walk.state.gradient, atol=1e-5)
    need(close, "`state.gradient` is not the gradient at `state.position`.")


def _need_shapes(walk: samplers.Walk, shape: tuple[int, ...]) -> None:
    got = tuple(walk.state.position.shape)
    need(got == (7, *shape), f"7 chains of shape {shape} come back as {got}.")
    there = walk.positions is not None and walk.positions.shape == (5, 7, *shape)
    need(there, "positions on the way are of another shape.")
    rates = walk.info is not None and walk.info.acceptance_rate.shape == (7,)
    need(rates, "`acceptance_rate` is not one number a chain.")


def _need_same(walk: samplers.Walk, again: samplers.Walk, before: Tensor) -> None:
    need(
        torch.equal(again.state.position, walk.state.position),
        "two walks of one generator differ: draw from it alone.",
    )
    need(
        torch.equal(before, torch.random.get_rng_state()),
        "draws from the global generator: draw from the one that is passed.",
    )


def says_its_bias_and_what_it_does_not_fit(kind: str) -> None:
    """Exact, or a sentence on what is wrong with its draws; and no energy it cannot take."""
    cls = catalogue.samplers()[kind]
    need(cls.exact == (cls.bias == ""), "needs `exact = True`, or a sentence in `bias`.")
    need(cls.exact or cls.bias.endswith("."), "its `bias` has no full stop.")
    need(cls.references, "names no `references`.")
    misfit: Energy = gaussian() if cls.discrete else spins()
    need(cls.fits(misfit).endswith("."), "takes an energy it does not fit: see `discrete`.")


def leaves_the_law_of_whole_numbers(kind: str) -> None:
    """Every state as often as enumeration says, from exact draws and 5 steps: chi-square."""
    energy, num = spins(), 20_000
    states = enumerate_states((2, 3), 2)
    law = torch.softmax(-energy(states).double(), 0)
    drawn = torch.multinomial(law, num, True, generator=generator_of("draws", 0))
    walk = samplers.run(sampler_of(kind), states[drawn], energy, generator_of("walk", 1), 5)
    counts = torch.bincount(state_index(walk.state.position, 2), minlength=64).double()
    moved = (walk.state.position != states[drawn]).flatten(1).any(1).double().mean()
    need(moved > 0.3, f"moves {float(moved):.2f} of its chains in 5 steps, not 0.3.")
    chi_square = float(((counts - num * law).square() / (num * law)).sum())
    need(
        abs(chi_square - 63) < 4 * (2 * 63) ** 0.5,
        f"does not leave the law of 64 states in place: chi-square {chi_square:.0f}, expected 63.",
    )


def leaves_the_law(kind: str) -> None:
    """Exact draws stay exact draws: moments within 4 standard errors after 20 steps."""
    energy, num = gaussian(), 20_000
    start = energy.draw(num, generator_of("draws", 0))
    walk = samplers.run(sampler_of(kind), start, energy, generator_of("walk", 1), 20)
    x = walk.state.position.double()
    mean, covariance = energy.moments()
    moved = (x != start).any(1).double().mean()
    need(moved > 0.5, f"moves {float(moved):.2f} of its chains in 20 steps, not half.")
    errors = (x.mean(0) - mean) / (covariance.diagonal() / num).sqrt()
    need(
        errors.abs().max() < 4,
        f"does not leave a Gaussian's mean in place: {float(errors.abs().max()):.1f} standard "
        "errors off, not 4. Set `exact = False` and say the `bias`.",
    )
    variances = covariance.diagonal()
    spread = (torch.outer(variances, variances) + covariance**2) / num
    off = ((torch.cov(x.T) - covariance) / spread.sqrt()).abs().max()
    need(
        off < 4,
        f"does not leave a Gaussian's covariance in place: {float(off):.1f} standard errors off, "
        "not 4. Set `exact = False` and say the `bias`.",
    )
