"""Feed-forward prediction: a network from the context to x, the baseline of every thinking one."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backend.config import Config, option
from backend.method import Preset, Task
from backend.methods.energy_transformer import DATA, SHAPES, TRAIN
from backend.networks.regressors import AnyRegressor, Regressor
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import Fitter, TrainConfig


class FeedForwardConfig(Config):
    network: AnyRegressor = option({"kind": "transformer"}, "The network from context to x.")
    residual: bool = option(
        True,
        "Where the context is an event too, predict how x differs from it.",
        group="Network",
    )
    num_passes: int = option(
        1,
        "Passes of a prediction. Where the context is an event too, each goes on from the "
        "prediction before; training knows one.",
        ge=1,
        le=64,
        group="Network",
    )
    train: TrainConfig = option(TRAIN, "How the weights are fitted.")


class FeedForward(PredictingMethod):
    """x̂ = f(c), fitted by |f(c) − x|²: the conditional mean, as far as the network can say it.

    A pass more takes f of its own prediction, which it never saw in training: what an energy gains
    by thinking longer has to be more than that. Where x is a context's in several ways, the mean is
    none of them.
    """

    id: ClassVar[str] = "feed_forward"
    title: ClassVar[str] = "Feed-forward prediction"
    summary: ClassVar[str] = "A network from the context straight to x: no energy, no thinking."
    references: ClassVar[str] = "Vaswani et al. 2017"
    Config: ClassVar[type[Config]] = FeedForwardConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "A transformer as large as that of the energy.", budget=Budget(steps=1000), data=DATA
        ),
        "perceptron": Preset(
            "Fully connected layers.",
            {"network": {"kind": "mlp", "width": 256, "depth": 2}},
            budget=Budget(steps=3000),
            data=DATA,
        ),
        "shapes": Preset(
            "A transformer over squares of four pixels, for images of 28×28.",
            {"network": {"kind": "transformer", "width": 64, "patch": 4}},
            budget=Budget(steps=1000),
            data=SHAPES,
        ),
    }
    follows_gradient: ClassVar[bool] = False
    config: FeedForwardConfig

    def __init__(self, config: FeedForwardConfig, task: Task) -> None:
        super().__init__(config, task)
        self.fitter = Fitter(config.train, self.regressor(config.network, takes_event=False))

    def step(self, progress: float) -> dict[str, Tensor]:
        data, size = self.task.data, self.config.train.batch_size
        rows = data.rows(data.indices(size, self.generator))

        def loss(x: Tensor, context: Tensor) -> Tensor:
            return (self.predicted(self.fitter.module, context) - x).square().mean()

        return self.fitter.fit(loss, progress, rows.x, rows.given[CONTEXT])

    def predicted(self, network: Regressor, context: Tensor) -> Tensor:
        """f(c) (num, *event_shape) of contexts."""
        x: Tensor = network(context)
        return context + x if self.config.residual and network.beside else x

    def predictor(self) -> Predictor:
        return Passes(self)


class Passes(Predictor):
    """The network, then the network on what it said."""

    def __init__(self, method: FeedForward) -> None:
        self.method, self.num_steps = method, method.config.num_passes

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        data = self.method.task.data
        context = given[CONTEXT]
        return (
            context
            if data.is_event(context)
            else data.train.mean(0).expand(len(context), *data.event_shape)
        )

    @torch.no_grad()
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        network = self.method.fitter.fitted
        context = x if index and network.beside else given[CONTEXT]
        return self.method.predicted(network, context)
