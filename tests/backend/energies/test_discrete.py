"""Discrete energies against plain sums over pairs, factors, hidden bits and states."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from backend.energies.closed_form import Gaussian
from backend.energies.discrete import (
    DiscreteEnergy,
    Embedded,
    Enumeration,
    enumerate_states,
    one_hot,
    put,
    state_index,
)
from backend.energies.factor_graph import FactorGraph
from backend.energies.lattices import Ising, Lattice, Potts, kaufman_log_z, transfer_log_z
from backend.energies.rbm import RBM, HiddenEnumeration
from backend.energies.table import Table
from backend.energy import energy_and_gradient
from backend.randomness import generator_of

DOUBLE = torch.float64


def normal(*shape: int, key: str = "weights") -> Tensor:
    return torch.randn(shape, generator=generator_of(key, *shape))


def rbm(visible: int = 5, hidden: int = 3) -> RBM:
    return RBM(normal(visible, hidden), normal(visible), normal(hidden))


def graph() -> FactorGraph:
    groups = [(0,), (3,), (0, 1), (2, 1), (3, 4), (4, 1, 2), (0, 3, 2)]
    tables = [normal(*[3] * len(group), key=str(group)) for group in groups]
    return FactorGraph(5, 3, list(zip(groups, tables, strict=True)))


MULTILINEAR: dict[str, DiscreteEnergy] = {
    "ising": Ising(3, 4, 0.3, 0.2),
    "open ising": Ising(3, 2, -0.4, 0.1, periodic=False),
    "potts": Potts(2, 3, 3, 0.7, 0.4),
    "graph": graph(),
    "table": Table(normal(7)),
}
ALL: dict[str, DiscreteEnergy] = {**MULTILINEAR, "rbm": rbm()}


def events(energy: DiscreteEnergy, num: int = 30) -> Tensor:
    uniform = torch.rand((num, *energy.event_shape), generator=generator_of("events", num))
    return (uniform.double() * energy.num_values).floor()


def test_states_and_their_index_are_inverse() -> None:
    states = enumerate_states((2, 3), 3)
    assert states.shape == (729, 2, 3)
    assert torch.equal(state_index(states, 3), torch.arange(729))
    assert len(states.unique(dim=0)) == 729


@pytest.mark.parametrize("name", ALL)
def test_at_one_hot_positions_the_relaxed_energy_is_the_energy(name: str) -> None:
    energy = ALL[name].normalised(1.5)
    x = events(energy)
    assert torch.allclose(energy(x), energy.relaxed(one_hot(x, energy.num_values)), atol=1e-12)
    assert torch.allclose(energy(x), ALL[name](x) + 1.5, atol=1e-12)
    value, gradient = energy.value_and_gradient(x)
    assert torch.equal(value, energy(x)) or torch.allclose(value, energy(x), atol=1e-12)
    assert gradient.shape == (*x.shape, energy.num_values)


@pytest.mark.parametrize("name", MULTILINEAR)
def test_a_multilinear_gradient_is_every_finite_difference(name: str) -> None:
    energy = MULTILINEAR[name]
    x = events(energy)
    _, gradient = energy.value_and_gradient(x)
    flat = gradient.flatten(1, -2)
    for site, value in itertools.product(range(energy.num_sites), range(energy.num_values)):
        where = torch.full((len(x),), site)
        rise = energy(put(x, where, torch.full_like(where, value))) - energy(x)
        own = flat[:, site].gather(1, x.flatten(1)[:, site, None].long()).squeeze(1)
        assert torch.allclose(flat[:, site, value] - own, rise, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_that_of_the_relaxed_energy(name: str) -> None:
    """Central differences in one-hot coordinates, sites and values alike."""
    energy, width = ALL[name], 1e-5
    x = events(energy, 3)
    relaxed, (_, gradient) = one_hot(x, energy.num_values), energy.value_and_gradient(x)
    for place in itertools.product(*map(range, relaxed.shape[1:])):
        shift = torch.zeros_like(relaxed)
        shift[(slice(None), *place)] = width
        slope = (energy.relaxed(relaxed + shift) - energy.relaxed(relaxed - shift)) / (2 * width)
        assert torch.allclose(gradient[(slice(None), *place)], slope, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_energies_at_a_site_are_those_of_each_value_but_for_one_number(name: str) -> None:
    energy = ALL[name]
    x = events(energy)
    site = torch.randint(energy.num_sites, (len(x),), generator=generator_of("site", 0))
    found = energy.site_energies(x, site)
    values = range(energy.num_values)
    true = torch.stack([energy(put(x, site, torch.full_like(site, v))) for v in values], 1)
    assert torch.allclose(found - found[:, :1], true - true[:, :1], atol=1e-10)


# ---------------------------------------------------------------------- lattices


def pairs(rows: int, columns: int, periodic: bool) -> set[frozenset[tuple[int, int]]]:
    """Neighbours, each pair once, by going right and down from every site."""
    found = set()
    for row, column in itertools.product(range(rows), range(columns)):
        for other in ((row + 1, column), (row, column + 1)):
            if periodic:
                other = other[0] % rows, other[1] % columns
            if other != (row, column) and other[0] < rows and other[1] < columns:
                found.add(frozenset([(row, column), other]))
    return found


SIZES = [(1, 4), (2, 2), (2, 3), (3, 3), (4, 4), (3, 4), (5, 2)]


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_lattice_energies_are_sums_over_pairs(rows: int, columns: int, periodic: bool) -> None:
    ising = Ising(rows, columns, 0.3, 0.2, periodic)
    potts = Potts(rows, columns, 4, 0.3, 0.2, periodic)
    joined = pairs(rows, columns, periodic)
    for x in events(ising, 5):
        spins = 2 * x - 1
        bonds = sum(float(spins[a] * spins[b]) for a, b in map(tuple, joined))
        expected = -0.3 * bonds - 0.2 * float(spins.sum())
        assert float(ising(x[None])) == pytest.approx(expected, abs=1e-12)
    for x in events(potts, 5):
        equal = sum(float(x[a] == x[b]) for a, b in map(tuple, joined))
        expected = -0.3 * equal - 0.2 * float((x == 0).sum())
        assert float(potts(x[None])) == pytest.approx(expected, abs=1e-12)
    sites = torch.arange(rows * columns).reshape(rows, columns)
    found = {frozenset(pair) for pair in ising.bonds.tolist()}
    assert found == {frozenset(int(sites[site]) for site in pair) for pair in joined}
    assert len(ising.bonds) == len(joined), "every pair once"


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("periodic", [True, False])
def test_no_two_neighbours_share_a_colour(rows: int, columns: int, periodic: bool) -> None:
    lattice = Ising(rows, columns, 0.3, 0.2, periodic)
    blocks = torch.stack(lattice.blocks()).flatten(1)
    assert torch.equal(blocks.sum(0), torch.ones(rows * columns, dtype=torch.int64))
    colour = blocks.int().argmax(0)
    assert (colour[lattice.bonds[:, 0]] != colour[lattice.bonds[:, 1]]).all()
    odd = periodic and any(side > 2 and side % 2 for side in (rows, columns))
    assert len(blocks) == (3 if odd else 2)


def test_the_papers_convention_is_twice_sigma() -> None:
    """exp(σ xᵀ A x + b Σ x) with the symmetric adjacency A is J = 2σ, h = b."""
    lattice, sigma, bias = Ising(4, 4, 2 * 0.1, 0.2), 0.1, 0.2
    adjacency = torch.zeros(16, 16, dtype=DOUBLE)
    adjacency[lattice.bonds[:, 0], lattice.bonds[:, 1]] = 1
    adjacency = adjacency + adjacency.T
    assert adjacency.sum() == 64
    x = events(lattice)
    spins = (2 * x - 1).flatten(1)
    expected = sigma * torch.einsum("bi,ij,bj->b", spins, adjacency, spins) + bias * spins.sum(1)
    assert torch.allclose(-lattice(x), expected, atol=1e-12)


def test_potts_of_two_values_is_ising_of_half_the_coupling() -> None:
    potts, ising = Potts(3, 4, 2, 0.8, 0.6), Ising(3, 4, 0.4, -0.3)
    x = events(ising)
    gap = potts(x) - ising(x)
    assert torch.allclose(gap, gap[:1].expand_as(gap), atol=1e-12)


@pytest.mark.parametrize("coupling", [0.05, 0.3, 0.5 * math.log(1 + math.sqrt(2)), 0.9])
@pytest.mark.parametrize("size", [(3, 3), (4, 4), (3, 5)])
def test_kaufmans_log_z_is_the_enumerated_one(size: tuple[int, int], coupling: float) -> None:
    law = Enumeration(Ising(*size, coupling))
    exact = torch.tensor(coupling, dtype=DOUBLE, requires_grad=True)
    log_z = kaufman_log_z(*size, exact)
    (slope,) = torch.autograd.grad(log_z, exact)
    assert float(log_z.detach()) == pytest.approx(law.log_z, abs=1e-10)
    assert law.mean_energy == pytest.approx(-coupling * float(slope), abs=1e-8)


@pytest.mark.parametrize(("coupling", "field"), [(0.2, 0.2), (-0.3, 0.1), (0.6, -0.5)])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (4, 3)])
def test_a_transfer_matrix_has_the_enumerated_log_z(
    size: tuple[int, int], coupling: float, field: float
) -> None:
    law = Enumeration(Ising(*size, coupling, field))
    assert transfer_log_z(*size, coupling, field) == pytest.approx(law.log_z, abs=1e-10)


# ---------------------------------------------------------------------- laws


def test_independent_spins_have_their_closed_form() -> None:
    law, field = Enumeration(Ising(2, 3, 0.0, 0.7)), 0.7
    assert law.log_z == pytest.approx(6 * math.log(2 * math.cosh(field)), abs=1e-12)
    share = 1 / (1 + math.exp(-2 * field))
    assert torch.allclose(law.mean, torch.full((2, 3), share, dtype=DOUBLE))
    assert torch.allclose(law.variance, torch.full((2, 3), share * (1 - share), dtype=DOUBLE))
    assert law.mean_energy == pytest.approx(-6 * field * math.tanh(field), abs=1e-12)
    hot = Enumeration(Ising(2, 3, 0.0, 0.7), temperature=2.0)
    assert hot.log_z == pytest.approx(6 * math.log(2 * math.cosh(field / 2)), abs=1e-12)


def test_a_normalised_energy_sums_to_one() -> None:
    law = Enumeration(MULTILINEAR["graph"])
    again = Enumeration(MULTILINEAR["graph"].normalised(law.log_z))
    assert again.log_z == pytest.approx(0, abs=1e-10)
    entropy = -(law.probabilities * law.probabilities.log()).sum()
    assert again.mean_energy == pytest.approx(float(entropy), abs=1e-10)


def test_an_rbms_law_is_the_same_by_visible_and_by_hidden_states() -> None:
    energy = rbm(9, 6)
    by_visible, by_hidden = Enumeration(energy), HiddenEnumeration(energy)
    assert by_hidden.log_z == pytest.approx(by_visible.log_z, abs=1e-9)
    assert torch.allclose(by_hidden.mean, by_visible.mean, atol=1e-9)
    assert torch.allclose(by_hidden.variance, by_visible.variance, atol=1e-9)
    shifted = HiddenEnumeration(energy.normalised(by_hidden.log_z))
    assert shifted.log_z == pytest.approx(0, abs=1e-9)


def test_an_rbm_sums_its_hidden_bits_at_any_temperature() -> None:
    energy, hidden = rbm(), enumerate_states((3,), 2).double()
    v = events(energy)
    weights, a, c = (t.double() for t in (energy.weights, energy.visible_bias, energy.hidden_bias))
    joint = -(v @ a)[:, None] - hidden @ c - v @ weights @ hidden.T
    for temperature in (1.0, 1.7):
        expected = -temperature * (-joint / temperature).logsumexp(1)
        assert torch.allclose(energy.at_temperature(v, temperature), expected, atol=1e-10)
    assert torch.equal(energy(v), energy.at_temperature(v, 1.0))


def test_draws_follow_the_law() -> None:
    """Chi-squared over all states, for both ways to enumerate."""
    energy, num = rbm(5, 3), 100_000
    law = Enumeration(energy)
    for source in (law, HiddenEnumeration(energy)):
        x = source.draw(num, generator_of("draw", source.source))
        assert x.dtype == torch.float32 and x.shape == (num, 5)
        counts = torch.bincount(state_index(x, 2), minlength=32).double()
        expected = num * law.probabilities
        # 31 degrees of freedom: above 73.6 with a chance of 3e-5
        assert float(((counts - expected).square() / expected).sum()) < 73.6


def test_only_small_laws_are_enumerated() -> None:
    assert isinstance(Ising(3, 6, 0.2).law(), Enumeration)
    assert Ising(4, 5, 0.2).law() is None
    assert isinstance(rbm(30, 4).law(), HiddenEnumeration)
    assert rbm(30, 21).law() is None


# ---------------------------------------------------------------------- others


def test_a_factor_graph_is_the_sum_of_its_tables() -> None:
    groups = [(0, 1), (2,), (1, 2, 0)]
    tables = [normal(2, 2), normal(2), normal(2, 2, 2)]
    energy = FactorGraph(3, 2, list(zip(groups, tables, strict=True)))
    for x in enumerate_states((3,), 2):
        a, b, c = (int(value) for value in x)
        expected = tables[0][a, b] + tables[1][c] + tables[2][b, c, a]
        assert float(energy(x[None])) == pytest.approx(float(expected), abs=1e-6)


def test_no_factor_holds_two_variables_of_one_block() -> None:
    blocks = torch.stack(graph().blocks())
    assert torch.equal(blocks.sum(0), torch.ones(5, dtype=torch.int64))
    for group in [(0, 1), (2, 1), (3, 4), (4, 1, 2), (0, 3, 2)]:
        assert blocks[:, list(group)].sum(1).max() == 1


def test_a_factor_graph_refuses_what_is_no_factor() -> None:
    with pytest.raises(ValueError, match="different variables"):
        FactorGraph(3, 2, [((1, 1), torch.zeros(2, 2))])
    with pytest.raises(ValueError, match="shape"):
        FactorGraph(3, 2, [((0, 1), torch.zeros(2, 3))])


def test_a_network_can_be_read_as_an_energy_of_values() -> None:
    """d/do_v of E(Σ v o_v) is v E'."""
    real = Gaussian(torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))
    energy = Embedded(real, torch.Size([2]), 4)
    x = events(energy)
    value, slope = energy_and_gradient(real, x)
    assert torch.allclose(energy(x), value)
    _, gradient = energy.value_and_gradient(x)
    assert torch.allclose(gradient, slope[..., None] * torch.arange(4), atol=1e-10)


def test_structure_moves_with_the_energy() -> None:
    """What kernels ask for lies in buffers, so that it goes to the device with the energy."""
    for energy in (Ising(3, 3, 0.2), Potts(3, 3, 3, 0.2), graph(), rbm(), Table(normal(4))):
        moved = energy.to("meta")
        assert all(buffer.is_meta for buffer in moved.buffers())
        assert all(mask.is_meta for mask in moved.blocks())
        if isinstance(moved, Lattice):
            assert moved.bonds.is_meta and moved.fields.is_meta
