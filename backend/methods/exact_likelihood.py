"""Maximum likelihood with log Z by quadrature: what the other methods of densities are after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.location import PLAIN_STEPS
from backend.energies.tilt import TILTED
from backend.events import Event
from backend.method import Method, Preset, Task
from backend.metrics import cubature
from backend.metrics.log_z_grid import DataCells, NormaliserGrid
from backend.objectives.landscapes import landscape_of
from backend.spec import Budget
from backend.training import STEADY, Fitter, TrainConfig


class ExactLikelihoodConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    num_cells: int = option(
        64,
        "Cells a side of the grid that log Z is summed over, in the plane; on a line, their "
        "square. An energy with a base is summed over cells that follow the data instead.",
        ge=8,
        le=1024,
        main=True,
        group="Objective",
    )
    train: TrainConfig = option(
        TrainConfig(beta1=0.9), "How the weights are fitted.", group="Training"
    )

    def derived(self) -> dict[str, str]:
        if getattr(self.energy, "has_base", False):
            return {"num_cells": "No effect: with a base, cells follow the data."}
        return {}


class ExactLikelihood(Method):
    """E_data[E] + log ∫ exp(−E), the integral by the midpoint rule; on a line and in the plane.

    Points are moved by a part of their cell, drawn anew at every step, or the model would put its
    mass between them. Unbiased but for the logarithm of that sum, the batch and what lies outside.
    The baseline that estimates of the same gradient are judged by.
    """

    id = "exact_likelihood"
    title = "Exact likelihood"
    summary = (
        "Maximum likelihood with log Z summed over a grid: the exact baseline, for one and two "
        "coordinates."
    )
    references = "Davis & Rabinowitz 1984"
    Config = ExactLikelihoodConfig
    headline: ClassVar[tuple[str, ...]] = (
        "parameter/error",
        "quality/grid_kl",
        "quality/energy_distance",
        "log_z/error",
        "optimiser/gradient_norm",
        "loss/total",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Corrects 20 Gaussians fitted to the data, with cells that are small where the data "
            "are, for points.",
            {
                "energy": {**TILTED, "waves": 2, "base_power": 0.5},
                "train": {**STEADY, "beta1": 0.9},
            },
            Budget(steps=3000),
        ),
        "grid": Preset(
            "An even grid of 64 × 64 cells, for points that fill their range: modes narrower than "
            "a cell, or long tails, are missed without a word from the loss.",
            {"energy": {"kind": "mlp", "waves": 2}},
            Budget(steps=3000),
        ),
        "location": Preset(
            "Finds the mean of a Gaussian far away, from 0, by plain gradient descent.",
            {
                "energy": {"kind": "location"},
                "train": PLAIN_STEPS,
            },
            Budget(steps=3000),
            data={"name": "shifted_gaussian"},
        ),
    }
    config: ExactLikelihoodConfig

    def __init__(self, config: ExactLikelihoodConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)
        self.grid = (
            NormaliserGrid(task.data, config.num_cells)
            if self.network.tilt is None
            else DataCells(task.data)
        )

    @classmethod
    def problems(cls, config: ExactLikelihoodConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.event_shape not in ((1,), (2,)):
            yield (
                "data.name",
                "must have one or two coordinates here, since log Z is summed over "
                f"a grid; got events of shape {tuple(data.event_shape)}. Choose other data, or "
                "`noise_contrastive`.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        x_data = self.task.data.batch(self.config.train.batch_size, self.generator)
        energy = self.network(x_data)
        uniform = torch.rand(x_data.shape[1:], generator=self.generator, device=x_data.device)
        log_z = self.grid.log_z(self.network, uniform - 0.5)
        loss = energy.mean() + log_z
        self.gradient_evaluations += 1
        return {
            "loss/total": loss.detach(),
            "energy/data": energy.detach().mean(),
            "energy/max": energy.detach().abs().amax(),
            "log_z/estimate": log_z.detach(),
            **self.network.readings(),
            **self.fitter.update(loss, progress),
        }

    def energy(self) -> NetworkEnergy:
        return self.fitter.fitted

    @torch.no_grad()
    def log_z(self) -> Tensor:
        if self.network.tilt is None:
            return self.grid.log_z(self.energy())
        log_z = cubature.integrated(self.energy(), self.task.data).log_z
        return self.task.data.train.new_tensor(log_z)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """The landscape of the likelihood, for a location on a line."""
        return landscape_of("likelihood", self.energy(), self.task.data)
