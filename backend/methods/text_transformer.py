"""A transformer that says the next character at once: the baseline of those that think."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.method import Preset, Task
from backend.metric_names import Figure
from backend.networks.causal_transformer import CausalTransformer
from backend.networks.layers import Activation
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import PREDICTING, Fitter, TrainConfig

DATA = {"name": "text"}
TRAIN: dict[str, Any] = {**PREDICTING, "batch_size": 16, "warm_up_share": 0.06}
FIGURES = {
    "prediction/bits": Figure(
        "Bits a character",
        "bits",
        better="lower",
        help="Of held-out text, the first quarter of each window left out. A grammar's entropy is "
        "the least there can be.",
    ),
}


class SequenceConfig(Config):
    """Size of a transformer along a sequence."""

    width: int = option(
        64, "Numbers that stand for a character.", ge=4, le=4096, group="Network", main=True
    )
    depth: int = option(2, "Blocks of attention and two layers.", ge=1, le=48, group="Network")
    num_heads: int = option(
        4, "Heads of the attention, each of `width` / heads numbers.", ge=1, le=64, group="Network"
    )
    activation: Activation = option("silu", "What bends the layers.", group="Network")

    def sizes(
        self, data: Data, generator: torch.Generator
    ) -> tuple[int, int, int, int, int, Activation, torch.Generator]:
        """Arguments of a network for sequences of such data."""
        return (
            int(data.num_values or 0),
            data.event_shape[0],
            self.width,
            self.depth,
            self.num_heads,
            self.activation,
            generator,
        )


class TextTransformerConfig(SequenceConfig):
    train: TrainConfig = option(TRAIN, "How the weights are fitted.")


def misfit(data: Data) -> str:
    """The reason why these data are no sequences beside the values before; "" when they are."""
    context = data.given.get(CONTEXT)
    if len(data.event_shape) == 1 and context is not None and context.shape == data.train.shape:
        return ""
    return "holds no sequences beside the values before each of their places. Choose `text`."


class TextTransformer(PredictingMethod):
    """p(x_i | c_0 … c_i) by softmax, fitted by the cross-entropy of all places at once."""

    id: ClassVar[str] = "text_transformer"
    title: ClassVar[str] = "Transformer on text"
    summary: ClassVar[str] = "Says the next character at once, by the shares of each."
    references: ClassVar[str] = "Vaswani et al. 2017; Radford et al. 2018"
    Config: ClassVar[type[Config]] = TextTransformerConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("A small one, for characters.", budget=Budget(steps=1500), data=DATA)
    }
    headline: ClassVar[tuple[str, ...]] = ("prediction/bits", "loss/total")
    figures: ClassVar[dict[str, Figure]] = FIGURES
    takes_real: ClassVar[bool] = False
    takes_discrete: ClassVar[bool] = True
    follows_gradient: ClassVar[bool] = False
    config: TextTransformerConfig

    def __init__(self, config: TextTransformerConfig, task: Task) -> None:
        super().__init__(config, task)
        network = CausalTransformer(*config.sizes(task.data, self.generator)).to(task.device)
        self.fitter = Fitter(config.train, network)

    @classmethod
    def fits(cls, data: Data) -> str:
        return super().fits(data) or misfit(data)

    def step(self, progress: float) -> dict[str, Tensor]:
        data = self.task.data
        rows = data.rows(data.indices(self.config.train.batch_size, self.generator))

        def loss(x: Tensor, context: Tensor) -> Tensor:
            return F.cross_entropy(self.fitter.module(context).transpose(1, 2), x.long())

        return self.fitter.fit(loss, progress, rows.x, rows.given[CONTEXT])

    def predictor(self) -> Predictor:
        return AtOnce(self)


class AtOnce(Predictor):
    """The network's logits, whatever stood there."""

    num_steps = 1

    def __init__(self, method: TextTransformer) -> None:
        self.method = method

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        context = given[CONTEXT]
        num_values = self.method.task.data.num_values
        return torch.zeros(*context.shape, int(num_values or 0), device=context.device)

    @torch.no_grad()
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        logits: Tensor = self.method.fitter.fitted(given[CONTEXT])
        return logits
