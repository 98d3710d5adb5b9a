"""Noise-contrastive estimation: a classifier of data against noise whose density is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.distributions import AnyDistribution
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.location import PLAIN_STEPS
from backend.energies.tilt import CLOSE_BASE, TILTED, base_or_fitted
from backend.events import Event
from backend.method import Method, Preset, Task
from backend.metric_names import Figure
from backend.objectives import noise_contrastive as objective
from backend.objectives.landscapes import Kind, landscape_of
from backend.spec import Budget
from backend.training import STEADY, Fitter, TrainConfig

Loss = Literal["logistic", "exponential"]


class NoiseContrastiveConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    noise: AnyDistribution = option(
        {"kind": "gaussian"}, "What data are told apart from.", group="Noise"
    )
    noise_ratio: float = option(
        1.0, "Noise points for each data point.", gt=0, le=100, main=True, group="Noise"
    )
    loss: Loss = option(
        "logistic",
        "The logistic loss, or the exponential one, which is steeper where noise is far from data.",
        main=True,
        group="Objective",
    )
    start_log_z: float = option(
        0.0, "Where the learned log Z starts.", unit="nats", ge=-1e4, le=1e4, group="Objective"
    )
    train: TrainConfig = option(
        TrainConfig(beta1=0.9), "How the weights are fitted.", group="Training"
    )

    @property
    def num_noise(self) -> int:
        """Noise points of one update."""
        return max(1, round(self.noise_ratio * self.train.batch_size))

    def derived(self) -> dict[str, str]:
        return {"noise_ratio": f"{self.num_noise:,} noise points an update."}


class Normalised(nn.Module):
    """An energy and its log Z as a parameter: log p(z) = −E(z) − log Z."""

    def __init__(self, energy: NetworkEnergy, log_z: float) -> None:
        super().__init__()
        self.energy = energy
        self.log_z = nn.Parameter(torch.tensor(log_z))


class NoiseContrastive(Method):
    """Logistic regression of data against noise on r = −E − log Z − log q, log Z learned.

    Gutmann & Hyvärinen 2010; the exponential loss is that of Liu et al. 2021. At its optimum the
    model is normalised by itself. It learns little where noise and data are easily told apart: a
    noise distribution far from the data leaves the loss flat.
    """

    id = "noise_contrastive"
    title = "Noise-contrastive estimation"
    summary = (
        "Learns an energy and its normaliser by telling data from noise of a known density. No "
        "chains; the noise should be close to the data and cover them."
    )
    references = "Gutmann & Hyvärinen 2010; Liu et al. 2021"
    url = "https://proceedings.mlr.press/v9/gutmann10a.html"
    Config = NoiseContrastiveConfig
    headline: ClassVar[tuple[str, ...]] = (
        "parameter/error",
        "quality/grid_kl",
        "quality/energy_distance",
        "log_z/error",
        "classifier/accuracy",
        "loss/total",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Against 20 Gaussians fitted to the data, which the energy corrects; for points, in "
            "ten dimensions too. 20 Gaussians need thousands of points there.",
            {
                "energy": TILTED,
                "noise": CLOSE_BASE,
                "train": {**STEADY, "beta1": 0.9, "learning_rate": 3e-3},
            },
            Budget(steps=3000),
        ),
        "gaussian_noise": Preset(
            "Noise of 1.5 times the data's covariance, for points.",
            {"energy": {"kind": "mlp", "waves": 2}},
            Budget(steps=3000),
        ),
        "location": Preset(
            "Finds the mean of a Gaussian far away, from 0, by plain "
            "gradient descent against noise N(0, 1).",
            {
                "energy": {"kind": "location"},
                "noise": {"kind": "fixed"},
                "train": PLAIN_STEPS,
            },
            Budget(steps=3000),
            data={"name": "shifted_gaussian"},
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        "classifier/accuracy": Figure(
            "Data and noise told apart",
            "share",
            help="0.5 is chance. Near 1, noise is too easily told from data to teach much.",
        ),
    }
    config: NoiseContrastiveConfig

    def __init__(self, config: NoiseContrastiveConfig, task: Task) -> None:
        super().__init__(config, task)
        network = build_network(config.energy, task)
        self.model = Normalised(network, config.start_log_z).to(task.device)
        self.noise = base_or_fitted(
            network.tilt, config.energy, config.noise, task.data, self.generator
        )
        self.fitter = Fitter(config.train, self.model)

    def step(self, progress: float) -> dict[str, Tensor]:
        config, size = self.config, self.config.train.batch_size
        x_data = self.task.data.batch(size, self.generator)
        x_noise = self.noise.sample(config.num_noise, self.generator)
        x = torch.cat([x_data, x_noise])
        energy = self.model.energy(x)
        log_ratio = -energy - self.model.log_z - self.noise.log_prob(x)
        on_data, on_noise = log_ratio.split([size, config.num_noise])
        if config.loss == "exponential":
            contrast = objective.exponential(on_data, on_noise)
        else:
            contrast = objective.logistic(on_data, on_noise, config.num_noise / size)
        self.gradient_evaluations += 1
        return {
            "loss/total": contrast.loss.detach(),
            "energy/data": energy[:size].detach().mean(),
            "energy/noise": energy[size:].detach().mean(),
            "energy/max": energy.detach().abs().amax(),
            "classifier/accuracy": contrast.accuracy,
            "log_z/estimate": self.model.log_z.detach().clone(),
            **self.model.energy.readings(),
            **self.fitter.update(contrast.loss, progress),
        }

    def energy(self) -> NetworkEnergy:
        return self.fitter.fitted.energy

    def log_z(self) -> Tensor:
        return self.fitter.fitted.log_z.detach().clone()

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """The landscape of the objective, for a location on a line."""
        config = self.config
        kind: Kind = "noise_contrastive" if config.loss == "logistic" else "exponential"
        ratio = config.num_noise / config.train.batch_size
        return landscape_of(kind, self.energy(), self.task.data, self.noise, ratio)
