"""A sampler, a network and two methods small enough to read at a glance, for tests."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import Config, KindConfig
from backend.energy import Energy, InUnits, energy_and_gradient
from backend.method import Method, Preset, Start, Task
from backend.observe.chains import run_chains
from backend.sampler import Info, Sampler, State


class SmallLangevinConfig(KindConfig):
    kind: Literal["small_langevin"] = "small_langevin"
    step_size: float = 0.01


class SmallLangevin(Sampler):
    """x - a E' + √(2a) ξ."""

    Config: ClassVar[type[KindConfig]] = SmallLangevinConfig
    exact: ClassVar[bool] = False

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        step = self.config.step_size
        noise = torch.randn(state.position.shape, generator=generator)
        position = state.position - step * state.gradient + math.sqrt(2 * step) * noise
        after = State(position, *energy_and_gradient(energy, position))
        ones = torch.ones(len(position))
        return after, Info(ones, ones.bool(), position, 1)


class SmallNet(Energy):
    """A network whose answer depends on the mode it is in, and on how often it was trained."""

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(dim, 16), nn.SiLU(), nn.Linear(16, 1))
        self.norm = nn.BatchNorm1d(1)
        for parameter in self.net.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.norm(self.net(x))[:, 0] + 0.5 * x.flatten(1).square().sum(1)


class Small(Method):
    """Contrastive divergence in twenty lines: persistent chains, or short runs from noise."""

    id: ClassVar[str] = "small"
    Config: ClassVar[type[Config]] = Config
    presets: ClassVar[dict[str, Preset]] = {"default": Preset("")}

    def __init__(self, config: Any, task: Task, *, persistent: bool = True) -> None:
        super().__init__(config, task)
        self.net = SmallNet(task.data.event_shape.numel(), self.generator)
        self.net.train()
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-2)
        self.persistent = persistent
        self.chains = task.data.noise(64, self.generator)
        self.langevin = SmallLangevin(SmallLangevinConfig())

    def step(self, progress: float) -> dict[str, Tensor]:
        x_data = self.task.data.batch(64, self.generator)
        walk = run_chains(self.langevin, self.net, self.chains, 3, self.generator, keep_last=1)
        self.chains = walk.position
        loss = self.net(x_data).mean() - self.net(self.chains).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss/total": loss.detach()}

    def energy(self) -> Energy:
        return self.net

    def sampler(self) -> Sampler | None:
        return self.langevin

    def start(self, num: int, generator: torch.Generator) -> Start | None:
        if not self.persistent:
            return Start(self.task.data.noise(num, generator), False, 30)
        return Start(self.chains[torch.arange(num) % 64].clone(), True, 3)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        self.gradient_evaluations += 1  # as a method does that runs chains for it
        return self.chains[torch.randint(64, (num,), generator=generator)]


class Exact(Small):
    """Holds the true energy of its data; its chains are exact draws."""

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.density is not None
        self.truth = InUnits(data.density, -data.mean / data.scale, 1 / data.scale)

    def energy(self) -> Energy:
        return self.truth

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        data = self.task.data
        assert data.draw is not None
        return data.standardise(data.draw(num, generator))
