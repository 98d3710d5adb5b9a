"""Cluster moves: components against a plain search, and laws against enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.discrete import Enumeration
from backend.energies.lattices import Ising, Lattice, Potts, kaufman_log_z
from backend.randomness import generator_of
from backend.samplers import cluster
from backend.samplers.cluster import Cluster, ClusterConfig, connected


def searched(bonds: list[list[int]], joined: list[bool], num_sites: int) -> list[int]:
    """The lowest site of each site's component, by walking from every site in turn."""
    near: list[list[int]] = [[] for _ in range(num_sites)]
    for (a, b), is_joined in zip(bonds, joined, strict=True):
        if is_joined:
            near[a].append(b)
            near[b].append(a)
    label = [-1] * num_sites
    for site in range(num_sites):
        stack = [site] if label[site] < 0 else []
        while stack:
            at = stack.pop()
            if label[at] < 0:
                label[at] = site
                stack += near[at]
    return label


def lowest(root: Tensor) -> list[int]:
    """Components named by their lowest site instead of any of theirs."""
    first: dict[int, int] = {}
    return [first.setdefault(int(value), site) for site, value in enumerate(root)]


@pytest.mark.parametrize("find", [connected, cluster.searched])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.5, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("size", [(1, 7), (2, 2), (3, 5), (12, 13)])
def test_components_are_those_of_a_search(
    size: tuple[int, int], share: float, find: Callable[[Tensor, Tensor, int], Tensor]
) -> None:
    lattice = Ising(*size, 0.3)
    num_sites = lattice.num_sites
    chances = torch.rand(8, len(lattice.bonds), generator=generator_of("bonds", *size))
    joined = chances < share
    roots = find(lattice.bonds, joined, num_sites)
    # a site of the component, so that it may count what is in it
    assert torch.equal(roots.gather(1, roots), roots)
    for row, root in zip(joined, roots, strict=True):
        assert lowest(root) == searched(lattice.bonds.tolist(), row.tolist(), num_sites)


def test_components_of_long_snakes_are_found() -> None:
    """Paths with their bonds in every order: the longest chains that rounds can leave."""
    num_sites, num = 130, 20
    for index in range(num):
        order = torch.randperm(num_sites, generator=generator_of("path", index))
        bonds = torch.stack([order[:-1], order[1:]], 1)
        if index % 2:
            bonds = bonds[torch.randperm(len(bonds), generator=generator_of("bonds", index))]
        joined = torch.ones(2, len(bonds), dtype=torch.bool)
        cut = index % len(bonds)
        joined[1, cut] = False
        for find in (connected, cluster.searched):
            roots = find(bonds, joined, num_sites)
            assert len(roots[0].unique()) == 1 and len(roots[1].unique()) == 2
            for row, root in zip(joined, roots, strict=True):
                assert lowest(root) == searched(bonds.tolist(), row.tolist(), num_sites)


def test_bonds_in_order_of_a_path_are_joined_in_one_round() -> None:
    """Every site then hangs on the one before: the longest chain a round can make."""
    num_sites = 257
    site = torch.arange(num_sites)
    bonds = torch.stack([site[:-1], site[1:]], 1)
    root = connected(bonds, torch.ones(1, num_sites - 1, dtype=torch.bool), num_sites)
    assert len(root.unique()) == 1


@pytest.mark.parametrize("clusters", ["all", "one"])
@pytest.mark.parametrize(
    "lattice",
    [Potts(2, 3, 3, 1.2), Potts(3, 3, 2, 0.6, -0.2), Ising(3, 3, 0.4407), Ising(3, 3, 0.3, 0.15)],
    ids=["potts", "potts in a field", "ising", "ising in a field"],
)
def test_moments_are_those_of_the_enumerated_law(lattice: Lattice, clusters: str) -> None:
    """Energy and share of value 0, within 4 standard errors of 4,000 independent chains."""
    law, num = Enumeration(lattice), 4000
    steps = 15 if clusters == "all" else 40
    states_zero = torch.zeros(num, *lattice.event_shape)
    sampler = Cluster(ClusterConfig(clusters=clusters))
    walk = samplers.run(sampler, states_zero, lattice, generator_of("c", clusters), steps)
    x = walk.state.position
    energy = walk.state.energy.double()
    assert law.mean_energy is not None
    assert abs(float(energy.mean()) - law.mean_energy) < 4 * float(energy.std()) / math.sqrt(num)
    error = (law.variance / num).sqrt()
    assert ((x.double().mean(0) - law.mean) / error).abs().max() < 4


def test_at_criticality_the_energy_is_kaufmans() -> None:
    """8×8 at the critical coupling, from all spins up, by the mean over 200 independent chains."""
    critical = 0.5 * math.log(1 + math.sqrt(2))
    exact = torch.tensor(critical, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(kaufman_log_z(8, 8, exact), exact)
    lattice = Ising(8, 8, critical)
    sampler, generator = Cluster(ClusterConfig()), generator_of("critical", 0)
    settled = samplers.run(sampler, torch.ones(200, 8, 8), lattice, generator, 25).state
    walk = samplers.run(sampler, settled, lattice, generator, 30, 2)
    assert walk.positions is not None
    means = lattice(walk.positions.flatten(0, 1)).double().reshape(-1, 200).mean(0)
    error = float(means.std()) / math.sqrt(200)
    assert abs(float(means.mean()) + critical * float(slope)) < 4 * error
    magnetisation = (2 * walk.positions - 1).mean((0, 2, 3)).double()
    assert abs(float(magnetisation.mean())) < 4 * float(magnetisation.std()) / math.sqrt(200)


def test_without_coupling_every_site_is_a_cluster() -> None:
    lattice = Ising(4, 4, 0.0)
    sampler = Cluster(ClusterConfig())
    state = sampler.init(torch.zeros(500, 4, 4), lattice, generator_of("a", 0))
    after, info = sampler.step(state, lattice, generator_of("a", 1))
    assert float(info.figures["largest_cluster"]) == pytest.approx(1 / 16)
    assert abs(float(after.position.mean()) - 0.5) < 4 * 0.5 / math.sqrt(500 * 16)
