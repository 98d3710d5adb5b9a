"""Alarms about a density: said of constructed energies that are wrong, and of no good one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from backend import catalogue
from backend.ability import Asked
from backend.catalogue import datasets
from backend.config import Config
from backend.data import Data
from backend.energy import Energy
from backend.events import Event, Scalar, Text
from backend.method import Method, Preset, Task
from backend.metrics.log_likelihood import likelihood_of
from backend.metrics.weighted_points import WeightedPoints
from backend.observe import density_alarms
from backend.observe.held_out import Beside
from backend.observe.observation import Observation
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.requests.asking import ask

SMALL = Sizes(
    field=16, num_walkers=8, num_measured=100, num_evaluated=400, long_run_steps=60, trail=4
)


class Given(Method):
    """Trains nothing: its energy is given."""

    id: ClassVar[str] = "given"
    title: ClassVar[str] = "Given"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}
    observers = ("quality", "ground_truth", "log_likelihood", "final_quality", "energy_alarms")
    known: Energy

    def step(self, progress: float) -> dict[str, Tensor]:
        return {"loss/total": torch.zeros(())}

    def energy(self) -> Energy:
        return self.known


class Tilted(Energy):
    """The data's own energy and `lift` nats more where `where` is true of x in the user's units."""

    def __init__(self, data: Data, lift: float) -> None:
        super().__init__()
        self.data, self.lift = data, lift

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        units = self.data.restore(x)
        assert self.data.density is not None and self.data.modes is not None
        first = torch.cdist(units, self.data.modes.to(units)).argmin(1) == 0
        return self.data.density(units) + self.lift * first


class Leaking(Energy):
    """The data's own energy, and a part of the mass in a wide Gaussian far away."""

    def __init__(self, data: Data, share: float) -> None:
        super().__init__()
        self.data, self.share = data, share
        self.place = 4 * data.train.amax(0)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        assert self.data.density is not None
        inside = -self.data.density(self.data.restore(x)) + self.data.scale.log().expand(2).sum()
        outside = -0.5 * (x - self.place).square().sum(1) - math.log(2 * math.pi)
        shares = math.log(1 - self.share), math.log(self.share)
        return -torch.logaddexp(inside + shares[0], outside + shares[1])


class Flat(Energy):
    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0 * x.flatten(1).sum(1)


@cache
def ring() -> Data:
    cls = datasets()["ring"]
    return cls(cls.Config()).load()


def method_of(energy: Energy) -> Given:
    task = Task(ring(), torch.device("cpu"), torch.Generator())
    method = Given(Config(), task)
    method.known = energy
    return method


def said(events: Iterable[Event], *levels: str) -> dict[str, str]:
    return {
        event.path: event.message
        for event in events
        if isinstance(event, Text) and event.level in levels
    }


def final(energy: Energy, not_a_density: str = "") -> tuple[dict[str, float], list[Event]]:
    method = method_of(energy)
    method.not_a_density = not_a_density
    figures, events, _ = Observation(method, ring(), 0, SMALL).evaluate(1)
    return figures, events


def test_the_truth_has_its_figures_and_no_alarm_though_modes_are_not_crossed() -> None:
    figures, events = final(Tilted(ring(), 0.0))
    path = "density/log_likelihood"
    assert figures[path] == pytest.approx(figures[f"{path}/truth"], abs=2e-3)
    assert figures[f"{path}/gaussian"] < figures[f"{path}/mixture"] < figures[path] + 0.02
    assert figures["density/mass_outside"] < 1e-3
    assert figures["density/cluster_error"] < 0.03
    assert said(events, "warning", "alarm") == {}


def test_a_mode_with_too_much_mass_is_said_with_its_place_and_shares() -> None:
    figures, events = final(Tilted(ring(), -3.0))
    # one of eight equal modes weighs e³: its mass is e³ / (e³ + 7), of which an eighth is due
    excess = math.exp(3) / (math.exp(3) + 7) - 1 / 8
    assert figures["density/cluster_error"] == pytest.approx(excess, abs=0.03)
    alarms = said(events, "warning", "alarm")
    assert "Part 1 at (" in alarms["alarm/masses"]
    assert "74% of the mass" in alarms["alarm/masses"]
    assert "alarm/density" not in alarms  # it is still better than one Gaussian


