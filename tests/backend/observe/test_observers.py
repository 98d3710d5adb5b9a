"""Observers: a method names them, each sees one thing, and none moves what another sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.config import Config
from backend.data import Data
from backend.events import Cost, Event, Finding, Scalar, encode
from backend.method import Method, Preset, Task
from backend.observe.context import MEASURE, Context
from backend.observe.observation import Observation
from backend.observe.observer import Evaluation, Observer
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.system import discovery
from tests.backend.small_method import Small

SIZES = Sizes(
    field=16,
    num_walkers=40,
    num_measured=60,
    num_evaluated=80,
    long_run_steps=20,
)


class Drawer(Method):
    """Draws its data again: no energy, no chains."""

    id: ClassVar[str] = "drawer"
    title: ClassVar[str] = "Drawer"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}

    def step(self, progress: float) -> dict[str, Tensor]:
        return {"loss/total": torch.zeros(())}

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self.task.data.batch(num, generator)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        yield Scalar("drawer/drawn", 1.0)

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        yield Finding("drawer", "warning", "It repeats its data.")

    def final_figures(self, quality: Any, generator: torch.Generator) -> dict[str, float]:
        return {"drawer/final": 2.0}


class Dice(Observer):
    """Throws a die of its own at every moment."""

    id: ClassVar[str] = "dice"

    def measure(self, context: Context) -> Iterable[Event]:
        yield Scalar("dice/thrown", float(torch.rand((), generator=context.own_generator("dice"))))

    def evaluate(self, context: Context) -> Evaluation:
        return Evaluation({"dice/final": float(len(context.figures))})


@pytest.fixture(scope="module")
def ring() -> Data:
    return catalogue.resolve_data({"name": "ring", "num": 500, "num_held_out": 100}).load()


def observed(cls: type[Method], data: Data, *names: str) -> Observation:
    method = cls(Config(), Task(data, torch.device("cpu"), generator_of(0)))
    method.observers = names or cls.observers  # type: ignore[misc]
    return Observation(method, data, 0, SIZES)


def written(events: Iterable[Event]) -> list[bytes]:
    return [encode(event, run="", seq=0, time=0, cost=Cost()) for event in events]


def test_a_method_without_an_energy_is_observed_by_what_needs_none(ring: Data) -> None:
    observation = observed(Drawer, ring)
    begun, watched, measured = (
        {event.path for event in events}
        for events in (observation.begin(), observation.watch(1), observation.measure(1))
    )
    assert {"samples/data", "landscape/truth", "quality/energy_distance/floor"} <= begun
    assert watched == set()
    assert {"samples/train_time", "quality/energy_distance/train_time", "drawer/drawn"} <= measured
    assert not {path for path in measured if "long_run" in path or path.startswith("sampler/")}
    assert "alarm/drawer" in {event.path for event in observation.measure(2)}
    figures, events, arrays = observation.evaluate(3)
    assert figures["drawer/final"] == 2 and "quality/energy_distance/train_time" in figures
    assert "quality/final" in {event.path for event in events}
    assert set(arrays) == {"train_time"}


def test_none_at_all_sees_nothing(ring: Data) -> None:
    method = Small(Config(), Task(ring, torch.device("cpu"), generator_of(0)))
    method.observers = ()  # type: ignore[misc]
    observation = Observation(method, ring, 0, SIZES)
    assert [*observation.begin(), *observation.watch(0), *observation.measure(0)] == []
    assert observation.evaluate(0) == ({}, [], {})


def test_an_observer_more_moves_nobody_elses_figures(
    ring: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**discovery.observers(), "dice": Dice}
    monkeypatch.setattr(discovery, "observers", lambda: known)
    without = observed(Small, ring)
    within = observed(Small, ring, "dice", *Method.observers)
    first, *rest = within.measure(3)
    assert first.path == "dice/thrown"
    assert written(rest) == written(without.measure(3))
    figures, events, _ = within.evaluate(4)
    others, other_events, _ = without.evaluate(4)
    assert figures.pop("dice/final") == 0 and figures == others
    assert written(events) == written(other_events)


def test_samples_and_chains_are_drawn_once_for_all(ring: Data) -> None:
    with observed(Small, ring).moment(1, MEASURE) as context:
        before = context.generator.get_state()
        assert context.samples["long_run"] is context.long_run.position
        drawn = context.generator.get_state()
        assert context.samples["train_time"] is context.train_time
    assert torch.equal(drawn, context.generator.get_state()) and not torch.equal(drawn, before)


def test_a_name_of_no_observer_is_said_and_the_rest_observe(ring: Data) -> None:
    observation = observed(Small, ring, "data", "crystal_ball")
    paths = {event.path: event for event in observation.begin()}
    assert set(paths) == {"samples/data", "alarm/observation/crystal_ball"}
    assert "Known: chain_diagnostics" in paths["alarm/observation/crystal_ball"].message  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(catalogue.methods()))
def test_what_a_method_names_is_there(name: str) -> None:
    assert set(catalogue.methods()[name].observers) <= set(discovery.observers())


def test_observers_are_published() -> None:
    published = catalogue.publish()["observers"]
    assert published["landscape"]["summary"].startswith("`landscape/model`")
    assert {observer["id"] for observer in published.values()} == set(discovery.observers())
