"""Underdamped Langevin and SGHMC against the laws that a Gaussian lets one derive exactly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from backend import samplers
from backend.energies.closed_form import Gaussian
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers.sghmc import SGHMC, SGHMCConfig
from backend.samplers.underdamped import Underdamped, UnderdampedConfig
from tests.backend.samplers.laws import LAWS, worst_error

NUM = 10_000
PRECISION = 4.0
MEAN = torch.tensor([0.5], dtype=torch.float64)
LINE = Gaussian(MEAN, torch.tensor([[1 / PRECISION]]))


def spread(sampler: Sampler, num_steps: int, name: str) -> tuple[Tensor, Tensor]:
    """Positions and momenta of many chains after `num_steps` on the line."""
    generator = generator_of("line", name)
    start = torch.randn(NUM, 1, generator=generator)
    walk = samplers.run(sampler, start, LINE, generator, num_steps)
    assert walk.gradient_evaluations == num_steps + 1
    return walk.state.position, walk.state.extra["momentum"]


def variance(value: float) -> Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("step_size", "friction", "temperature"),
    [(0.1, 1.0, 1.0), (0.5, 1.0, 1.0), (0.9, 0.3, 1.0), (0.9, 20.0, 1.0), (0.7, 1.0, 2.5)],
)
def test_baoab_has_the_exact_positions_of_a_gaussian(
    step_size: float, friction: float, temperature: float
) -> None:
    """Variance T/λ at any step; the momenta's is T (1 − ε²λ/4), too small, as velocity Verlet's."""
    sampler = Underdamped(
        UnderdampedConfig(step_size=step_size, friction=friction, temperature=temperature)
    )
    forgets = min(friction, PRECISION / max(friction, 1.0)) * step_size
    name = f"{step_size} {friction} {temperature}"
    x, momentum = spread(sampler, math.ceil(12 / forgets), name)
    assert worst_error(x, MEAN, variance(temperature / PRECISION)) < 4
    shadow = temperature * (1 - step_size**2 * PRECISION / 4)
    assert worst_error(momentum, torch.zeros(1).double(), variance(shadow)) < 4


@pytest.mark.parametrize("target", ["skewed", "bent", "two modes"])
def test_baoabs_bias_is_too_small_to_see_at_a_small_step(target: str) -> None:
    law, generator = LAWS[target], generator_of("small", target)
    sampler = Underdamped(UnderdampedConfig(step_size=0.15, friction=1.5))
    start = 1 + 0.5 * torch.randn(NUM, law.dim, generator=generator)
    walk = samplers.run(sampler, start, law.energy, generator, 200)
    assert worst_error(walk.state.position, law.mean, law.covariance) < 4


def test_baoab_is_the_update_it_says() -> None:
    law, generator = LAWS["correlated"], generator_of("update", 0)
    sampler = Underdamped(UnderdampedConfig(step_size=0.3, friction=0.7, temperature=1.5))
    x = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    state = sampler.init(x, law.energy, generator)
    after, info = sampler.step(state, law.energy, generator_of("update", 1))
    noise = torch.randn(5, 2, generator=generator_of("update", 1), dtype=torch.float64)
    kept = math.exp(-0.21)
    momentum = state.extra["momentum"] - 0.15 * energy_and_gradient(law.energy, x)[1]
    middle = x + 0.15 * momentum
    momentum = kept * momentum + math.sqrt((1 - kept**2) * 1.5) * noise
    end = middle + 0.15 * momentum
    momentum = momentum - 0.15 * energy_and_gradient(law.energy, end)[1]
    assert torch.allclose(after.position, end)
    assert torch.allclose(after.extra["momentum"], momentum)
    assert info.gradient_evaluations == 1 and info.accepted.all()


@pytest.mark.parametrize(
    ("step_size", "friction", "estimate", "temperature"),
    [(0.05, 2.0, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0), (0.4, 1.5, 0.6, 1.0), (0.5, 1.0, 0.0, 2.5)],
)
def test_sghmc_has_the_law_it_says_on_a_gaussian(
    step_size: float, friction: float, estimate: float, temperature: float
) -> None:
    """(T/λ)(1 − B̂/C) / (1 − ε²λ / (2 (2 − ε C))), from x′ = x + ε p and its fixed point."""
    config = SGHMCConfig(
        step_size=step_size, friction=friction, noise_estimate=estimate, temperature=temperature
    )
    x, _ = spread(SGHMC(config), math.ceil(24 / (friction * step_size)), f"sghmc {config}")
    widened = 1 - step_size**2 * PRECISION / (2 * (2 - step_size * friction))
    expected = temperature / PRECISION * (1 - estimate / friction) / widened
    assert worst_error(x, MEAN, variance(expected)) < 4
    if step_size > 0.3:
        assert worst_error(x, MEAN, variance(temperature / PRECISION)) > 6, "the bias can be seen"


@pytest.mark.parametrize("target", ["correlated", "skewed", "two modes"])
def test_sghmcs_bias_is_too_small_to_see_at_a_small_step(target: str) -> None:
    law, generator = LAWS[target], generator_of("small sghmc", target)
    sampler = SGHMC(SGHMCConfig(step_size=0.05, friction=2.0))
    start = 1 + 0.5 * torch.randn(4000, law.dim, generator=generator)
    walk = samplers.run(sampler, start, law.energy, generator, 500)
    assert worst_error(walk.state.position, law.mean, law.covariance) < 4


class NoisyLine(Energy):
    """The line as a sum of 100 terms whose minibatches err by a constant gradient: x · N(0, V)."""

    NOISE = 6.0

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return LINE(x)

    @property
    def num_terms(self) -> int:
        return 100

    def minibatch(self, size: int, generator: torch.Generator) -> Energy:
        outer = self

        class Noisy(Energy):
            def forward(self, x: Tensor, condition: Any = None) -> Tensor:
                # a minibatch of each chain's own, so that chains stay independent
                shift = torch.randn(x.shape, generator=generator)
                return outer(x) + (math.sqrt(outer.NOISE) * shift * x).flatten(1).sum(1)

        return Noisy()


@pytest.mark.parametrize("corrected", [False, True])
def test_the_noise_of_gradients_heats_sghmc_unless_it_is_estimated(corrected: bool) -> None:
    """As if T were larger by ε V / 2C; an estimate B̂ = ε V / 2T takes it away."""
    step_size, friction = 0.2, 1.5
    estimate = step_size * NoisyLine.NOISE / 2
    config = SGHMCConfig(
        step_size=step_size,
        friction=friction,
        batch_size=10,
        noise_estimate=estimate if corrected else 0.0,
    )
    generator = generator_of("heat", str(corrected))
    start = torch.randn(NUM, 1, generator=generator)
    state: State = samplers.run(SGHMC(config), start, NoisyLine(), generator, 100).state
    heat = 1.0 if corrected else 1 + step_size * NoisyLine.NOISE / (2 * friction)
    widened = 1 - step_size**2 * PRECISION / (2 * (2 - step_size * friction))
    assert worst_error(state.position, MEAN, variance(heat / PRECISION / widened)) < 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"friction": 30.0, "step_size": 0.1}, "`friction` × `step_size` must be at most 1, got 3"),
        ({"noise_estimate": 1.5}, "`noise_estimate` must be at most `friction`, 1, got 1.5"),
    ],
)
def test_what_sghmc_cannot_do_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SGHMCConfig(**fields)
