"""Laws of whole numbers as they are judged: enumeration, independent sites, annealing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy, Enumeration, enumerate_states
from backend.energies.independent import IndependentSites
from backend.energies.lattices import Ising, Potts
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energies.rbm import RBM
from backend.metrics.density_baselines import baselines
from backend.metrics.log_likelihood import value_refusal
from backend.metrics.sites import independent_log_prob, site_log_probs
from backend.randomness import generator_of
from backend.samplers.discrete_log_z import (
    DiscreteAnnealing,
    annealed,
    exact_law,
    judged,
    l1_distance,
)

CPU = generator_of("energies", 0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator_of("weights", *shape))


def data_of(name: str = "ising", **fields: object) -> Data:
    fields = {"num": 500, "num_held_out": 200, **fields}
    return resolve_data({"name": name, **fields}).load()


def lattice() -> Data:
    return data_of(rows=3, columns=3)


def network() -> DiscreteEnergy:
    config = MLPConfig(width=16, depth=2)
    net = MLPEnergy(config, torch.Size([3, 3]), generator_of("net"))
    net.num_values = 2
    return net.over_values(torch.Size([3, 3]), 2)


def machine() -> RBM:
    return RBM(0.8 * normal(9, 4), normal(9), normal(4), torch.Size([3, 3]))


ENERGIES: dict[str, DiscreteEnergy] = {
    "rbm": machine(),
    "lattice": Ising(3, 3, 0.4),
    "network": network(),
    "shifted": machine().normalised(3.0),
}


@pytest.mark.parametrize("kind", ENERGIES)
@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_annealing_comes_to_the_exact_log_z_from_both_sides(kind: str, temperature: float) -> None:
    energy = ENERGIES[kind]
    law = exact_law(energy, temperature)
    assert law is not None
    draws = law.draw(1000, generator_of("draws", kind))
    both = annealed(
        energy,
        lattice(),
        generator_of("annealed", kind),
        temperature=temperature,
        num_levels=60,
        num_chains=1000,
        draws=draws,
    )
    for value, error in ((both.forward, both.points.error), (both.reverse, both.reverse_error)):
        assert abs(value - law.log_z) < 4 * error + 1e-3
        assert error < 0.1


@pytest.mark.parametrize("kind", ENERGIES)
@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_a_path_begins_at_the_base_and_ends_at_the_energy(kind: str, temperature: float) -> None:
    energy, states = ENERGIES[kind], enumerate_states((3, 3), 2)
    base = IndependentSites(site_log_probs(lattice()))
    first, last = (energy.towards(base, beta, temperature) for beta in (0.0, 1.0))
    assert torch.allclose(first(states), base(states), atol=1e-4)
    assert torch.allclose(last(states), energy(states) / temperature, atol=1e-4)
    between = energy.towards(base, 0.3, temperature)
    expected = DiscreteEnergy.value_and_gradient(between, states)
    for part, other in zip(between.value_and_gradient(states), expected, strict=True):
        assert torch.allclose(part, other, atol=1e-4)


def test_independent_sites_are_counted_normalised_and_drawn() -> None:
    data = data_of("potts", rows=3, columns=3, num=2000)
    table = site_log_probs(data)
    base = IndependentSites(table)
    assert exact_law(base).log_z == pytest.approx(0, abs=1e-5)  # type: ignore[union-attr]
    x = base.sample(20_000, generator_of("draws"))
    assert x.shape == (20_000, 3, 3)
    for value in range(table.shape[-1]):
        counted = (data.train == value).double().mean(0)
        assert torch.allclose(table[..., value].exp(), counted, atol=2e-3)
        assert torch.allclose((x == value).double().mean(0), counted, atol=0.02)
    assert torch.allclose(independent_log_prob(table, x[:50]), base.log_prob(x[:50]).double())
    with pytest.raises(ValueError, match="real numbers"):
        site_log_probs(data_of("ring"))


def test_a_judgement_is_exact_where_states_or_hidden_bits_can_be_listed() -> None:
    exact = judged(machine(), lattice(), CPU, num_levels=20)
    law = Enumeration(machine())
    assert exact.way == "enumeration" and not exact.doubt
    assert exact.points.log_z == pytest.approx(law.log_z)
    shape = torch.Size([8, 8])
    wide = RBM(0.1 * normal(64, 6), normal(64), normal(6), shape)
    digits = resolve_data({"name": "binary_digits"}).load()
    by_hidden = judged(wide, digits, CPU, num_levels=100)
    assert by_hidden.way == "enumeration of the hidden states"
    assert by_hidden.points.positions.shape[1:] == shape
    assert by_hidden.annealed.forward == pytest.approx(by_hidden.points.log_z, abs=0.1)


def test_elsewhere_it_lies_between_annealing_both_ways_or_is_not_known() -> None:
    wide = RBM(0.8 * normal(64, 24), normal(64), normal(24), torch.Size([8, 8]))
    digits = resolve_data({"name": "binary_digits"}).load()
    without = judged(wide, digits, CPU, num_levels=40)
    assert without.law is None and "no draws" in without.doubt

    def one_pattern() -> torch.Tensor:
        return digits.train[:1].expand(400, 8, 8)

    far = judged(wide, digits, CPU, num_levels=40, draws=one_pattern)
    assert "disagree" in far.doubt and far.points.log_z == pytest.approx(far.annealed.middle)


def test_the_l1_distance_is_that_of_listed_laws_alone() -> None:
    one, other = Enumeration(Ising(3, 3, 0.4)), Enumeration(Ising(3, 3, 0.0))
    flat = torch.full((512,), 1 / 512, dtype=torch.float64)
    assert l1_distance(one, other) == pytest.approx(float((one.probabilities - flat).abs().sum()))
    assert l1_distance(one, one) == 0
    assert l1_distance(one, None) is None and l1_distance(Potts(9, 9, 3, 0.2).law(), one) is None


def test_baselines_of_whole_numbers_are_independent_sites_and_the_truth() -> None:
    data = lattice()
    log_probs = baselines(data, CPU)
    assert set(log_probs) == {"independent", "truth"}
    assert float(log_probs["truth"].mean()) > float(log_probs["independent"].mean()) + 0.1
    states = enumerate_states((3, 3), 2)
    listed = baselines(replace(data, held_out=states), generator_of("listed"))
    for values in listed.values():
        assert float(values.exp().sum()) == pytest.approx(1, abs=1e-4)


def test_text_and_wide_events_are_not_judged() -> None:
    assert value_refusal(lattice()) == ""
    assert "bits a character" in value_refusal(replace(lattice(), alphabet=("a", "b")))
    wide = torch.zeros(4, 40, 40)
    assert "1,024" in value_refusal(replace(lattice(), train=wide))


def test_levels_of_an_rbm_are_drawn_in_blocks_and_those_of_a_network_bit_by_bit() -> None:
    base = IndependentSites(site_log_probs(lattice()))
    kinds = [DiscreteAnnealing(base, ENERGIES[name]).kernel.config.kind for name in ENERGIES]
    assert kinds == ["block_gibbs", "block_gibbs", "gibbs_with_gradients", "block_gibbs"]
    assert math.isfinite(DiscreteAnnealing(base, machine()).betas[-1])
