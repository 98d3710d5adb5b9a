"""Mixture density network: p(x | context) as a few Gaussians whose parts a network gives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.method import Preset, Task
from backend.networks.layers import Activation
from backend.networks.mlp import mlp
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import PREDICTING, Fitter, TrainConfig

MOST_COORDINATES = 64
"""Of an event, each of which takes a mean and a spread a component."""


class MixtureDensityConfig(Config):
    num_components: int = option(
        5, "Gaussians of the mixture, each of any mean and spreads.", ge=1, le=64, main=True
    )
    width: int = option(128, "Units of each hidden layer.", ge=1, le=4096, main=True)
    depth: int = option(3, "Hidden layers.", ge=1, le=20)
    activation: Activation = option("silu", "What bends the layers.")
    least_sd: float = option(
        0.01,
        "Smallest standard deviation in a coordinate; without one a component may fall on a "
        "single training event.",
        gt=0,
        le=1,
        log=True,
        unit="data sd",
    )
    train: TrainConfig = option({**PREDICTING, "batch_size": 256}, "How the weights are fitted.")


class Mixtures(nn.Module):
    """Context (batch, ...) → Σ_k weight_k N(mean_k, diag sd_k²) of events laid flat."""

    def __init__(
        self, config: MixtureDensityConfig, inputs: int, dim: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.num, self.dim, self.least_sd = config.num_components, dim, config.least_sd
        outputs = self.num * (1 + 2 * dim)
        self.net = mlp(
            inputs, config.width, config.depth, generator, config.activation, outputs=outputs
        )

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log weights (batch, num), means and standard deviations (batch, num, dim)."""
        parts = self.net(context.flatten(1).float())
        logits, rest = parts[:, : self.num], parts[:, self.num :]
        mean, spread = rest.reshape(-1, 2, self.num, self.dim).unbind(1)
        return logits.log_softmax(1), mean, self.least_sd + nn.functional.softplus(spread)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """log p(x | context) (batch,) of standardised x (batch, *event_shape), normalised."""
        log_weights, mean, sd = self(context)
        white = (x.flatten(1)[:, None] - mean) / sd
        each = -0.5 * white.square() - sd.log() - 0.5 * math.log(2 * math.pi)
        return (log_weights + each.sum(2)).logsumexp(1)


class MixtureDensity(PredictingMethod):
    """−log Σ_k π_k(c) N(x; μ_k(c), σ_k(c)²), the mean over data, by maximum likelihood.

    The normaliser is known, so energies compare across contexts, and draws are exact. Each
    component has a spread a coordinate and no correlations. Bishop 1994.
    """

    id: ClassVar[str] = "mixture_density"
    title: ClassVar[str] = "Mixture density network"
    summary: ClassVar[str] = (
        "Predicts a few Gaussians from the context: several answers, each with its weight, drawn "
        "at once."
    )
    references: ClassVar[str] = "Bishop 1994"
    Config: ClassVar[type[Config]] = MixtureDensityConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Five Gaussians, for points.", budget=Budget(steps=2500), data={"name": "forked_future"}
        ),
    }
    judges: ClassVar[bool] = True
    follows_gradient: ClassVar[bool] = False
    config: MixtureDensityConfig

    def __init__(self, config: MixtureDensityConfig, task: Task) -> None:
        super().__init__(config, task)
        inputs = task.data.given[CONTEXT].shape[1:].numel()
        network = Mixtures(config, inputs, task.data.event_shape.numel(), self.generator)
        self.fitter = Fitter(config.train, network.to(task.device))

    @classmethod
    def problems(cls, config: MixtureDensityConfig, data: Data) -> Iterable[tuple[str, str]]:
        if (num := data.event_shape.numel()) > MOST_COORDINATES:
            yield (
                "num_components",
                f"has no effect that helps: events of {num} coordinates are not Gaussians without "
                f"correlations; {MOST_COORDINATES} are the most taken. Choose conditional "
                "diffusion.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        data, size = self.task.data, self.config.train.batch_size
        rows = data.rows(data.indices(size, self.generator))

        def loss(x: Tensor, context: Tensor) -> Tensor:
            return -self.fitter.module.log_prob(x, context).mean()

        return self.fitter.fit(loss, progress, rows.x, rows.given[CONTEXT])

    def predictor(self) -> Predictor:
        return Draws(self)


class Draws(Predictor):
    """An exact draw, in one step; more of them draw anew."""

    num_steps = 1

    def __init__(self, method: MixtureDensity) -> None:
        self.method = method

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        data = self.method.task.data
        return data.train.new_zeros(len(given[CONTEXT]), *data.event_shape)

    @torch.no_grad()
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        log_weights, mean, sd = self.method.fitter.fitted(given[CONTEXT])
        chosen = torch.multinomial(log_weights.exp(), 1, generator=generator)[:, 0]
        rows = torch.arange(len(x), device=x.device)
        noise = torch.randn(mean[:, 0].shape, generator=generator, device=x.device)
        drawn: Tensor = mean[rows, chosen] + sd[rows, chosen] * noise
        return drawn.reshape(x.shape)

    @torch.no_grad()
    def energy(self, x: Tensor, given: Given) -> Tensor:
        """−log p(x | context), nats."""
        return -self.method.fitter.fitted.log_prob(x, given[CONTEXT])
