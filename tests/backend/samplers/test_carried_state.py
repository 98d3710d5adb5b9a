"""What every kernel of one target keeps: shapes, precision, and a state that comes back whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from backend import samplers
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from backend.sampler import Sampler, State
from backend.samplers.descent import Descent, DescentConfig
from backend.samplers.hmc import HMC, HMCConfig
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.samplers.mala import MALA, MALAConfig
from backend.samplers.nuts import NUTS, NUTSConfig
from backend.samplers.preconditioned import Preconditioned, PreconditionedConfig
from backend.samplers.sghmc import SGHMC, SGHMCConfig
from backend.samplers.sgld import SGLD, SGLDConfig
from backend.samplers.underdamped import Underdamped, UnderdampedConfig
from jobs.models.method_state import collect, restore
from tests.backend.samplers.laws import DOUBLE, worst_error

KERNELS: dict[str, Sampler] = {
    "langevin": Langevin(LangevinConfig()),
    "mala": MALA(MALAConfig()),
    "preconditioned": Preconditioned(PreconditionedConfig()),
    "hmc": HMC(HMCConfig()),
    "nuts": NUTS(NUTSConfig()),
    "underdamped": Underdamped(UnderdampedConfig()),
    "sghmc": SGHMC(SGHMCConfig()),
    "sgld": SGLD(SGLDConfig(decay=0.5)),
    "descent": Descent(DescentConfig(projection="l2_ball", radius=0.3)),
}
SPREAD = torch.linspace(0.6, 1.5, 6)


class Pixels(Energy):
    """Independent N(1, SPREAD²) pixels, whatever the shape of the event."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * ((x.flatten(1) - 1) / SPREAD.to(x)).square().sum(1)


def walked(sampler: Sampler, state: State, generator: torch.Generator, steps: range) -> State:
    """Warm-up steps of 60; what is tuned is tuned."""
    for index in steps:
        state, info = sampler.step(state, Pixels(), generator)
        state = sampler.tune(state, info, index, 60)
    return state


class Holder:
    """What a method keeps: a state and a generator."""

    def __init__(self, state: State, generator: torch.Generator) -> None:
        self.state, self.generator = state, generator


@pytest.mark.parametrize("kind", KERNELS)
def test_a_state_that_was_saved_goes_on_to_the_same_numbers(kind: str) -> None:
    """Saved in the middle of a warm-up, in a window of it, and put into a fresh start."""
    sampler, x = KERNELS[kind], torch.randn(5, 2, 3, generator=generator_of("saved", 0))
    generator = generator_of("saved", 1)
    state = walked(sampler, sampler.init(x, Pixels(), generator), generator, range(30))
    tensors, tree = collect(Holder(state, generator))
    through = json.loads(json.dumps(tree))
    expected = walked(sampler, state, generator, range(30, 60))
    fresh_generator = generator_of("fresh", 0)
    fresh = Holder(sampler.init(x * 0, Pixels(), fresh_generator), fresh_generator)
    names = set(fresh.state.extra)
    restore(fresh, tensors, through, torch.device("cpu"))
    assert set(fresh.state.extra) == names, "init carries everything that is ever carried"
    found = walked(sampler, fresh.state, fresh.generator, range(30, 60))
    assert all(map(torch.equal, found[:3], expected[:3]))
    assert found.extra.keys() == expected.extra.keys()
    assert all(torch.equal(found.extra[name], expected.extra[name]) for name in names)


@pytest.mark.parametrize("kind", KERNELS)
def test_a_step_writes_into_nothing_it_was_given(kind: str) -> None:
    sampler, x = KERNELS[kind], torch.randn(5, 6, generator=generator_of("given", 0))
    state = walked(
        sampler, sampler.init(x, Pixels(), generator_of("g", 0)), generator_of("g", 1), range(12)
    )
    kept = [part.clone() for part in (*state[:3], *state.extra.values())]
    for index in range(12, 60):
        after, info = sampler.step(state, Pixels(), generator_of("g", index))
        sampler.tune(after, info, index, 60)
    assert all(map(torch.equal, kept, (*state[:3], *state.extra.values())))


@pytest.mark.parametrize("kind", KERNELS)
def test_an_image_walks_as_its_pixels_in_a_row_do(kind: str) -> None:
    """The same numbers, tuned along the way, for events (6,), (2, 3) and (1, 2, 3)."""
    flat = torch.randn(8, 6, generator=generator_of("image", 0), dtype=DOUBLE)
    ends = []
    for shape in ((6,), (2, 3), (1, 2, 3)):
        sampler, generator = KERNELS[kind], generator_of("image", 1)
        state = sampler.init(flat.reshape(8, *shape), Pixels(), generator)
        state = walked(sampler, state, generator, range(25))
        assert state.position.shape == state.gradient.shape == (8, *shape)
        ends.append(state.position.reshape(8, 6))
    assert torch.allclose(ends[0], ends[1], rtol=1e-6)
    assert torch.allclose(ends[0], ends[2], rtol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind, one in KERNELS.items() if one.exact])
def test_images_follow_the_law_of_their_pixels(kind: str) -> None:
    sampler, generator = KERNELS[kind], generator_of("law", kind)
    state = sampler.init(torch.randn(2000, 1, 2, 3, generator=generator), Pixels(), generator)
    state = walked(sampler, state, generator, range(60))
    walk = samplers.run(sampler, state, Pixels(), generator, 12)
    mean, covariance = torch.ones(6).double(), torch.diag(SPREAD.double().square())
    assert worst_error(walk.state.position, mean, covariance) < 4


@pytest.mark.parametrize("kind", KERNELS)
def test_double_precision_stays_double(kind: str) -> None:
    sampler, generator = KERNELS[kind], generator_of("double", kind)
    x = torch.randn(5, 6, generator=generator, dtype=DOUBLE)
    state = sampler.init(x, Pixels(), generator)
    before = state.extra
    state = walked(sampler, state, generator, range(60))
    assert all(part.dtype == DOUBLE for part in state[:3])
    assert {k: v.dtype for k, v in state.extra.items()} == {k: v.dtype for k, v in before.items()}
    value, gradient = energy_and_gradient(Pixels(), state.position)
    assert torch.allclose(value, state.energy, rtol=1e-12)
    assert torch.allclose(gradient, state.gradient, rtol=1e-12)


@pytest.mark.parametrize("kind", KERNELS)
def test_figures_have_the_same_names_at_every_step(kind: str) -> None:
    sampler, generator = KERNELS[kind], generator_of("figures", kind)
    state, names = sampler.init(torch.zeros(4, 6), Pixels(), generator), set()
    for _ in range(5):
        state, info = sampler.step(state, Pixels(), generator)
        names.add(tuple(info.figures))
        assert all(value.shape == () for value in info.figures.values())
        assert all(value.is_floating_point() for value in info.figures.values())
    expected = {
        "hmc": ("divergences",),
        "nuts": ("tree_depth", "leapfrogs", "divergences"),
        "sgld": ("step_size",),
    }
    assert names == {expected.get(kind, ())}


@pytest.mark.parametrize("kind", KERNELS)
def test_the_settings_say_what_they_amount_to(kind: str) -> None:
    config = KERNELS[kind].config
    assert config.kind == kind and config.title and config.summary.endswith(".")
    for name, sentence in config.derived().items():
        assert name in type(config).model_fields
        assert sentence.endswith(".")
    assert KERNELS[kind].exact or KERNELS[kind].bias.endswith(".")
    assert KERNELS[kind].references
