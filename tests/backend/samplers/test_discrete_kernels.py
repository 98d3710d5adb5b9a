"""Kernels of discrete events against enumerated laws: chi-squared over every state.

Chains are independent, so that counts over them follow the multinomial law.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend import catalogue, samplers
from backend.energies.closed_form import Gaussian
from backend.energies.discrete import (
    DiscreteEnergy,
    Embedded,
    Enumeration,
    enumerate_states,
    one_hot,
    state_index,
)
from backend.energies.factor_graph import FactorGraph
from backend.energies.lattices import Ising, Potts
from backend.energies.multiset import Multiset
from backend.energies.rbm import RBM
from backend.energies.table import Table
from backend.randomness import generator_of
from backend.sampler import Sampler
from backend.samplers.block_gibbs import BlockGibbs, BlockGibbsConfig
from backend.samplers.cluster import Cluster, ClusterConfig
from backend.samplers.discrete_langevin import (
    DiscreteLangevin,
    DiscreteLangevinConfig,
    DiscreteMALA,
    DiscreteMALAConfig,
)
from backend.samplers.discrete_metropolis import DiscreteMetropolis, DiscreteMetropolisConfig
from backend.samplers.gibbs import Gibbs, GibbsConfig
from backend.samplers.gibbs_with_gradients import GibbsWithGradients, GibbsWithGradientsConfig

NUM = 8000


def normal(*shape: int, key: str = "weights") -> Tensor:
    return torch.randn(shape, generator=generator_of(key, *shape))


def graph() -> FactorGraph:
    groups = [(0,), (0, 1), (2, 1), (3, 0), (0, 3, 2)]
    tables = [normal(*[2] * len(group), key=str(group)) for group in groups]
    return FactorGraph(4, 2, list(zip(groups, tables, strict=True)))


# every one asymmetric, so that a law turned round or upside down is seen
TARGETS: dict[str, DiscreteEnergy] = {
    "ising": Ising(2, 3, 0.4, 0.3),
    "potts": Potts(2, 2, 3, 0.9, 0.5),
    "graph": graph(),
    "rbm": RBM(1.5 * normal(5, 3), normal(5), normal(3)),
    "table": Table(normal(7)),
    "network": Embedded(
        Gaussian(torch.tensor([1.3, 0.7]), torch.tensor([[1.0, 0.6], [0.6, 0.8]])),
        torch.Size([2]),
        4,
    ),
    "sets": Multiset(normal(5, 2), 2),
    "bags": Multiset(normal(3, 5), 4),
}


def kernels(temperature: float = 1.0) -> dict[str, Sampler]:
    """Every exact kernel, with its options."""
    t = temperature
    return {
        "gibbs": Gibbs(GibbsConfig(temperature=t)),
        "gibbs sweep": Gibbs(GibbsConfig(sites=0, scan="systematic", temperature=t)),
        "block": BlockGibbs(BlockGibbsConfig(sweeps=2, temperature=t)),
        "gradients": GibbsWithGradients(GibbsWithGradientsConfig(temperature=t)),
        "mala small": DiscreteMALA(DiscreteMALAConfig(temperature=t)),
        "mala large": DiscreteMALA(DiscreteMALAConfig(step_size=3, temperature=t)),
        "metropolis": DiscreteMetropolis(DiscreteMetropolisConfig(temperature=t)),
        "swaps": DiscreteMetropolis(
            DiscreteMetropolisConfig(sites=3, swap_share=0.5, temperature=t)
        ),
        "cluster all": Cluster(ClusterConfig(temperature=t)),
        "cluster one": Cluster(ClusterConfig(clusters="one", temperature=t)),
    }


def deviation(x: Tensor, energy: DiscreteEnergy, law: Enumeration) -> float:
    """Chi-squared of events against a law, as a standard normal deviate (Wilson-Hilferty)."""
    expected = len(x) * law.probabilities
    counts = torch.bincount(state_index(x, energy.num_values), minlength=len(expected))
    # states that are hardly ever seen are counted as one
    rare = expected < 5
    counts = torch.cat([counts[~rare], counts[rare].sum()[None]]).double()
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    kept = expected > 0
    square = float(((counts - expected)[kept].square() / expected[kept]).sum())
    freedom = int(kept.sum()) - 1
    spread = 2 / (9 * freedom)
    return ((square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


FITTING = [
    (kernel, target)
    for target, energy in TARGETS.items()
    for kernel, sampler in kernels().items()
    if not sampler.fits(energy)
]


@pytest.mark.parametrize(("kernel", "target"), FITTING)
def test_exact_draws_stay_exact_draws(kernel: str, target: str) -> None:
    # at another temperature than 1 all of an update is in play, the hidden pass's test too
    temperature = 1.7
    energy, sampler = TARGETS[target], kernels(temperature)[kernel]
    law = Enumeration(energy, temperature)
    start = law.draw(NUM, generator_of("draws", target))
    walk = samplers.run(sampler, start, energy, generator_of("walk", kernel), 3)
    assert (walk.state.position != start).flatten(1).any(1).float().mean() > 0.2
    assert deviation(walk.state.position, energy, law) < 4


def test_the_hidden_pass_is_exact_at_temperature_one_too() -> None:
    energy, sampler = TARGETS["rbm"], kernels()["block"]
    law = Enumeration(energy)
    start = torch.zeros(NUM, 5)
    walk = samplers.run(sampler, start, energy, generator_of("hidden", 0), 15)
    assert deviation(walk.state.position, energy, law) < 4


@pytest.mark.parametrize("kernel", kernels())
def test_from_one_state_every_other_is_reached_in_its_share(kernel: str) -> None:
    energy, sampler = Potts(2, 2, 3, 0.9, 0.5), kernels()[kernel]
    law, num = Enumeration(energy), 4000
    start = torch.full((num, 2, 2), 2.0)
    assert deviation(start, energy, law) > 100
    # blind proposals are mostly rejected or swap equal values
    num_steps = 160 if kernel in ("metropolis", "swaps") else 60
    walk = samplers.run(sampler, start, energy, generator_of("from one", kernel), num_steps)
    assert deviation(walk.state.position, energy, law) < 4


def test_a_wrong_law_would_be_seen() -> None:
    """Unadjusted steps at the same settings leave the law at once, in the same number of draws."""
    for target in ("ising", "potts", "rbm"):
        energy = TARGETS[target]
        law = Enumeration(energy)
        start = law.draw(NUM, generator_of("draws", target))
        sampler = DiscreteLangevin(DiscreteLangevinConfig(step_size=3))
        walk = samplers.run(sampler, start, energy, generator_of("walk", 0), 3)
        assert deviation(walk.state.position, energy, law) > 8


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("step_size", [0.3, 1.5])
def test_unadjusted_langevins_bias_is_its_closed_form(step_size: float, temperature: float) -> None:
    """Independent bits of log odds Δ: 1 with probability σ(Δ/2 - 1/2a) over itself and its like."""
    odds, num = torch.tensor([-1.5, 0.4, 2.0], dtype=torch.float64), 12_000
    tables = [((i,), torch.stack([torch.zeros(()), -odd])) for i, odd in enumerate(odds.float())]
    energy = FactorGraph(3, 2, tables)
    config = DiscreteLangevinConfig(step_size=step_size, temperature=temperature)
    start = torch.zeros(num, 3)
    walk = samplers.run(DiscreteLangevin(config), start, energy, generator_of("dula", 0), 25)
    half = odds / temperature / 2
    up, down = (torch.sigmoid(sign * half - 0.5 / step_size) for sign in (1, -1))
    biased, exact = up / (up + down), torch.sigmoid(2 * half)
    error = (biased * (1 - biased) / num).sqrt()
    found = walk.state.position.double().mean(0)
    assert ((found - biased) / error).abs().max() < 4
    if step_size > 1:
        assert ((found - exact) / error).abs().max() > 10, "the bias can be seen"


def test_discrete_langevin_flips_a_bit_with_the_probability_it_says() -> None:
    """σ(-(2x-1) f'/2 - 1/2a) of bits, f' = -dE/dx: from one step of many chains."""
    energy, a, num = TARGETS["rbm"], 0.7, 40_000
    x = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0]).expand(num, 5)
    sampler = DiscreteLangevin(DiscreteLangevinConfig(step_size=a))
    state = sampler.init(x, energy, generator_of("a", 0))
    after, _ = sampler.step(state, energy, generator_of("a", 1))
    slope = -(state.gradient[0, :, 1] - state.gradient[0, :, 0]).double()
    chance = torch.sigmoid(-(2 * x[0].double() - 1) * slope / 2 - 0.5 / a)
    found = (after.position != x).double().mean(0)
    assert ((found - chance) / (chance * (1 - chance) / num).sqrt()).abs().max() < 4


def test_gibbs_with_gradients_proposes_as_the_softmax_says() -> None:
    energy, num = TARGETS["potts"], 60_000
    x = torch.tensor([[0.0, 2.0], [1.0, 2.0]]).expand(num, 2, 2)
    sampler = GibbsWithGradients(GibbsWithGradientsConfig())
    state = sampler.init(x, energy, generator_of("a", 0))
    _, info = sampler.step(state, energy, generator_of("a", 1))
    gradient = state.gradient[0].reshape(4, 3)
    own = x[0].flatten().long()
    logits = -0.5 * (gradient - gradient.gather(1, own[:, None]))
    logits = logits.masked_fill(one_hot(x[0].flatten(), 3).bool(), -torch.inf).double()
    chance = logits.flatten().softmax(0)
    moved = (info.proposal != x).flatten(1)
    assert torch.equal(moved.sum(1), torch.ones(num, dtype=torch.int64)), "one site changes"
    site = moved.int().argmax(1)
    pair = site * 3 + info.proposal.flatten(1).gather(1, site[:, None]).squeeze(1).long()
    found = torch.bincount(pair, minlength=12).double() / num
    seen = chance > 0
    error = (chance * (1 - chance) / num).sqrt()
    assert ((found - chance)[seen] / error[seen]).abs().max() < 4
    assert (found[~seen] == 0).all()


def test_block_gibbs_redraws_every_site_and_asks_no_test_at_temperature_one() -> None:
    for target in ("ising", "graph", "rbm"):
        energy = TARGETS[target]
        start = torch.zeros(4000, *energy.event_shape)
        walk = samplers.run(BlockGibbs(BlockGibbsConfig()), start, energy, generator_of("b", 0), 1)
        assert walk.acceptance_rate == 1
        assert (walk.state.position.flatten(1).mean(0) > 0.02).all()


def test_a_systematic_scan_takes_one_site_after_the_other_and_goes_on() -> None:
    energy = TARGETS["ising"]
    sampler = Gibbs(GibbsConfig(sites=4, scan="systematic"))
    state = sampler.init(torch.zeros(2000, 2, 3), energy, generator_of("a", 0))
    for expected in ([0, 1, 2, 3], [4, 5, 0, 1]):
        before = state.position
        state, _ = sampler.step(state, energy, generator_of("a", expected[0]))
        touched = (state.position != before).flatten(1).any(0).nonzero().flatten().tolist()
        assert touched == sorted(expected)


def test_swaps_keep_the_counts_of_values() -> None:
    config = DiscreteMetropolisConfig(swap_share=0.95)
    energy = TARGETS["potts"]
    sampler = DiscreteMetropolis(config)
    start = enumerate_states((2, 2), 3).repeat(40, 1, 1)
    state = sampler.init(start, energy, generator_of("a", 0))
    _, info = sampler.step(state, energy, generator_of("a", 1))
    before, after = (one_hot(x.flatten(1), 3).sum(1) for x in (start, info.proposal))
    same = (before == after).all(1)
    share = float(same.float().mean())
    assert abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / len(start))
    assert ((info.proposal != start).flatten(1).sum(1)[same] <= 2).all()
    assert (info.proposal != start)[same].any()


def test_a_block_proposal_changes_from_one_site_to_the_most() -> None:
    sampler = DiscreteMetropolis(DiscreteMetropolisConfig(sites=3))
    energy, num = TARGETS["potts"], 9000
    state = sampler.init(torch.ones(num, 2, 2), energy, generator_of("a", 0))
    _, info = sampler.step(state, energy, generator_of("a", 1))
    sizes = torch.bincount((info.proposal != 1).flatten(1).sum(1), minlength=5)
    assert sizes[0] == sizes[4] == 0
    assert ((sizes[1:4] - num / 3).abs() < 4 * math.sqrt(num * 2 / 9)).all()


def test_the_step_size_is_tuned_towards_its_goal_in_warm_up_alone() -> None:
    energy, num_warm_up = Ising(6, 6, 0.2, 0.1), 100
    rates = {}
    for adapt in (True, False):
        sampler = DiscreteMALA(DiscreteMALAConfig(step_size=0.05, adapt=adapt))
        generator = generator_of("tune", 0)
        state = sampler.init(torch.zeros(100, 6, 6), energy, generator)
        for index in range(num_warm_up):
            state, info = sampler.step(state, energy, generator)
            state = sampler.tune(state, info, index, num_warm_up)
        walk = samplers.run(sampler, state, energy, generator, 40)
        assert torch.equal(walk.state.extra["step_size"], state.extra["step_size"])
        rates[adapt] = float(walk.acceptance_rate)
        assert (float(state.extra["step_size"]) == pytest.approx(0.05)) is not adapt
    assert rates[True] == pytest.approx(0.65, abs=0.05)
    assert rates[False] > 0.95


def test_a_step_reads_the_step_size_it_carries() -> None:
    energy = TARGETS["ising"]
    sampler = DiscreteMALA(DiscreteMALAConfig())
    state = sampler.init(torch.zeros(500, 2, 3), energy, generator_of("a", 0))
    moved = []
    for value in (0.05, 5.0):
        altered = state.carrying(step_size=torch.tensor(value))
        after, info = sampler.step(altered, energy, generator_of("a", 1))
        assert after.extra["step_size"] == value
        moved.append(float((info.proposal != state.position).float().mean()))
    assert moved[0] < 0.01 and moved[1] > 0.2


class Counted(Ising):
    """Counts evaluations of the whole energy."""

    calls = 0

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return super().value_and_gradient(x)


class CountedBits(RBM):
    calls = 0

    def forward(self, x: Tensor, condition: object = None) -> Tensor:
        self.calls += 1
        return super().forward(x)

    def relaxed(self, one_hot: Tensor) -> Tensor:
        self.calls += 1
        return super().relaxed(one_hot)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return super().value_and_gradient(x)


class CountedTable(Table):
    calls = 0

    def relaxed(self, one_hot: Tensor) -> Tensor:
        self.calls += 1
        return super().relaxed(one_hot)


@pytest.mark.parametrize("kernel", kernels())
def test_evaluations_are_counted(kernel: str) -> None:
    sampler = kernels()[kernel]
    for energy in (
        Counted(2, 3, 0.4, 0.3),
        CountedBits(normal(5, 3), normal(5), normal(3)),
        CountedTable(normal(4)),
    ):
        if sampler.fits(energy):
            continue
        start = torch.zeros(3, *energy.event_shape)
        walk = samplers.run(sampler, start, energy, generator_of("a", 0), 4)
        if kernel == "block" and isinstance(energy, RBM):
            # the pass through the hidden bits costs as much as an energy, but is none
            assert walk.gradient_evaluations == 1 + 2 * (energy.calls - 1)
        else:
            assert walk.gradient_evaluations == energy.calls


@pytest.mark.parametrize(("kernel", "target"), FITTING)
def test_chains_end_alike_whether_their_energies_are_asked_for_or_not(
    kernel: str, target: str
) -> None:
    energy, sampler = TARGETS[target].requires_grad_(False), kernels()[kernel]
    start = Enumeration(energy).draw(20, generator_of("draws", 0))
    generators = generator_of("walk", 0), generator_of("walk", 0)
    walk = samplers.run(sampler, start, energy, generators[0], 3)
    moved = samplers.moved(sampler, start, energy, generators[1], 3)
    assert torch.equal(moved.position, walk.state.position)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert float(moved.acceptance_rate) == pytest.approx(float(walk.acceptance_rate))
    assert moved.gradient_evaluations <= walk.gradient_evaluations


def test_layers_at_temperature_one_are_redrawn_without_an_energy() -> None:
    energy = CountedBits(normal(5, 3), normal(5), normal(3))
    moved = samplers.moved(kernels()["block"], torch.zeros(3, 5), energy, generator_of("a", 0), 4)
    # two layers, two sweeps a step, four steps
    assert energy.calls == 0 and moved.gradient_evaluations == 2 * 2 * 4


@pytest.mark.parametrize(("kernel", "target"), FITTING)
def test_a_walk_keeps_to_the_contract(kernel: str, target: str) -> None:
    energy, sampler = TARGETS[target].requires_grad_(False), kernels()[kernel]
    start = Enumeration(energy).draw(9, generator_of("draws", 0))
    before, kept = torch.random.get_rng_state(), start.clone()
    walk = samplers.run(sampler, start, energy, generator_of("walk", 0), 3, 1)
    state, info = walk.state, walk.info
    assert info is not None and walk.positions is not None
    assert torch.equal(start, kept), "positions given are not written into"
    assert ((state.position >= 0) & (state.position < energy.num_values)).all()
    assert torch.equal(state.position, state.position.floor())
    value, gradient = energy.value_and_gradient(state.position)
    assert torch.allclose(value, state.energy, atol=1e-5)
    assert torch.allclose(gradient, state.gradient, atol=1e-5)
    assert info.acceptance_rate.shape == info.accepted.shape == (9,)
    assert info.accepted.dtype == torch.bool and info.proposal.shape == start.shape
    assert all(figure.dim() == 0 for figure in info.figures.values())
    first = sampler.init(start, energy, generator_of("walk", 0))
    assert first.extra.keys() == state.extra.keys()
    again = samplers.run(sampler, start, energy, generator_of("walk", 0), 3)
    other = samplers.run(sampler, start, energy, generator_of("walk", 1), 3)
    assert torch.equal(again.state.position, state.position)
    assert not torch.equal(other.state.position, state.position)
    assert torch.equal(before, torch.random.get_rng_state())
    double = samplers.run(sampler, start.double(), energy, generator_of("walk", 0), 2).state
    assert double.position.dtype == double.energy.dtype == torch.float64


def test_a_kernel_says_why_it_cannot_take_an_energy() -> None:
    real = Gaussian(torch.zeros(2), torch.eye(2))
    found = catalogue.samplers()
    lattice = Ising(2, 3, 0.4)
    for kind, cls in found.items():
        assert bool(cls.fits(real)) is cls.discrete, kind
        assert bool(cls.fits(lattice)) is not cls.discrete, kind
        for energy in (real, lattice, *TARGETS.values()):
            reason = cls.fits(energy)
            assert not reason or reason.endswith("."), kind
    assert "coupling" in Cluster.fits(Ising(2, 3, -0.1))
    assert "lattices" in Cluster.fits(TARGETS["rbm"])
    assert "independent" in BlockGibbs.fits(TARGETS["network"])
    assert BlockGibbs.fits(TARGETS["rbm"]) == ""
    with pytest.raises(TypeError, match="no energy of discrete events"):
        Gibbs(GibbsConfig()).init(torch.zeros(2, 2), real, generator_of("a", 0))
