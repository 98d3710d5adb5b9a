"""Conditional diffusion: noise is turned into x step by step, given the context."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.config import Config, option
from backend.method import Preset, Task
from backend.methods.energy_transformer import DATA, TRAIN
from backend.networks.regressors import AnyRegressor
from backend.objectives.denoising_diffusion import (
    denoised,
    levels_visited,
    mixed,
    signal_shares,
)
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import Fitter, TrainConfig


class ConditionalDiffusionConfig(Config):
    network: AnyRegressor = option(
        {"kind": "transformer"}, "The network from noisy x, context and level to the noise."
    )
    num_levels: int = option(
        100, "Levels of noise in training.", ge=2, le=10_000, main=True, group="Noise"
    )
    num_steps: int = option(
        20,
        "Steps that a prediction takes from the last level to the data, evenly over the levels.",
        ge=1,
        le=10_000,
        main=True,
        group="Noise",
    )
    fresh_noise: float = option(
        0.0,
        "Noise that a step adds anew, over that of DDPM: 0 is DDIM, where the start decides all.",
        ge=0,
        le=1,
        group="Noise",
    )
    held: bool = option(
        True,
        "Hold what each step takes for x to the range of the data, coordinate by coordinate.",
        group="Noise",
    )
    train: TrainConfig = option(TRAIN, "How the weights are fitted.")

    def derived(self) -> dict[str, str]:
        return {"num_steps": f"A pass through the network each: {self.num_steps:,} in all."}


class ConditionalDiffusion(PredictingMethod):
    """ε̂(x_t, c, t), fitted by |ε̂ − ε|² on x_t = √ᾱ_t x + √(1 − ᾱ_t) ε; x is then drawn by DDIM.

    A draw of p(x | c), not its mean: it has up to twice the squared error of the mean, and shows
    each of several answers where the mean is none. Ho et al. 2020; Song et al. 2021.
    """

    id: ClassVar[str] = "conditional_diffusion"
    title: ClassVar[str] = "Conditional diffusion"
    summary: ClassVar[str] = "Turns noise into x step by step, each step seeing the context."
    references: ClassVar[str] = "Ho et al. 2020; Song et al. 2021"
    url: ClassVar[str] = "https://arxiv.org/abs/2010.02502"
    Config: ClassVar[type[Config]] = ConditionalDiffusionConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "A transformer over images, drawn in 20 steps.", budget=Budget(steps=1000), data=DATA
        ),
        "perceptron": Preset(
            "Fully connected layers, for points and actions.",
            {"network": {"kind": "mlp", "width": 256, "depth": 3}},
            budget=Budget(steps=3000),
            data=DATA,
        ),
    }
    follows_gradient: ClassVar[bool] = False
    config: ConditionalDiffusionConfig

    def __init__(self, config: ConditionalDiffusionConfig, task: Task) -> None:
        super().__init__(config, task)
        self.fitter = Fitter(config.train, self.regressor(config.network, takes_event=True))
        self.shares = signal_shares(config.num_levels).float().to(task.device)
        """ᾱ (num_levels + 1,)"""
        self.ends = task.data.train.amin(0), task.data.train.amax(0)

    def step(self, progress: float) -> dict[str, Tensor]:
        data, generator = self.task.data, self.generator
        rows = data.rows(data.indices(self.config.train.batch_size, generator))
        noise = torch.randn(rows.x.shape, generator=generator, device=rows.x.device)
        level = 1 + torch.randint(
            self.config.num_levels, (len(noise),), generator=generator, device=noise.device
        )

        def loss(x: Tensor, context: Tensor, noise: Tensor, level: Tensor) -> Tensor:
            noisy = mixed(x, noise, self.shares[level])
            time = level / self.config.num_levels
            return (self.fitter.module(context, noisy, time) - noise).square().mean()

        return self.fitter.fit(loss, progress, rows.x, rows.given[CONTEXT], noise, level)

    def predictor(self) -> Predictor:
        return Denoiser(self)


class Denoiser(Predictor):
    """Steps from noise through evenly spaced levels, by the noise the network sees in x."""

    def __init__(self, method: ConditionalDiffusion) -> None:
        self.method, self.num_steps = method, method.config.num_steps
        self.shares = signal_shares(method.config.num_levels).tolist()

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        data, num = self.method.task.data, len(given[CONTEXT])
        shape = (num, *data.event_shape)
        return torch.randn(shape, generator=generator, device=data.train.device)

    @torch.no_grad()
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        config = self.method.config
        level, following = levels_visited(config.num_levels, num_steps)[index : index + 2]
        time = torch.full((len(x),), level / config.num_levels, device=x.device)
        noise = self.method.fitter.fitted(given[CONTEXT], x, time)
        normal = None
        if config.fresh_noise:
            normal = torch.randn(x.shape, generator=generator, device=x.device)
        share, next_share = self.shares[level], self.shares[following]
        ends = self.method.ends if config.held else None
        return denoised(x, noise, share, next_share, config.fresh_noise, normal, ends)
