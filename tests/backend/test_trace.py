"""One chain: it is the sampler's own, and its figures are of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from backend import samplers
from backend.ability import Answer, Asked
from backend.data import Data
from backend.requests.asking import ask
from backend.samplers.mala import MALA, MALAConfig
from tests.backend.test_abilities import Quadratic, answered, fixed, ring

MALA_STEPS = {"own_sampler": False, "sampler": {"kind": "mala", "step_size": 0.4}}


@pytest.fixture
def asked() -> Asked:
    return fixed(Quadratic(torch.zeros(2), 1.0), ring())


def trace(asked: Asked, **config: Any) -> Answer:
    return ask(asked, "trace", {**MALA_STEPS, **config}, generator())


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_path_is_that_of_the_sampler_and_the_energy_that_of_the_path(asked: Asked) -> None:
    answer = trace(asked, begin="held_out", row=7, num_steps=40)
    start, energy = asked.data.held_out[7:8], asked.method.energy()
    kernel = MALA(MALAConfig(step_size=0.4))
    run = samplers.run(kernel, start, energy, generator(), 40, record_every=1)
    assert run.positions is not None
    z = torch.cat([start, run.positions[:, 0]])
    x = torch.from_numpy(answer.arrays["x"])
    assert torch.allclose(asked.data.standardise(x), z, atol=1e-5)
    assert np.allclose(answer.arrays["energy"], energy(z), atol=1e-5)
    assert answer.figures["acceptance"] == pytest.approx(float(run.acceptance_rate), abs=1e-6)
    assert answer.figures["gradients"] == run.gradient_evaluations == 41


def test_a_place_is_given_in_the_units_of_the_data(asked: Asked) -> None:
    answer = trace(asked, begin="place", place="1.5, -2", num_steps=1)
    assert answer.arrays["x"][0] == pytest.approx([1.5, -2])


def test_a_long_chain_has_the_mean_energy_of_the_law_and_a_short_path(asked: Asked) -> None:
    answer = trace(asked, num_steps=2000)
    # half a nat a coordinate; successive energies of these steps are correlated over about ten
    assert answer.figures["energy"] == pytest.approx(1.0, abs=5 * (10 / 1000) ** 0.5)
    steps = answer.arrays["step"]
    assert len(steps) == len(answer.arrays["x"]) == 1001 and list(steps[:3]) == [0, 2, 4]
    assert len(answer.arrays["energy"]) == 2001 and len(answer.arrays["acceptance"]) == 2000


def test_it_says_from_which_step_on_the_energy_is_that_of_data(asked: Asked) -> None:
    far = trace(asked, begin="place", place="9, 9", num_steps=200)
    energy = torch.from_numpy(far.arrays["energy"])
    level = asked.method.energy()(asked.data.held_out).quantile(0.95)
    first = int(far.figures["settled"])
    assert 0 < first < 200 and energy[first] <= level < energy[:first].min()
    assert far.summary.count(f"at step {first}.")
    never = trace(asked, begin="place", place="9, 9", num_steps=1)
    assert never.figures["settled"] == 1 and "it is never as low" in never.summary


def test_the_same_seed_walks_the_same_path_and_another_one_another(asked: Asked) -> None:
    paths = [
        ask(asked, "trace", {"num_steps": 5}, torch.Generator().manual_seed(seed)).arrays["x"]
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(paths[0], paths[1]) and not np.array_equal(paths[0], paths[2])


def test_points_have_a_film_images_a_strip_rows_their_coordinates(asked: Asked) -> None:
    film = trace(asked, num_steps=8)
    assert [event.path for event in film.events] == ["landscape", "path", "energy", "acceptance"]
    assert film.events[1].positions.shape == (9, 1, 2)  # type: ignore[attr-defined]
    strip = answered("digits", "trace", num_steps=30)
    assert [event.path for event in strip.events] == ["start_to_end", "held_out", "energy"]
    assert len(strip.events[0].pixels) == 24  # type: ignore[attr-defined]
    rows = fixed(Quadratic(torch.zeros(3), 1.0), table())
    courses = ask(rows, "trace", {"num_steps": 8}, generator())
    assert [event.path for event in courses.events] == ["coordinates", "energy"]
    assert courses.events[0].names == ["mass", "height", "age"]  # type: ignore[attr-defined]


def table() -> Data:
    draws = torch.randn((60, 3), generator=generator())
    return replace(
        ring(),
        train=draws[:40],
        held_out=draws[40:],
        mean=torch.zeros(3),
        scale=torch.ones(3),
        noise_low=torch.full((3,), -3.0),
        noise_high=torch.full((3,), 3.0),
        columns=("mass", "height", "age"),
        density=None,
    )
