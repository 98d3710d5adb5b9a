"""Tuned kernels that say they are exact: moments within 4 standard errors, every flow balanced."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import Sampler
from backend.samplers.hmc import HMC, HMCConfig
from backend.samplers.mala import MALA, MALAConfig
from backend.samplers.nuts import NUTS, NUTSConfig
from backend.samplers.preconditioned import Preconditioned, PreconditionedConfig
from tests.backend.samplers.laws import (
    DOUBLE,
    LAWS,
    Gumbels,
    flows,
    warmed,
    worst_error,
    worst_mean,
)

NUM = 5_000
TUNED: dict[str, tuple[Sampler, int]] = {
    "mala": (MALA(MALAConfig()), 120),
    "preconditioned": (Preconditioned(PreconditionedConfig()), 120),
    "hmc": (HMC(HMCConfig(num_leapfrog=4)), 30),
    "nuts": (NUTS(NUTSConfig()), 20),
}
"""With default step sizes, and how many steps forget a start."""


def kernel_of(kind: str, temperature: float = 1.0, **fields: Any) -> Sampler:
    cls = type(TUNED[kind][0])
    return cls(cls.Config(temperature=temperature, **fields))


@pytest.mark.parametrize("target", LAWS)
@pytest.mark.parametrize("kind", TUNED)
def test_tuned_kernels_have_every_moment_right(kind: str, target: str) -> None:
    """Tuned on a few chains of their own; then all chains walk with what was found."""
    law, (sampler, num_steps) = LAWS[target], TUNED[kind]
    generator = generator_of("tuned", kind, target)
    few = 1 + 0.5 * torch.randn(50, law.dim, generator=generator)
    found = warmed(sampler, few, law.energy, generator, 100).extra
    start = 1 + 0.5 * torch.randn(NUM, law.dim, generator=generator)
    state = sampler.init(start, law.energy, generator)
    kept = {name: found[name] for name in ("step_size", "inverse_mass") if name in found}
    walk = samplers.run(sampler, state.carrying(**kept), law.energy, generator, num_steps)
    assert found["step_size"] > 2 * sampler.config.step_size, "it was tuned"
    assert worst_error(walk.state.position, law.mean, law.covariance) < 4


@pytest.mark.parametrize("kind", TUNED)
def test_temperature_widens_the_law_of_a_tuned_kernel(kind: str) -> None:
    law, temperature = LAWS["correlated"], 2.5
    sampler, generator = kernel_of(kind, temperature), generator_of("hot", kind)
    start = law.mean.float() + torch.randn(2000, 2, generator=generator)
    state = warmed(sampler, start, law.energy, generator, 40)
    walk = samplers.run(sampler, state, law.energy, generator, TUNED[kind][1])
    assert sampler.temperature == temperature
    assert worst_error(walk.state.position, law.mean, temperature * law.covariance) < 4


BALANCED: dict[str, tuple[dict[str, Any], float]] = {
    "mala": ({}, 0.4),
    "preconditioned": ({}, 0.5),
    "hmc": ({"num_leapfrog": 3}, 0.9),
    "nuts": ({}, 0.7),
    "nuts, cut short": ({"max_depth": 2}, 0.4),
    "nuts, long": ({}, 0.15),
}
"""Fields, and a step size carried on: so long that a good share is rejected, or turns late."""


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("case", BALANCED)
def test_every_flow_is_balanced_by_its_reverse(case: str, temperature: float) -> None:
    """From exact draws, one step with an uneven mass: (x, y) is as likely as (y, x).

    At T the target is exp(−E) as well, E being T times as steep.
    """

    class Steep(Gumbels):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return temperature * super().forward(x)

    fields, step_size = BALANCED[case]
    energy: Energy = Steep()
    generator = generator_of("balance", case, f"{temperature}")
    x = Gumbels.draw(20_000, generator)
    sampler = kernel_of(case.split(",")[0], temperature, **fields)
    state = sampler.init(x, energy, generator)
    found = {"step_size": torch.tensor(step_size, dtype=DOUBLE)}
    if "inverse_mass" in state.extra:
        found["inverse_mass"] = torch.tensor([0.4, 2.0], dtype=DOUBLE)
    walk = samplers.run(sampler, state.carrying(**found), energy, generator, 1)
    assert (walk.state.position != x).any(1).double().mean() > 0.3
    assert worst_mean(flows(x, walk.state.position)) < 4


def test_a_tuned_step_of_mala_has_the_ratio_of_the_densities_as_its_rate() -> None:
    """π(y) q(x|y) / π(x) q(y|x) from textbook normal densities, preconditioned by D."""
    energy, generator = Gumbels(), generator_of("ratio", 0)
    x = Gumbels.draw(2000, generator)
    step_size, temperature, diagonal = 0.3, 1.7, torch.tensor([0.5, 1.6], dtype=DOUBLE)
    sampler = kernel_of("preconditioned", temperature)
    state = sampler.init(x, energy, generator).carrying(
        step_size=torch.tensor(step_size, dtype=DOUBLE), inverse_mass=diagonal
    )
    _, info = sampler.step(state, energy, generator)
    y = info.proposal

    def log_move(start: Tensor, end: Tensor) -> Tensor:
        centre = start - step_size * diagonal * (1 - torch.exp(-start))
        sd = (2 * step_size * temperature * diagonal).sqrt()
        return torch.distributions.Normal(centre, sd).log_prob(end).sum(1)

    log_ratio = (energy(x) - energy(y)) / temperature + log_move(y, x) - log_move(x, y)
    assert 0.2 < (log_ratio > 0).double().mean() < 0.8
    assert torch.allclose(info.acceptance_rate, log_ratio.clamp(max=0).exp(), rtol=1e-9)


@pytest.mark.parametrize("kind", ["hmc", "nuts"])
def test_a_mass_is_a_change_of_units(kind: str) -> None:
    """With M⁻¹ = s² a walk on E(x/s) is s times the walk on E with M = 1, number for number."""
    scale = torch.tensor([0.2, 5.0], dtype=DOUBLE)

    class Stretched(Gumbels):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return super().forward(x / scale)

    z = Gumbels.draw(50, generator_of("units", 0))
    sampler = kernel_of(kind, step_size=0.3)
    plain = samplers.run(sampler, z, Gumbels(), generator_of("units", 1), 4)
    state = sampler.init(z * scale, Stretched(), generator_of("units", 1))
    state = state.carrying(inverse_mass=scale.square())
    walk = samplers.run(sampler, state, Stretched(), generator_of("units", 1), 4)
    assert torch.allclose(walk.state.position, plain.state.position * scale, rtol=1e-6)


@pytest.mark.parametrize("kind", ["hmc", "nuts"])
def test_divergences_are_counted_chain_by_chain_and_stay_where_they_are(kind: str) -> None:
    """A step far too long for some chains alone: their energy rises by more than 1000."""

    class Valley(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            width = torch.where(x[:, 1] > 0, 1.0, 1e-4)
            return 0.5 * (x[:, 0] / width).square()

    start = torch.tensor([[0.5, 1e6]] * 7 + [[0.5, -1e6]] * 5, dtype=DOUBLE)
    sampler = kernel_of(kind, step_size=0.3)
    state = sampler.init(start, Valley(), generator_of("valley", 0))
    after, info = sampler.step(state, Valley(), generator_of("valley", 1))
    assert float(info.figures["divergences"]) == 5
    assert torch.equal(after.position[7:], start[7:])
    assert not info.accepted[7:].any() and (info.acceptance_rate[7:] == 0).all()
    assert info.accepted[:7].any() and info.acceptance_rate[:7].min() > 0.5


@pytest.mark.parametrize("value", [1e3, math.inf, math.nan])
@pytest.mark.parametrize("kind", TUNED)
def test_one_chain_that_runs_away_leaves_the_others_alone(kind: str, value: float) -> None:
    """Though in NUTS the longest tree, here of the chain that behaves, sets how long a step is."""

    class Cliff(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            return torch.where(x[:, 0] > 100, torch.nan, 0.5 * x.square().sum(1))

    good = torch.zeros(4, 2)
    good[2, 0] = 60.0
    bad = good.clone()
    bad[2, 0] = value
    sampler = kernel_of(kind)
    walks = [
        samplers.run(sampler, start, Cliff(), generator_of("cliff", 0), 8) for start in (good, bad)
    ]
    others = [walk.state.position[[0, 1, 3]] for walk in walks]
    assert others[0].isfinite().all() and (others[0] != 0).all()
    assert torch.equal(*others)
    stuck = walks[1].state.position[2]
    assert torch.equal(stuck.nan_to_num(), bad[2].nan_to_num()), "it stays where it was"
