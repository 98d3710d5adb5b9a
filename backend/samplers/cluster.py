"""Cluster moves on lattices: Swendsen-Wang and Wolff."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies.lattices import Lattice
from backend.energy import Energy
from backend.sampler import Info, State, temperature_option
from backend.samplers.discrete import (
    DiscreteSampler,
    Outcome,
    drawn,
    metropolis,
    told,
    uniform,
)


class ClusterConfig(KindConfig):
    kind: Literal["cluster"] = "cluster"
    title: ClassVar[str] = "Clusters"
    summary: ClassVar[str] = "Recolours whole clusters of equal sites: exact, fast at criticality."

    clusters: Literal["all", "one"] = option(
        "all",
        "Which clusters a step recolours: all of them (Swendsen-Wang), or the one of a "
        "random site (Wolff).",
        main=True,
        group="Sampler",
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        if self.clusters == "all":
            return {"clusters": "Every cluster draws its value anew; nothing is rejected."}
        return {"clusters": "The cluster takes another value; a field may have that rejected."}


class Cluster(DiscreteSampler):
    """Equal neighbours are joined with probability 1 - exp(-b/T); what is joined moves as one.

    b is the energy a pair gains by being equal (2J in the Ising model, J in the Potts model), at
    least 0. `all`: each cluster C draws its value v ∝ exp(|C| field_v/T). `one`: the cluster of a
    random site takes another value, with probability min(1, e^{|C| (field_new - field_old)/T}).
    On a CPU clusters are found by a search, elsewhere by ⌈log₂ sites⌉ rounds that at least halve
    those left to join, so that nothing waits for the host. One evaluation a step. The figure
    `largest_cluster` is a share of the sites, a mean over chains. Swendsen & Wang 1987; Wolff 1989;
    Borůvka 1926 for the rounds.
    """

    Config: ClassVar[type[KindConfig]] = ClusterConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Swendsen & Wang 1987; Wolff 1989"
    config: ClusterConfig

    @classmethod
    def fits(cls, energy: Energy) -> str:
        reason = super().fits(energy)
        if reason:
            return reason
        if not isinstance(energy, Lattice):
            return "takes Ising and Potts lattices alone; use `gibbs_with_gradients`."
        if energy.bond_strength < 0:
            return "needs a coupling of at least 0: equal neighbours must be favoured."
        return ""

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        lattice = _lattice(energy)
        x, sites = state.position, lattice.num_sites
        chances = uniform((len(x), len(lattice.bonds)), state.gradient, generator)
        joined = self.fused(_joined, energy, x, chances, self.temperature)
        if x.device.type == "cpu":
            root = searched(lattice.bonds, joined, sites)
        else:
            root = self.fused(_connected, energy, joined)
        if self.config.clusters == "all":
            draws = uniform((len(x), sites), state.gradient, generator)
            outcome, largest = self.fused(_all, energy, x, root, draws, self.temperature)
        else:
            chance = uniform((len(x),), state.energy, generator)
            seeds = torch.randint(sites, (len(x), 1), generator=generator, device=x.device)
            shifts = torch.randint(
                1, lattice.num_values, (len(x), 1), generator=generator, device=x.device
            )
            outcome, largest = self.fused(
                _one, energy, *state[:3], root, seeds, shifts, chance, self.temperature
            )
        after, info = told(state, outcome, 1)
        return after, info._replace(figures={**info.figures, "largest_cluster": largest})


def connected(bonds: Tensor, joined: Tensor, num_sites: int) -> Tensor:
    """(chains, sites) int64: the same number within each connected component, a site of it.

    bonds (num_bonds, 2), joined (chains, num_bonds) bool. Borůvka: in each round every component
    takes its lowest bond that leads out, which joins it to another one; bonds chosen by both ends
    are the only cycles. What is left to join is at least halved, so ⌈log₂ sites⌉ rounds are enough.
    """
    chains, num_bonds = joined.shape
    left, right = bonds[:, 0], bonds[:, 1]
    site = torch.arange(num_sites, device=joined.device).expand(chains, -1)
    number = torch.arange(num_bonds, device=joined.device).expand(chains, -1)
    root, most = site, num_sites
    while most > 1:
        ends = root[:, left], root[:, right]
        out = torch.where(joined & (ends[0] != ends[1]), number, num_bonds)
        lowest = torch.full_like(site, num_bonds)
        for end in ends:
            lowest = lowest.scatter_reduce(1, end, out, "amin")
        bond = lowest.clamp(max=num_bonds - 1)
        # the root at the other end of the bond that a root chose
        other = ends[0].gather(1, bond) + ends[1].gather(1, bond) - site
        parent = torch.where(lowest < num_bonds, other, root)
        mutual = (parent.gather(1, parent) == site) & (site < parent)
        parent = torch.where(mutual, site, parent)
        # sites hang below their old root, roots in a chain of no more than `most`
        root = parent.gather(1, root)
        for _ in range(math.ceil(math.log2(most))):
            parent = parent.gather(1, parent)
        root = parent.gather(1, root)
        most //= 2
    return root


def searched(bonds: Tensor, joined: Tensor, num_sites: int) -> Tensor:
    """Components as `connected` finds them, by a search of scipy's: on a CPU several times as fast.

    All chains are one graph, made row by row of bonds in the order of their lower end.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    num_nodes = len(joined) * num_sites
    order = bonds[:, 0].argsort()
    left, right = bonds[order].int().T.numpy()
    begin = np.arange(0, num_nodes, num_sites, dtype=np.int32)[:, None]
    at = joined[:, order].reshape(-1).numpy().nonzero()[0]
    rows, columns = (begin + left).reshape(-1)[at], (begin + right).reshape(-1)[at]
    starts = np.zeros(num_nodes + 1, np.int32)
    np.bincount(rows, minlength=num_nodes).cumsum(out=starts[1:])
    graph = csr_array((np.ones(len(at)), columns, starts), shape=(num_nodes, num_nodes))
    num, label = connected_components(graph, directed=False)
    site_of = np.empty(num, np.int64)
    site_of[label] = np.arange(num_nodes) % num_sites  # any site of it: the last one written
    return torch.from_numpy(site_of[label]).reshape(-1, num_sites)


