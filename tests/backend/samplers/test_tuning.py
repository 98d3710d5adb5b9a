"""Tuning in warm-up: where it ends, what it leaves alone, and the arithmetic of its parts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers import tuning
from backend.samplers.hmc import HMC, HMCConfig
from backend.samplers.mala import MALA, MALAConfig
from backend.samplers.nuts import NUTS, NUTSConfig
from backend.samplers.preconditioned import Preconditioned, PreconditionedConfig
from tests.backend.samplers.laws import DOUBLE, LAWS, warmed

TUNED: dict[str, tuple[Sampler, float]] = {
    "mala": (MALA(MALAConfig()), 0.574),
    "preconditioned": (Preconditioned(PreconditionedConfig()), 0.574),
    "hmc": (HMC(HMCConfig()), 0.8),
    "nuts": (NUTS(NUTSConfig()), 0.8),
}
VARIANCES = torch.logspace(-1, 1, 10)
UNEVEN = Gaussian(torch.zeros(10), torch.diag(VARIANCES))


def state_at(position: Tensor, step_size: float = 0.1) -> State:
    extra = tuning.mass_extra(position, step_size)
    return State(position, position[:, 0], position, extra)


@pytest.mark.parametrize("chains", [4, 50])
@pytest.mark.parametrize(
    "kind", ["mala", "preconditioned", "hmc", pytest.param("nuts", marks=pytest.mark.slow)]
)
def test_tuning_ends_near_its_target_with_the_variances_as_mass(kind: str, chains: int) -> None:
    """Measured on exact draws. What four chains find carries the noise of their last 50 steps."""
    sampler, target = TUNED[kind]
    generator = generator_of("ends", kind, chains)
    start = torch.randn(chains, 10, generator=generator)
    found = warmed(sampler, start, UNEVEN, generator, 200).extra
    state = sampler.init(UNEVEN.draw(300, generator), UNEVEN, generator)
    state = state.carrying(**found)
    rate = samplers.run(sampler, state, UNEVEN, generator, 12).acceptance_rate
    assert abs(float(rate) - target) < (0.1 if chains == 4 else 0.05)
    if "inverse_mass" in found:
        ratio = (found["inverse_mass"] / VARIANCES).log2().abs()
        assert ratio.max() < (1 if chains == 4 else 0.35)


@pytest.mark.parametrize("kind", TUNED)
def test_nothing_is_tuned_without_a_warm_up_or_after_it(kind: str) -> None:
    sampler, generator = TUNED[kind][0], generator_of("off", kind)
    law = LAWS["correlated"]
    state = sampler.init(torch.zeros(6, 2), law.energy, generator)
    untuned = samplers.run(sampler, state, law.energy, generator, 5).state
    assert untuned.extra["step_size"] == torch.tensor(sampler.config.step_size)
    tuned = warmed(sampler, untuned, law.energy, generator, 40)
    assert tuned.extra.keys() == state.extra.keys()
    assert tuned.extra["step_size"] != untuned.extra["step_size"]
    after = samplers.run(sampler, tuned, law.energy, generator, 5).state
    for one in (untuned, after):
        before = state if one is untuned else tuned
        names = set(one.extra) - {"hamiltonian"}
        assert all(torch.equal(one.extra[name], before.extra[name]) for name in names)


@pytest.mark.parametrize("kind", TUNED)
def test_a_person_may_switch_tuning_off(kind: str) -> None:
    cls = type(TUNED[kind][0])
    sampler, generator = cls(cls.Config(adapt=False)), generator_of("no", kind)
    law = LAWS["correlated"]
    state = sampler.init(torch.zeros(6, 2), law.energy, generator)
    tuned = warmed(sampler, state, law.energy, generator, 30)
    for name in set(state.extra) - {"hamiltonian"}:  # that of the last step, tuned or not
        assert torch.equal(tuned.extra[name], state.extra[name])


@pytest.mark.parametrize("kind", TUNED)
def test_tuning_leaves_global_randomness_alone(kind: str) -> None:
    law, before = LAWS["correlated"], torch.random.get_rng_state()
    first, second = (
        warmed(TUNED[kind][0], torch.zeros(5, 2), law.energy, generator_of("g", 0), 30)
        for _ in range(2)
    )
    assert torch.equal(first.position, second.position)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("kind", TUNED)
def test_the_step_size_carried_is_the_one_that_is_used(kind: str) -> None:
    """A tiny one put there while the run goes on: everything is accepted, and hardly moves."""
    sampler, generator, law = TUNED[kind][0], generator_of("used", kind), LAWS["correlated"]
    state = sampler.init(torch.zeros(50, 2), law.energy, generator)
    state = state.carrying(step_size=torch.tensor(1e-7))
    after, info = sampler.step(state, law.energy, generator)
    assert info.acceptance_rate.min() > 0.99
    assert 0 < (after.position - state.position).abs().max() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("num", [2, 10, 100])
@pytest.mark.parametrize("kind", ["mala", "preconditioned", "hmc", "nuts"])
def test_the_acceptance_after_a_warm_up_is_the_target_in_any_dimension(kind: str, num: int) -> None:
    """Of a Gaussian whose scales are ten apart, and of a heavy-tailed law."""
    sampler, target = TUNED[kind]
    variances = torch.logspace(-1, 1, num)
    for energy in (Gaussian(torch.zeros(num), torch.diag(variances)), _Heavy()):
        generator = generator_of("meets", kind, num)
        state = warmed(sampler, torch.randn(32, num, generator=generator), energy, generator, 400)
        rate = samplers.run(sampler, state, energy, generator, 40).acceptance_rate
        assert abs(float(rate) - target) < 0.05


class _Heavy(Energy):
    """Student's t with 3 degrees of freedom in each coordinate."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 2 * torch.log1p(x.square() / 3).sum(1)


