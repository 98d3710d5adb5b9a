"""Energies that correct a fitted distribution: exact at the start, bounded ever after."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from backend import catalogue
from backend.config import KindConfig
from backend.data import Data
from backend.distributions import build_distribution
from backend.energies import NetworkEnergy, build_network
from backend.energies.mlp import MLPConfig
from backend.energies.tilt import base_or_fitted
from backend.energies.tilt_config import TiltConfig
from backend.energy import energy_and_gradient
from backend.method import Task
from backend.methods.contrastive_divergence import ContrastiveDivergenceConfig
from backend.metrics.log_z_grid import NormaliserGrid
from backend.randomness import generator_of
from backend.requests.fitting import misfits
from backend.system import discovery

BASES = (
    {"kind": "gaussian"},
    {"kind": "mixture"},
    {"kind": "flow", "num_fit_steps": 20},
    {"kind": "fixed", "sd": 0.5},
)
CORRECTORS = [
    kind for kind, cls in catalogue.networks().items() if issubclass(cls.Config, TiltConfig)
]


def made(config: TiltConfig, data: Data) -> NetworkEnergy:
    return build_network(config, Task(data, torch.device("cpu"), generator_of("network", 1)))


@pytest.fixture(scope="module")
def moons() -> Data:
    return catalogue.resolve_data({"name": "moons"}).load()


@pytest.mark.parametrize("base", BASES, ids=lambda base: base["kind"])
def test_a_fresh_energy_is_minus_the_log_density_of_its_base_and_log_z_is_0(
    base: dict[str, Any], moons: Data
) -> None:
    network = made(MLPConfig(base=base), moons)
    assert network.tilt is not None
    x = moons.noise(50, generator_of("x", 0))
    assert torch.equal(network(x), -network.tilt.base.log_prob(x))
    grid = NormaliserGrid(moons, 300)
    assert float(grid.log_z(network).detach()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("kind", CORRECTORS)
def test_every_network_that_takes_a_base_starts_as_it(kind: str) -> None:
    digits = catalogue.resolve_data({"name": "digits"}).load()
    network = made(catalogue.networks()[kind].Config(base={"kind": "gaussian"}), digits)
    assert network.tilt is not None
    x = digits.train[:20]
    assert torch.allclose(network(x), -network.tilt.base.log_prob(x), atol=1e-3)
    network(x).sum().backward()
    gradients = [weight.grad for weight in network.last_layer.parameters()]
    assert all(each is not None and each.abs().sum() > 0 for each in gradients), "and is fitted"
    assert all(weight.grad is None for weight in network.tilt.base.parameters()), "its base is not"


def test_a_network_lowers_the_energy_by_no_more_than_the_bound(moons: Data) -> None:
    network = made(MLPConfig(base={"kind": "mixture"}, tilt_bound=3.0), moons)
    assert network.tilt is not None
    weights = generator_of("weights", 0)
    with torch.no_grad():
        for weight in network.net.parameters():  # type: ignore[union-attr]
            weight.copy_(2 * torch.randn(weight.shape, generator=weights))
    x = 5 * moons.noise(4000, generator_of("x", 0))
    change = (network(x) + network.tilt.base.log_prob(x)).detach()
    floor = -math.log1p(math.exp(3.0))
    assert change.min() >= floor - 1e-3 and (change < -1).any(), "it comes near the bound"
    assert change.max() > 10, "and raises at will"
    assert energy_and_gradient(network, x)[1].isfinite().all()


def test_a_mixture_is_the_sum_of_its_gaussians(moons: Data) -> None:
    config = discovery.distributions()["mixture"].Config(num_components=5)
    mixture = build_distribution(config, moons, generator_of("fit", 0))
    x = moons.train[:100].double()
    law = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=mixture.log_weights.double()),  # type: ignore
        torch.distributions.MultivariateNormal(
            mixture.means.double(),  # type: ignore[operator]
            scale_tril=mixture.factors.double(),  # type: ignore[operator]
        ),
    )
    assert torch.allclose(mixture.log_prob(x), law.log_prob(x), atol=1e-9)


def test_what_has_no_base_is_refused_one(moons: Data) -> None:
    config = ContrastiveDivergenceConfig(
        energy={"kind": "mlp", "base": {"kind": "gaussian"}, "spectral_norm": True}
    )
    (problem,) = misfits(config, moons)
    assert problem[0] == "energy.base.kind" and "spectral_norm" in problem[1]
    bits = catalogue.resolve_data({"name": "ising"}).load()
    (problem,) = misfits(MLPConfig(base={"kind": "gaussian"}), bits)
    assert problem[0] == "base.kind" and "whole" in problem[1]


def test_a_power_gives_the_rest_of_the_base_to_a_wide_students_t(moons: Data) -> None:
    """−½ log q − ½ log t, of which log Z is below 0 (Cauchy-Schwarz), and far out falls as both."""
    network = made(MLPConfig(base={"kind": "gaussian"}, base_power=0.5), moons)
    assert network.tilt is not None and network.tilt.wide is not None
    x = moons.noise(50, generator_of("x", 0))
    log_wide = network.tilt.wide.log_prob(x)
    expected = -0.5 * (network.tilt.base.log_prob(x) + log_wide)
    assert torch.allclose(network(x), expected, atol=1e-5)
    grid = NormaliserGrid(moons, 300)
    assert -3 < float(grid.log_z(network).detach()) < 0


def test_noise_that_is_the_base_is_fitted_once(moons: Data) -> None:
    energy = MLPConfig(base={"kind": "mixture", "num_components": 3})
    network = made(energy, moons)
    same = base_or_fitted(network.tilt, energy, energy.base, moons, generator_of("noise", 0))
    assert network.tilt is not None and same is network.tilt.base
    other = build_config({"kind": "gaussian"})
    assert base_or_fitted(network.tilt, energy, other, moons, generator_of("n", 0)) is not same


def build_config(fields: dict[str, Any]) -> KindConfig:
    base: KindConfig = MLPConfig(base=fields).base
    return base