def test_mass_that_leaked_is_said_and_costs_its_logarithm() -> None:
    figures, events = final(Leaking(ring(), 0.3))
    path = "density/log_likelihood"
    lost = figures[f"{path}/truth"] - figures[path]
    assert lost == pytest.approx(-math.log(0.7), abs=0.01)
    assert "30%" in said(events, "warning")["alarm/mass_outside"]


@pytest.mark.parametrize("energy", [Flat(), Leaking(ring(), 0.9)], ids=["flat", "leaking"])
def test_an_energy_worse_than_one_gaussian_is_no_density_in_the_strongest_voice(
    energy: Energy,
) -> None:
    figures, events = final(energy)
    message = said(events, "alarm")["alarm/density"]
    assert message.startswith("This energy is no density.")
    assert f"{figures['density/log_likelihood/gaussian']:.2f}" in message


def test_a_generator_says_that_it_is_one_and_is_only_warned_of() -> None:
    _, events = final(Flat(), "It is a generator.")
    assert "It is a generator." in said(events, "warning")["alarm/density"]


def test_while_training_only_a_density_that_was_better_is_said_to_be_none() -> None:
    method = method_of(Flat())
    observation = Observation(method, ring(), 0, SMALL)
    early = [event for step in (1, 2, 3) for event in observation.measure(step)]
    assert "alarm/density" not in said(early, "alarm")
    assert any(isinstance(event, Scalar) for event in early)
    method.known = Tilted(ring(), 0.0)
    observation.measure(4)
    method.known = Flat()
    late = [event for step in (5, 6) for event in observation.measure(step)]
    assert "alarm/density" in said(late, "alarm")


@pytest.mark.parametrize("ability", ["energy", "score", "log_z", "detect"])
def test_whoever_asks_a_generator_for_its_energy_is_told_what_it_is(ability: str) -> None:
    method = method_of(Tilted(ring(), 0.0))
    asked = Asked(method, ring(), 0)
    config = {"num": 20, "annealing": False, "repeats": 2} if ability == "log_z" else {"num": 20}
    plain = ask(asked, ability, config, torch.Generator().manual_seed(0)).summary
    method.not_a_density = "It is a generator."
    told = ask(asked, ability, config, torch.Generator().manual_seed(0)).summary
    assert told == f"{plain} It is a generator."


@pytest.mark.parametrize(
    ("missed", "sd", "good"),
    [(0.04, 0.0, True), (0.06, 0.0, False), (0.06, 1.0, True), (0.2, 100.0, False)],
)
def test_what_points_leave_open_is_no_reason_to_cry(missed: float, sd: float, good: bool) -> None:
    beside = Beside(ring(), 0)
    name, best = density_alarms.best_of(beside.baselines)
    log_probs = beside.log_probs[name]
    noise = sd * torch.randn(len(log_probs), generator=generator_of("noise"), dtype=torch.float64)
    points = WeightedPoints(ring().train[:1], torch.zeros(1, dtype=torch.float64), 0.0)
    doubtless = likelihood_of(Tilted(ring(), 0.0), ring(), 1.0, points, "quadrature", "")
    likelihood = replace(doubtless, value=best - missed, log_probs=log_probs - missed + noise)
    assert density_alarms.is_good(likelihood, beside.baselines, beside) == good


def test_generators_say_so_and_densities_do_not() -> None:
    methods = catalogue.methods()
    task = Task(ring(), torch.device("cpu"), torch.Generator())
    cls = methods["contrastive_divergence"]
    for preset, generates in (("default", False), ("persistent", False), ("short_run", True)):
        config = cls.Config.model_validate(cls.presets[preset].config)
        assert bool(cls(config, task).not_a_density) == generates
    generators = {name for name, method in methods.items() if method.not_a_density}
    classifiers = {"adversarial_training", "dual_adversarial_training", "energy_routing", "tabebm"}
    alike = {*classifiers, "associative_memory", "field_of_experts"}
    assert generators == {"energy_matching", "recovery_likelihood"} | alike
    for name in alike:  # no alarm cries on what they say of themselves
        assert not {"energy_alarms", "log_likelihood"} & set(methods[name].observers), name
