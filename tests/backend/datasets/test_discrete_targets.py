"""Discrete targets: the Data contract, exact draws, and truth against what is drawn."""

from __future__ import annotations

import math

import pytest
import torch

from backend.catalogue import resolve_data
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy, Enumeration, enumerate_states
from backend.energies.lattices import Ising
from backend.randomness import generator_of

TARGETS = ["ising", "potts", "rbm", "factor_graph", "enumerable", "sets", "bags"]


def load(name: str, **fields: object) -> Data:
    return resolve_data({"name": name, **fields}).load()


def energy_of(data: Data) -> DiscreteEnergy:
    energy = data.density or data.target
    assert isinstance(energy, DiscreteEnergy)
    return energy


@pytest.mark.parametrize("name", TARGETS)
def test_events_are_whole_numbers_in_units_of_their_own(name: str) -> None:
    data = load(name)
    assert data.name == name and data.num_values is not None
    assert data.train.shape == (4000, *data.event_shape) and len(data.held_out) == 2000
    for x in (data.train, data.held_out, data.noise(50, generator_of("noise", 0))):
        assert x.dtype == torch.float32
        assert torch.equal(x, x.floor()) and x.min() >= 0 and x.max() <= data.num_values - 1
    assert torch.equal(data.restore(data.train), data.train)
    assert torch.equal(data.standardise(data.train), data.train)
    energy = energy_of(data)
    assert energy.num_values == data.num_values and energy.event_shape == data.event_shape
    assert data.is_image is (len(data.event_shape) == 2)
    noise = data.noise(2000, generator_of("noise", 1))
    assert energy(data.held_out).mean() < energy(noise).mean()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seed_is_its_own(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = load(name), load(name), load(name, seed=1)
    assert torch.equal(first.train, again.train) and torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.train, other.train)
    assert not torch.equal(first.train[:2000], first.held_out)
    assert torch.equal(before, torch.get_rng_state())
    x = first.held_out
    assert torch.equal(energy_of(first)(x), energy_of(other)(x)), "the target stays as it is"


@pytest.mark.parametrize("name", TARGETS)
def test_small_targets_are_normalised_and_their_truth_is_what_is_drawn(name: str) -> None:
    small = {"rbm": {"num_visible": 12}, "bags": {"num_kinds": 4}}
    data = load(name, **small.get(name, {}))
    assert data.density is not None and data.truth is not None and data.draw is not None
    assert Enumeration(energy_of(data)).log_z == pytest.approx(0, abs=1e-5)
    source = "dynamic programming" if name in ("sets", "bags") else "enumeration"
    assert data.truth.source == source and data.truth.log_z == 0
    fresh = data.draw(4000, generator_of("fresh", 0))
    for x in (data.train, fresh):
        assert data.truth.mean is not None and data.truth.variance is not None
        error = (data.truth.variance / len(x)).sqrt()
        assert ((x.double().mean(0) - data.truth.mean) / error).abs().max() < 4
        energy = data.density(x).double()
        assert data.truth.mean_energy is not None
        error_of_energy = float(energy.std()) / math.sqrt(len(x))
        assert abs(float(energy.mean()) - data.truth.mean_energy) < 4 * error_of_energy


@pytest.mark.parametrize("name", ["sets", "bags"])
def test_multisets_are_all_of_one_size_and_so_is_their_noise(name: str) -> None:
    data = load(name)
    total = energy_of(data).total
    noise = data.noise(4000, generator_of("noise", 0))
    for x in (data.train, data.held_out, noise):
        assert (x.sum(1) == total).all()
    # no element is apart where all multisets are equally likely
    spread = noise.double().mean(0) - total / noise.shape[1]
    assert (spread / (noise.double().std(0) / math.sqrt(len(noise)))).abs().max() < 4


def test_a_wide_rbm_is_known_by_its_hidden_states() -> None:
    data = load("rbm")
    assert data.truth is not None and data.truth.source == "enumeration of the hidden states"
    assert data.density is not None and data.truth.mean is not None
    assert data.truth.variance is not None
    error = (data.truth.variance / len(data.train)).sqrt()
    # 64 bits at once: 4.5 standard errors leave one failure in 2,300 such tests
    assert ((data.train.double().mean(0) - data.truth.mean) / error).abs().max() < 4.5
    # E_p[u(v)/p(v)] = 1 for any normalised u; u = p of half the states, those with first bit 0
    first = data.train[:, 0] == 0
    share = float(first.double().mean())
    assert abs(share - (1 - float(data.truth.mean[0]))) < 4 * math.sqrt(0.25 / len(first))