def _joined(energy: Energy, x: Tensor, chances: Tensor, temperature: float) -> Tensor:
    """(chains, bonds) bool: bonds of the joint law of sites and bonds."""
    lattice, flat = _lattice(energy), x.flatten(1)
    left, right = (flat.index_select(1, end) for end in lattice.bonds.unbind(1))
    share = -math.expm1(-lattice.bond_strength / temperature)
    return (left == right).logical_and_(chances < share)


def _connected(energy: Energy, joined: Tensor) -> Tensor:
    lattice = _lattice(energy)
    return connected(lattice.bonds, joined, lattice.num_sites)


def _all(
    energy: Energy, x: Tensor, root: Tensor, draws: Tensor, temperature: float
) -> tuple[Outcome, Tensor]:
    lattice, flat = _lattice(energy), x.flatten(1)
    sizes = torch.zeros_like(flat).scatter_add(1, root, torch.ones_like(flat))
    pull = lattice.fields.to(draws.dtype) / temperature
    values = drawn(sizes.unsqueeze(2) * pull, draws).to(x.dtype)
    y = values.gather(1, root).reshape(x.shape)
    state = State(y, *lattice.value_and_gradient(y))
    rate = torch.ones_like(state.energy)
    outcome = Outcome(state, rate, torch.ones_like(rate, dtype=torch.bool), y)
    return outcome, _share(sizes)


def _one(
    energy: Energy,
    x: Tensor,
    value: Tensor,
    gradient: Tensor,
    root: Tensor,
    seeds: Tensor,
    shifts: Tensor,
    chance: Tensor,
    temperature: float,
) -> tuple[Outcome, Tensor]:
    lattice, flat = _lattice(energy), x.flatten(1)
    sizes = torch.zeros_like(flat).scatter_add(1, root, torch.ones_like(flat))
    cluster = root == root.gather(1, seeds)
    old = flat.gather(1, seeds).long()
    new = (old + shifts) % lattice.num_values
    y = torch.where(cluster, new.to(x.dtype), flat).reshape(x.shape)
    fields = lattice.fields.to(value.dtype)
    gain = (fields[new] - fields[old]).squeeze(1)
    log_rate = cluster.sum(1) * gain / temperature
    proposed = State(y, *lattice.value_and_gradient(y))
    return metropolis(State(x, value, gradient), proposed, log_rate, chance), _share(sizes)


def _share(sizes: Tensor) -> Tensor:
    """The largest cluster over the sites, a mean over chains."""
    return sizes.amax(1).mean() / sizes.shape[1]


def _lattice(energy: Energy) -> Lattice:
    if not isinstance(energy, Lattice):
        raise TypeError(f"{type(energy).__name__} is no lattice.")
    return energy