# ------------------------------------------------------------------ the parts


@pytest.mark.parametrize("num", [5, 19, 20, 60, 149, 150, 151, 400, 1000, 5000])
def test_windows_cover_the_middle_of_the_warm_up_without_a_gap(num: int) -> None:
    windows = tuning.windows(num)
    if num < 20:
        assert windows == ()
        return
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(windows))
    sizes = [end - start for start, end in windows]
    assert all(2 * a <= b for a, b in itertools.pairwise(sizes))
    assert 0 < windows[0][0] < windows[-1][1] < num


def test_variances_of_a_window_are_those_of_all_its_draws() -> None:
    """Pooled over chains and steps, without the chain that is not finite; shrunk as said."""
    draws = 3 + torch.randn(7, 5, 2, 3, generator=generator_of("draws", 0), dtype=DOUBLE)
    state = state_at(draws[0])
    for x in draws:
        spoilt = x.clone()
        spoilt[2, 0, 1] = math.nan
        state = tuning.gathered(state._replace(position=spoilt))
    kept = draws[:, [0, 1, 3, 4]].flatten(0, 1)
    assert float(state.extra["tuning_count"]) == 28
    assert torch.allclose(state.extra["tuning_mean"], kept.mean(0))
    assert torch.allclose(state.extra["tuning_squares"] / 27, kept.var(0))
    inverse = tuning.regularised(state.extra["tuning_count"], state.extra["tuning_squares"])
    assert torch.allclose(inverse, (28 * kept.var(0) + 5e-3) / 33)


def test_no_draws_leave_the_mass_at_one() -> None:
    state = tuning.gathered(state_at(torch.full((3, 2), math.nan)))
    inverse = tuning.regularised(state.extra["tuning_count"], state.extra["tuning_squares"])
    assert torch.equal(inverse, torch.ones(2))


def test_dual_averaging_finds_the_root_of_a_known_curve() -> None:
    """Where exp(−ε²) = 0.8, from far off on either side, with noise of sd 0.1."""
    for start in (1e-3, 50.0):
        state, generator = state_at(torch.zeros(1, 1, dtype=DOUBLE), start), generator_of("root", 0)
        for count in range(1, 401):
            step_size = state.extra["step_size"]
            noise = 0.1 * torch.randn(1, generator=generator, dtype=DOUBLE)
            rate = torch.exp(-step_size.square()).reshape(1) + noise
            state = tuning.dual_averaged(state, rate, count, 0.8)
        found = float(state.extra["tuning_log_step"].exp())
        assert found == pytest.approx(math.sqrt(-math.log(0.8)), rel=0.05)


def test_robbins_monro_ends_with_the_mean_of_its_later_half() -> None:
    position = torch.zeros(3, 2, dtype=DOUBLE)
    state = State(position, position[:, 0], position, tuning.step_extra(position, 0.5))
    rates = torch.rand(11, 3, generator=generator_of("rates", 0), dtype=DOUBLE)
    log_step, logs = math.log(0.5), []
    for index, rate in enumerate(rates):
        log_step += (float(rate.mean()) - 0.574) * (index + 1) ** -0.6
        logs.append(log_step)
        state = tuning.robbins_monro(state, rate, index, 11, 0.574)
        if index < 10:
            assert float(state.extra["step_size"]) == pytest.approx(math.exp(log_step))
    expected = math.exp(sum(logs[5:]) / len(logs[5:]))
    assert float(state.extra["step_size"]) == pytest.approx(expected)
