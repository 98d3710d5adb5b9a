"""Sliced score matching: the score of the data themselves, without noise and without chains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.tilt import CLOSE_BASE
from backend.method import Method, Preset, Task
from backend.objectives.score_matching import sliced_score_matching
from backend.spec import Budget
from backend.training import STEADY, Fitter, TrainConfig


class SlicedScoreMatchingConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    num_slices: int = option(
        1,
        "Random directions along which the curvature of the energy is measured at each point; "
        "more are less noisy and cost a second derivative each.",
        ge=1,
        le=1000,
        main=True,
        group="Objective",
    )
    train: TrainConfig = option(
        TrainConfig(beta1=0.9), "How the weights are fitted.", group="Training"
    )


class SlicedScoreMatching(Method):
    """½ |∇E|² − vᵀ ∇²E v with random signs v (Song et al. 2019, variance-reduced).

    Least at the score of the data themselves. Masses of modes that touch nowhere are not compared,
    and nothing ties the energy down where no data come.
    """

    id = "sliced_score_matching"
    title = "Sliced score matching"
    summary = (
        "Fits the gradient of the energy to the data's own score along random directions. No "
        "chains and no added noise; the network is differentiated twice."
    )
    references = "Hyvärinen 2005; Song et al. 2019"
    url = "https://arxiv.org/abs/1905.07088"
    Config = SlicedScoreMatchingConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Corrects 20 Gaussians fitted to the data, one direction a point, for points. Masses "
            "of modes apart stay those of the Gaussians; KL was theirs, .01 to .1 in the plane.",
            {
                "energy": {"kind": "mlp", "base": CLOSE_BASE},
                "train": {**STEADY, "beta1": 0.9},
            },
            Budget(steps=3000),
        ),
        "plain": Preset(
            "One direction a point, no base: masses of modes apart are left to chance, and the "
            "energy may fall where no data are (KL .04 to 1.8 on moons, spirals and the like).",
            {},
            Budget(steps=3000),
        ),
    }
    config: SlicedScoreMatchingConfig

    def __init__(self, config: SlicedScoreMatchingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)

    @classmethod
    def problems(cls, config: SlicedScoreMatchingConfig, data: Data) -> Iterable[tuple[str, str]]:
        if getattr(config.energy, "activation", "") == "relu":
            yield (
                "energy.activation",
                "must be smooth here, got `relu`: its second derivative is "
                "0, and the curvature is what is fitted. Use `silu` or `softplus`.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        config = self.config
        x_data = self.task.data.batch(config.train.batch_size, self.generator)
        loss = sliced_score_matching(self.network, x_data, config.num_slices, self.generator)
        self.gradient_evaluations += 1 + config.num_slices  # each slice goes back once more
        return {
            "loss/total": loss.detach(),
            **self.network.readings(),
            **self.fitter.update(loss, progress),
        }

    def energy(self) -> NetworkEnergy:
        return self.fitter.fitted
