"""A method that fits no energy of positions, and what is said to whoever asks it for one."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from backend import catalogue, metric_names
from backend.ability import Asked
from backend.config import Config
from backend.errors import BadInput, NotAvailable
from backend.method import Method, Preset, SampleRequest, Task
from backend.randomness import generator_of
from backend.requests import asking

NEEDING = ("compose", "detect", "energy", "interpolate", "log_z", "score", "trace")


class Copies(Method):
    """Draws training data again."""

    id = "copies"
    title = "Copies"
    summary = "Draws training data again."
    references = "none"
    Config = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("As it is.")}

    def step(self, progress: float) -> dict[str, Tensor]:
        return {"loss/total": torch.zeros(())}

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        return self.task.data.batch(request.num, generator)


@pytest.fixture(scope="module")
def asked() -> Asked:
    data = catalogue.resolve_data({"name": "ring", "num": 200, "num_held_out": 200}).load()
    generator = generator_of("copies", 0)
    return Asked(Copies(Config(), Task(data, torch.device("cpu"), generator)), data, seed=0)


def test_it_says_that_it_has_no_energy(asked: Asked) -> None:
    assert not Copies.has_energy
    with pytest.raises(NotAvailable, match="Copies fits no energy of positions"):
        asked.method.energy()
    assert asked.method.class_log_probs(asked.data.held_out) is None


def test_every_method_that_ships_says_whether_it_has_one() -> None:
    for cls in catalogue.methods().values():
        assert cls.has_energy == (cls.energy is not Method.energy)


def test_no_method_gives_another_meaning_to_a_figure_that_others_have() -> None:
    meanings = dict(metric_names.FIGURES)
    for name, cls in catalogue.methods().items():
        for path, figure in cls.figures.items():
            assert meanings.setdefault(path, figure) == figure, f"{name}: {path}"


@pytest.mark.parametrize("ability", NEEDING)
def test_abilities_about_an_energy_refuse_in_one_sentence(asked: Asked, ability: str) -> None:
    with pytest.raises(BadInput, match="Copies fits no energy of positions"):
        asking.ask(asked, ability, {}, generator_of("ask", 0))


def test_samples_can_be_had_the_way_it_draws(asked: Asked) -> None:
    answer = asking.ask(asked, "sample", {"num": 50}, generator_of("ask", 0))
    assert answer.summary.startswith("50 samples. Energy distance")
    assert answer.arrays["x"].shape == (50, 2) and "energy" not in answer.arrays
    with pytest.raises(BadInput, match="own_sampler"):
        asking.ask(asked, "sample", {"own_sampler": False}, generator_of("ask", 0))
