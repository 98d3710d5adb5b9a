"""Denoising score matching: no chains in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.tilt import CLOSE_BASE
from backend.method import Method, Preset, Task
from backend.objectives.score_matching import denoising_error
from backend.spec import Budget
from backend.training import STEADY, Fitter, TrainConfig


class DenoisingScoreMatchingConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    noise_sd: float = option(
        0.1,
        "Noise that the score learns to take away. The energy learned is that of data "
        "blurred by it: less is sharper and harder to learn far from the data.",
        unit="data sd",
        gt=0,
        le=10,
        main=True,
        log=True,
        group="Objective",
        turnable=True,
    )
    train: TrainConfig = option(
        TrainConfig(beta1=0.9), "How the weights are fitted.", group="Training"
    )


class DenoisingScoreMatching(Method):
    """½ |σ s(x + σz) + z|² with s = −∇E (Vincent 2011).

    What is learned is the density of x + σz. Nothing ties the energy down where no noised data
    come, so chains that start far away may stay there.
    """

    id = "denoising_score_matching"
    title = "Denoising score matching"
    summary = (
        "Fits the gradient of the energy to take noise off data. No chains in training; the "
        "energy is that of slightly blurred data."
    )
    references = "Vincent 2011"
    url = "https://doi.org/10.1162/NECO_a_00142"
    Config = DenoisingScoreMatchingConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Corrects 20 Gaussians fitted to the data by one small noise, for points. Masses of "
            "modes apart stay those of the Gaussians; KL was theirs, .01 to .1 in the plane.",
            {
                "energy": {"kind": "mlp", "base": CLOSE_BASE},
                "noise_sd": 0.02,
                "train": {**STEADY, "beta1": 0.9},
            },
            Budget(steps=3000),
        ),
        "plain": Preset(
            "One noise of a tenth of the data's spread, no base: modes narrower than it are "
            "blurred, and masses of modes apart are left to chance (KL .1 to .3 on moons, a "
            "checkerboard and a pinwheel, of which the noise alone costs .21, .21 and .10).",
            {},
            Budget(steps=3000),
        ),
    }
    config: DenoisingScoreMatchingConfig
    data_noise_field = "noise_sd"

    def __init__(self, config: DenoisingScoreMatchingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)

    def step(self, progress: float) -> dict[str, Tensor]:
        config = self.config
        x_data = self.task.data.batch(config.train.batch_size, self.generator)
        noise = torch.randn(x_data.shape, generator=self.generator, device=x_data.device)
        losses_so_far: list[Tensor] = []

        def losses() -> Iterator[Tensor]:
            for share, (x, z) in self.fitter.split(x_data, noise):
                loss = share * denoising_error(self.network, x, z, config.noise_sd)
                losses_so_far.append(loss.detach())
                yield loss

        fitted = self.fitter.update(losses(), progress)
        self.gradient_evaluations += 1
        return {"loss/total": torch.stack(losses_so_far).sum(0), **fitted}

    def energy(self) -> NetworkEnergy:
        return self.fitter.fitted
