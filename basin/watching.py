"""Watching: the energy of the user's own loop, observed by what observes every run. Imports
torch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from backend.config import Config
from backend.data import Data
from backend.datasets.file import FileConfig, FileData
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Cost
from backend.method import Method, Task
from backend.observe.observation import Observation
from backend.randomness import generator_of
from jobs.execution import finishing
from jobs.execution.cadence import Cadence
from jobs.execution.observation_schedule import ObservationSchedule
from jobs.execution.reporter import Reporter
from jobs.records.run_directory import RunDirectory


class OfUser(Energy):
    """Energy of standardised positions, by a user's energy of positions in their units."""

    def __init__(self, model: Callable[[Tensor], Tensor], data: Data, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self._restore, self._dtype = data.restore, dtype

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.model(self._restore(x).to(self._dtype)).to(x.dtype)


class OwnLoop(Method):
    """Method of a loop that is not Basin's: it has an energy to look at, and takes no step."""

    id = "tracked"
    title = "Your own training loop"
    summary = "Trained by a script of the user's own."
    references = ""
    Config = Config
    presets = {}

    def __init__(self, config: Any, task: Task, energy: OfUser) -> None:
        super().__init__(config, task)
        self.fitted = energy

    def step(self, progress: float) -> dict[str, Tensor]:
        raise NotImplementedError("its own script steps it")

    def energy(self) -> OfUser:
        return self.fitted


class Watching:
    """Schedule of looks at one model, whose events go to a reporter."""

    def __init__(
        self, directory: RunDirectory, model: Any, reporter: Reporter, steps: int | None
    ) -> None:
        if not callable(model):
            raise BadInput.at("model", f"must be callable: x -> E(x), got {type(model).__name__}.")
        self.directory, self.reporter, self.steps = directory, reporter, steps
        spec = directory.spec()
        if spec.data.get("name") != "file":
            raise BadInput.at("data", "is needed to look at an energy: `basin.track(data=x)`.")
        first = next(iter(model.parameters()), None) if isinstance(model, nn.Module) else None
        self.device = torch.device("cpu") if first is None else first.device
        dtype = torch.float32 if first is None else first.dtype
        config = FileConfig(path=spec.data["path"], key="x", seed=spec.seed)
        data = FileData(config).load().to(self.device)
        energy = OfUser(model, data, dtype)
        self.method = OwnLoop(
            Config(), Task(data, self.device, generator_of(spec.seed, device=self.device)), energy
        )
        self._check(energy, data)
        observation = Observation(self.method, data, spec.seed)
        self.schedule = ObservationSchedule.of(self.method, observation, Cadence(), 0.0)
        directory.write_status(device=str(self.device))

    def is_due(self, step: int) -> bool:
        """Return True when a look is due after a step."""
        return self.schedule.is_due(step, time.monotonic())

    def begin(self, cost: Cost) -> None:
        """Show the data, floors and goals, and look for the first time. Raises CannotWrite."""
        with self._apart(cost):
            self.reporter.emit(self.schedule.begin(), cost)
        self.look(cost)

    def look(self, cost: Cost) -> None:
        """Look with what is due. Raises CannotWrite."""
        with self._apart(cost):
            self.reporter.emit(self.schedule.observe(cost.step), cost)
        if self.schedule.trace:
            self.directory.write_trace(self.schedule.trace)
            self.schedule.trace = ""

    def judge(self, cost: Cost) -> None:
        """Look for the last time, and write the final figures down. Raises CannotWrite."""
        with self._apart(cost):
            finishing.judge(self.schedule, self.reporter, self.directory, cost)

    @contextlib.contextmanager
    def _apart(self, cost: Cost) -> Iterator[None]:
        """Leave torch's global generators as they are, whatever the user's model draws."""
        self.method.spent = cost
        self.method.share_spent = min(cost.step / self.steps, 1.0) if self.steps else 0.0
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            yield

    def _check(self, energy: OfUser, data: Data) -> None:
        """Raise BadInput where the model does not give one energy for each position."""
        modes = [(part, part.training) for part in energy.modules()]
        energy.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                value = energy(data.train[:2])
        except Exception as error:
            sentence = f"raised at positions {(2, *data.event_shape)}: {error}"
            raise BadInput.at("model", sentence) from error
        finally:
            for part, mode in modes:
                part.training = mode
        if value.shape != (2,):
            shape = tuple(value.shape)
            advice = " Add `.squeeze(-1)`." if shape == (2, 1) else ""
            raise BadInput.at(
                "model", f"must give E(x) of shape (num,), got {shape} of 2 positions.{advice}"
            )
