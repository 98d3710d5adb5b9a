"""Maximum likelihood by compositional optimisation: importance weights and a moving average."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from backend.config import Config, option
from backend.distributions import AnyDistribution
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.energies.location import PLAIN_STEPS
from backend.energies.tilt import CLOSE_BASE, TILTED, base_or_fitted
from backend.events import Event, Finding
from backend.method import Method, Preset, Task
from backend.objectives.compositional import (
    compositional_likelihood,
    effective_share,
    log_mean_exp,
)
from backend.objectives.landscapes import landscape_of
from backend.spec import Budget
from backend.training import STEADY, Fitter, TrainConfig

LOW_SHARE = 0.05
"""Effective share of the weights below which the estimate of log Z is not to be trusted."""
NUM_BATCHES = 16
"""Fresh batches whose effective shares an alarm goes by."""


class CompositionalLikelihoodConfig(Config):
    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    noise: AnyDistribution = option(
        {"kind": "gaussian"},
        "What the normaliser is estimated from; it must cover the data.",
        group="Noise",
    )
    gamma: float = option(
        0.1,
        "Share of the newest batch in the moving average of Z; 1 keeps no average.",
        gt=0,
        le=1,
        main=True,
        log=True,
        group="Objective",
    )
    train: TrainConfig = option(
        TrainConfig(beta1=0.9), "How the weights are fitted.", group="Training"
    )

    def derived(self) -> dict[str, str]:
        return {"gamma": f"Averages about the last {1 / self.gamma:,.0f} updates."}


class CompositionalLikelihood(Method):
    """MECO: E_data[E] + log E_q[exp(−E)/q], the inner mean u kept as a moving average.

    Jiang et al. 2023. Likelihood itself, with no normaliser to learn; log u estimates log Z. The
    gradient's momentum is the optimiser's `beta1`. Where the noise q does not cover the model, few
    weights carry the whole sum, u comes out too small and the energy runs off: the effective share
    of the weights tells.
    """

    id = "compositional_likelihood"
    title = "Compositional likelihood (MECO)"
    summary = (
        "Maximum likelihood with log Z from weighted noise, kept as a moving average. No chains; "
        "the noise must cover the data."
    )
    references = "Jiang et al. 2023"
    url = "https://proceedings.mlr.press/v202/jiang23g.html"
    Config = CompositionalLikelihoodConfig
    headline: ClassVar[tuple[str, ...]] = (
        "parameter/error",
        "quality/grid_kl",
        "quality/energy_distance",
        "log_z/error",
        "sampler/weight_ess",
        "loss/total",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Noise of 20 Gaussians fitted to the data, which the energy corrects, so that weights "
            "stay bounded; for points. 20 Gaussians need thousands of them in ten dimensions.",
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
            "gradient descent, with noise N(0, 1).",
            {
                "energy": {"kind": "location"},
                "noise": {"kind": "fixed"},
                "train": PLAIN_STEPS,
            },
            Budget(steps=3000),
            data={"name": "shifted_gaussian"},
        ),
    }
    config: CompositionalLikelihoodConfig

    def __init__(self, config: CompositionalLikelihoodConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network: NetworkEnergy = build_network(config.energy, task)
        self.noise = base_or_fitted(
            self.network.tilt, config.energy, config.noise, task.data, self.generator
        )
        self.fitter = Fitter(config.train, self.network)
        self.log_u = log_mean_exp(self._log_weights(config.train.batch_size, self.generator))

    def step(self, progress: float) -> dict[str, Tensor]:
        config, size = self.config, self.config.train.batch_size
        x_data = self.task.data.batch(size, self.generator)
        x_noise = self.noise.sample(size, self.generator)
        energy = self.network(torch.cat([x_data, x_noise]))
        on_data, on_noise = energy.split(size)
        log_q = self.noise.log_prob(x_noise)
        objective = compositional_likelihood(on_data, on_noise, log_q, self.log_u, config.gamma)
        self.log_u = objective.log_u
        self.gradient_evaluations += 1
        return {
            "loss/total": objective.likelihood,
            "energy/data": on_data.detach().mean(),
            "energy/noise": on_noise.detach().mean(),
            "energy/max": energy.detach().abs().amax(),
            "sampler/weight_ess": effective_share(-on_noise.detach() - log_q),
            "log_z/estimate": objective.log_u,
            **self.network.readings(),
            **self.fitter.update(objective.surrogate, progress),
        }

    def energy(self) -> NetworkEnergy:
        return self.fitter.fitted

    def log_z(self) -> Tensor:
        return self.log_u.clone()

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        """Weights that a few noise points carry alone."""
        size = self.config.train.batch_size
        shares = [effective_share(self._log_weights(size, generator)) for _ in range(NUM_BATCHES)]
        share = float(torch.stack(shares).mean())
        if share >= LOW_SHARE:
            return []
        return [
            Finding(
                "weights",
                "alarm",
                f"The noise does not cover the model. {share * size:.1f} of {size} weights carry "
                f"the estimate of log Z; below {LOW_SHARE:.0%} it is rough, tends to come out too "
                "small, and the energy may run off. Wider noise, or noise closer to the data, "
                "usually mends this; so does a larger batch.",
            )
        ]

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """The landscape of the likelihood, for a location on a line."""
        return landscape_of("likelihood", self.energy(), self.task.data)

    @torch.no_grad()
    def _log_weights(self, num: int, generator: torch.Generator) -> Tensor:
        """log exp(−E)/q (num,) of fresh noise."""
        x_noise = self.noise.sample(num, generator)
        return -self.network(x_noise) - self.noise.log_prob(x_noise)