def test_a_large_lattice_without_a_field_has_kaufmans_normaliser() -> None:
    data = load("ising", rows=6, columns=6, coupling=0.4, field=0, num=2000, num_held_out=1000)
    truth = data.truth
    assert truth is not None and data.density is not None and data.draw is None
    assert truth.source.startswith("closed form") and "cluster" in truth.source
    assert truth.log_z == 0 and truth.mean_energy is not None and truth.mean is not None
    assert torch.equal(truth.mean, torch.full((6, 6), 0.5, dtype=torch.float64))
    # records of one chain hang together: 240 chains are what is independent
    energy = data.density(torch.cat([data.train, data.held_out])).double()
    error = float(energy.std()) / math.sqrt(240)
    assert abs(float(energy.mean()) - truth.mean_energy) < 4 * error
    # in nats per event the mean of -log p is the entropy, below that of free spins
    assert 0 < truth.mean_energy < 36 * math.log(2)


def test_a_lattice_in_a_field_has_the_normaliser_of_its_transfer_matrix() -> None:
    data = load("ising", rows=5, columns=4, coupling=0.3, num=2000, num_held_out=1000)
    truth, density = data.truth, data.density
    assert truth is not None and isinstance(density, Ising) and data.draw is None
    assert truth.source.startswith("a transfer matrix") and "cluster" in truth.source
    assert truth.log_z == 0 and truth.mean is not None and truth.mean_error is not None
    states = enumerate_states((5, 4), 2)
    log_probs = torch.cat([-density(part.double()) for part in states.split(2**16)])
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "fields", "kernel"),
    [
        ("ising", {"rows": 11, "columns": 12, "coupling": 0.3}, "cluster"),
        ("ising", {"rows": 12, "columns": 11, "coupling": -0.3}, "block_gibbs"),
        ("potts", {"rows": 4, "columns": 4, "field": 0.3}, "cluster"),
    ],
)
def test_where_nothing_is_known_the_truth_is_a_long_run_with_errors(
    name: str, fields: dict[str, object], kernel: str
) -> None:
    """Lattices too large to enumerate, and Ising ones too wide for a transfer matrix."""
    data = load(name, **fields, num=1600, num_held_out=800)
    truth = data.truth
    assert truth is not None and data.density is None and data.target is not None
    assert kernel in truth.source and truth.log_z is None and truth.mean_energy is None
    assert truth.mean is not None and truth.mean_error is not None
    assert truth.variance is not None and truth.variance_error is not None
    # every site of a lattice that wraps has the same law: the chi-squared of their means
    spread = (truth.mean - truth.mean.mean()) / truth.mean_error
    assert spread.abs().max() < 4.5
    assert (truth.mean_error > 0).all() and (truth.variance_error > 0).all()


def test_a_long_run_agrees_with_the_law_it_would_stand_for() -> None:
    """The run that stands in where there is no law, on lattices that have one."""
    from backend.datasets.discrete import long_run, of_records
    from backend.energies.lattices import Ising

    for energy in (Ising(3, 3, 0.3, 0.2), Ising(2, 4, -0.4, 0.2)):
        law = Enumeration(energy)
        source, positions = long_run(energy, 8, generator_of("run", 0))
        truth = of_records(source, positions)
        assert truth.mean is not None and truth.mean_error is not None
        assert truth.variance is not None and truth.variance_error is not None
        assert ((truth.mean - law.mean) / truth.mean_error).abs().max() < 4
        assert ((truth.variance - law.variance) / truth.variance_error).abs().max() < 4


def test_a_landscape_has_the_spread_it_is_asked() -> None:
    for landscape in ("bumpy", "random"):
        data = load("enumerable", num_states=1000, landscape=landscape, sd=1.5)
        energy = energy_of(data)
        energies = energy(torch.arange(1000.0)[:, None])
        # exact for waves; for 1,000 drawn energies within 4 standard errors
        tolerance = 1e-3 if landscape == "bumpy" else 4 * 1.5 / math.sqrt(2000)
        assert float(energies.std()) == pytest.approx(1.5, abs=tolerance)
