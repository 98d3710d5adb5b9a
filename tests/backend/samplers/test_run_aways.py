"""Chains that run away, of every kernel, on an energy that refuses what is not a finite number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend.energy import Energy, drawn_inside, energy_and_gradient, where_finite
from backend.randomness import generator_of
from backend.sampler import Sampler
from backend.system import discovery

KERNELS = {kind: cls for kind, cls in discovery.samplers().items() if not cls.discrete}
FAR = {"step_size": 90.0, "num_leapfrog": 6, "max_depth": 6, "friction": 0.01}
"""Settings, where a kernel has them, with which a quartic well throws chains out."""


class Strict(Energy):
    """Σ x⁴, by somebody who checks what is handed to them."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        if not x.isfinite().all():
            raise ValueError("the position is not finite")
        return x.pow(4).flatten(1).sum(1)


def thrown(cls: type[Sampler]) -> Sampler:
    fields = cls.Config.model_fields
    settings: dict[str, Any] = {}
    for name in FAR.keys() & fields.keys():
        most = [part.le for part in fields[name].metadata if hasattr(part, "le")]
        settings[name] = min([FAR[name], *most])
    return cls(cls.Config(**settings))


@pytest.mark.parametrize("kind", KERNELS)
def test_no_kernel_ends_where_a_chain_runs_away(kind: str) -> None:
    sampler, energy = thrown(KERNELS[kind]), Strict()
    generator = generator_of("test", kind)
    state = sampler.init(3 * torch.randn(16, 2, generator=generator), energy, generator)
    for index in range(12):
        state, info = sampler.step(state, energy, generator)
        state = sampler.tune(state, info, index, 6) if index < 6 else state
    assert state.position.shape == (16, 2)
    if sampler.exact:
        assert state.position.isfinite().all() and state.energy.isfinite().all()


@pytest.mark.parametrize("kind", ["hmc", "nuts", "mala"])
def test_what_ran_away_is_rejected(kind: str) -> None:
    sampler, energy = thrown(KERNELS[kind]), Strict()
    generator = generator_of("test", kind)
    start = 2 + torch.rand(16, 2, generator=generator)
    state, info = sampler.step(sampler.init(start, energy, generator), energy, generator)
    assert torch.equal(state.position, start) and not info.accepted.any()


def test_rows_that_are_finite_have_their_own_energies_and_gradients() -> None:
    x = torch.tensor([[1.0, 2.0], [torch.nan, 0.0], [3.0, -1.0], [torch.inf, 1.0]])
    value, gradient = energy_and_gradient(Strict(), x)
    assert value.tolist() == [17, torch.inf, 82, torch.inf]
    assert gradient.tolist() == [[4, 32], [0, 0], [108, -4], [0, 0]]
    value, gradient = energy_and_gradient(Strict(), torch.full((2, 3), torch.nan))
    assert value.tolist() == [torch.inf] * 2 and gradient.tolist() == [[0] * 3] * 2


def test_what_an_energy_raises_at_finite_positions_goes_on() -> None:
    class Broken(Energy):
        def forward(self, x: Tensor, condition: Any = None) -> Tensor:
            raise KeyError("broken")

    for x in (torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [torch.nan, 1.0]])):
        with pytest.raises(KeyError, match="broken"):
            where_finite(Broken(), x)


# ---------------------------------------------------------------- starts


class Half(Energy):
    """An exponential law: nothing below zero."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return torch.where(x < 0, torch.inf, x).sum(1)


def normal(num: int, generator: torch.Generator) -> Tensor:
    return torch.randn(num, 3, generator=generator)


def test_starts_outside_the_support_are_drawn_anew_and_no_others() -> None:
    x, missing = drawn_inside(Half(), normal, 200, generator_of("test"))
    first = normal(200, generator_of("test"))
    inside = (first >= 0).all(1)
    assert missing == 0 and (x >= 0).all() and 0 < int(inside.sum()) < 100
    assert torch.equal(x[inside], first[inside])


def test_starts_that_are_never_inside_are_counted() -> None:
    def below(num: int, generator: torch.Generator) -> Tensor:
        return -torch.rand(num, 3, generator=generator) - 0.1

    assert drawn_inside(Half(), below, 7, generator_of("test"), tries=5)[1] == 7
