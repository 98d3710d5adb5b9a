"""Loading: the trained energy of a run as a torch module in the user's units. Imports torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.energy import Energy, energy_and_gradient
from backend.errors import BadInput, NotAvailable
from backend.method import SampleRequest
from backend.randomness import generator_of
from backend.requests import conditional_sampling
from jobs.exports import model_folder
from jobs.models.trained_run import Trained, load_trained
from jobs.records import run_store


class LoadedEnergy(Energy):
    """Energy E(x) (num,) of positions x (num, *event_shape) in the user's units, weights fixed."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.energy = trained.energy_in_units()
        self._trained = trained
        self.id, self.step = trained.id, trained.step

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.energy(x, condition)

    def score(self, x: Tensor) -> Tensor:
        """Compute −∇E(x), shaped like x."""
        return -energy_and_gradient(self.energy, x)[1]

    def sample(self, num: int, seed: int = 0) -> Tensor:
        """Draw samples (num, *event_shape) in the user's units as the run's method draws them.

        The same seed gives the same ones. Raises BadInput where the method draws none.
        """
        method, data = self._trained.method, self._trained.data
        generator = generator_of("load", seed, device=self._trained.device)
        with torch.no_grad():
            drawn = conditional_sampling.draw(method, SampleRequest(num), generator)
        return data.restore(drawn.position)

    def log_prob(self, x: Tensor) -> Tensor:
        """Compute log p(x) (num,) in nats by the normaliser that training estimates.

        Raises NotAvailable where it estimates none: `basin ask RUN log_z` measures it.
        """
        method, data = self._trained.method, self._trained.data
        log_z = method.log_z()
        if log_z is None:
            raise NotAvailable(
                f"{method.title} keeps no normaliser, so its energy is no log-density. "
                "`basin ask RUN log_z` measures that of a run."
            )
        log_volume = data.scale.expand(data.event_shape).log().sum()
        return -self(x) - log_z.detach() - log_volume.to(log_z)


def load_energy(run: str | os.PathLike[str], step: int | None) -> LoadedEnergy:
    """Load the energy of a run or of a model folder, as `basin.load` says."""
    if isinstance(run, os.PathLike) or os.sep in run or model_folder.is_folder(Path(run)):
        return _of_folder(Path(run).expanduser(), step)
    directory = run_store.open_run(run)
    if directory.written_status().is_tracked:
        raise NotAvailable(
            f"`{directory.id}` is trained by its own script, which knows the architecture. Its "
            f"weights are the safetensors files in {directory.path / 'checkpoints'}."
        )
    return LoadedEnergy(load_trained(directory.id, step=step))


def _of_folder(folder: Path, step: int | None) -> LoadedEnergy:
    if not model_folder.is_folder(folder):
        names = f"{model_folder.WEIGHTS} and {model_folder.CONFIG}"
        raise BadInput.at("folder", f"{folder} must hold {names}, as `basin export` writes them.")
    if step is not None:
        raise BadInput.at("step", f"must be None: a folder holds one step's weights, got {step}.")
    return LoadedEnergy(model_folder.load(folder))
