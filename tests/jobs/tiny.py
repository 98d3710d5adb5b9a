"""A method for tests: small, quick, and with every sort of state a method may keep."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from backend import catalogue
from backend.claims import recipe
from backend.config import Config, KindConfig, option
from backend.data import Data
from backend.energy import Energy, energy_and_gradient
from backend.events import Event, Field, Scalar, Text
from backend.method import Method, Preset, Task
from backend.sampler import Info, Sampler, State
from backend.spec import Budget, RunSpec
from backend.system import discovery
from jobs.execution import loop
from jobs.models.method_setup import Prepared
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status


class TinyConfig(Config):
    width: int = option(8, "Units of the hidden layer.", ge=1)
    step_size: float = option(0.01, "Langevin step.", gt=0)
    sleep: float = option(0.0, "Seconds every step takes longer.", ge=0)
    fail_at: int = option(-1, "Step that raises.")
    nan_at: int = option(-1, "Step whose loss is no number.")
    runaway_at: int = option(-1, "Step whose largest energy is out of bounds.")
    refuse: bool = option(False, "Whether the data do not fit.")


class TinyEnergy(Energy):
    calls: Tensor

    def __init__(self, dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, 1))
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        if self.training:
            self.calls += 1  # a look in training mode would leave its mark
        return self.body(x)[:, 0] + 0.5 * x.square().sum(1)


class Memory:
    """A helper object that holds tensors."""

    def __init__(self) -> None:
        self.positions: Tensor | None = None
        self.history: list[float] = []


class WalkConfig(KindConfig):
    kind: Literal["walk"] = "walk"
    step_size: float = option(0.05, "Langevin step.", gt=0)


class Walk(Sampler):
    Config = WalkConfig
    exact = False

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        size = self.config.step_size
        noise = torch.randn(state.position.shape, generator=generator)
        position = state.position - size * state.gradient + (2 * size) ** 0.5 * noise
        ones = torch.ones(len(position))
        after = State(position, *energy_and_gradient(energy, position))
        return after, Info(ones, ones.bool(), position, 1)


class Tiny(Method):
    id = "tiny"
    title, summary, references = "Tiny", "For tests.", "Nobody 2026"
    Config = TinyConfig
    presets = {
        "default": Preset("Thirty steps.", {}, Budget(steps=30)),
        "wide": Preset("More units.", {"width": 16}, Budget(steps=30)),
    }

    def __init__(self, config: TinyConfig, task: Task) -> None:
        super().__init__(config, task)
        dim = task.data.train.shape[1]
        self.net = TinyEnergy(dim, config.width, task.generator).to(task.device)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=1e-2)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimiser, 10, 0.5)
        self.own_generator = torch.Generator(task.device).manual_seed(5)
        self.memory = Memory()
        self.chains: State | None = None
        self.train_x = task.data.train
        self.num_updates = 0

    @classmethod
    def problems(cls, config: TinyConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.refuse:
            yield "refuse", "is set, so these data do not fit."

    def step(self, progress: float) -> dict[str, Tensor]:
        assert 0 <= progress < 1
        time.sleep(self.config.sleep)
        self.num_updates += 1
        if self.num_updates == self.config.fail_at:
            raise RuntimeError("the test wants it so")
        x_data = self.task.data.batch(32, self.generator)
        if self.chains is None:
            start = self.task.data.noise(32, self.own_generator)
            self.chains = State(start, *energy_and_gradient(self.net, start))
            self.gradient_evaluations += 1
        noise = torch.randn(x_data.shape, generator=self.generator, device=x_data.device)
        position = (
            self.chains.position
            - self.config.step_size * self.chains.gradient
            + (2 * self.config.step_size) ** 0.5 * noise
        )
        self.chains = State(position, *energy_and_gradient(self.net, position))
        self.gradient_evaluations += 1
        data, model = self.net(x_data).mean(), self.net(position).mean()
        loss = data - model + 0.01 * (data.square() + model.square())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(weight, 0.1)
        self.memory.positions = position
        self.memory.history = [*self.memory.history[-3:], progress]
        largest = self.chains.energy.abs().max()
        if self.num_updates == self.config.nan_at:
            loss = loss * float("nan")
        if self.num_updates == self.config.runaway_at:
            largest = largest + 1e7
        return {"loss/total": loss, "energy/gap": data - model, "energy/max": largest}

    def energy(self) -> Energy:
        return self.average

    def sampler(self) -> Sampler:
        return Walk(WalkConfig())


class Eyes:
    """Looks at a Tiny: everything a look might disturb, it uses."""

    def __init__(self, prepared: Prepared, cost: float = 0.0, fail: str = "") -> None:
        self.method, self.data = prepared.method, prepared.data
        self.cost, self.fail = cost, fail
        self.looks: list[tuple[str, int]] = []

    judging_ratio = 1.0

    def _looked(self, name: str, step: int) -> None:
        self.looks.append((name, step))
        if name == self.fail:
            raise RuntimeError("cannot see")
        time.sleep(self.cost)
        for module in self.method.modules():
            assert not module.training
        assert isinstance(self.method, Tiny)
        self.method.net(self.data.held_out[:8])
        self.method.gradient_evaluations += 7
        torch.rand(3)

    def begin(self) -> list[Event]:
        self._looked("begin", 0)
        return [Scalar("quality/energy_distance/floor", 0.01)]

    def watch(self, step: int) -> list[Event]:
        self._looked("watch", step)
        values = self.data.train[:4, :2].cpu().numpy() * 0 + step
        return [Field("look/field", values, (0.0, 1.0), (0.0, 1.0))]

    def measure(self, step: int) -> list[Event]:
        self._looked("measure", step)
        return [
            Scalar("quality/energy_distance/long_run", 1.0 / (1 + step)),
            Text("alarm/flattery", f"Step {step} flatters.", "alarm"),
        ]

    def evaluate(self, step: int) -> tuple[dict[str, float], list[Event], dict[str, Any]]:
        self._looked("evaluate", step)
        samples = {"long_run": self.data.held_out[:5].cpu().numpy()}
        return {"quality/energy_distance/long_run": 0.5}, [Text("note", "done")], samples


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `tiny` the one method and `walk` the one sampler there is."""
    for discover in (catalogue.abilities, catalogue.methods):
        discover()  # one that is first imported from now on would be offered `walk` alone, for good
    monkeypatch.setattr(catalogue, "methods", lambda: {"tiny": Tiny})
    for module in (catalogue, discovery):
        monkeypatch.setattr(module, "samplers", lambda: {"walk": Walk})
    # those that come along are of methods that are not there now
    monkeypatch.setattr(recipe, "FOLDER", Path(__file__).parent / "no_recipes")


def make(steps: int = 30, **fields: Any) -> RunDirectory:
    """A queued run of `tiny` on the ring; keywords beside the budget are the method's fields."""
    spec = RunSpec(
        method="tiny",
        data={"name": "ring", "num": 200, "num_held_out": 100},
        config=fields,
        budget=Budget(steps=steps),
        seed=3,
    )
    return run_store.create_run(spec)


def run(directory: RunDirectory, **settings: Any) -> Status:
    """Run it here, unobserved unless told otherwise."""
    settings.setdefault("observe", lambda prepared: None)
    return loop.run(directory, **settings)
