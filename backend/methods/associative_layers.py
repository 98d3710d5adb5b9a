"""Associative layers: sequence memories by inner loss and retention, their rates learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.events import Curve, Event, Field, Scalar
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.networks.fast_weights import FastWeights, Loss, Retention
from backend.observe import pictures
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

DATA = {"name": "key_values"}
PAIRS = "pairs"
"""Name in `Data.given` of the keys and values that are written."""
STEPS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
KEPT = (1.0, 0.99, 0.97, 0.9)
"""Inner step sizes and shares of the memory retained that are tried before training."""
NUM_TRIED = 16
NUM_WATCHED = 32


class AssociativeLayersConfig(Config):
    loss: Loss = option(
        "huber",
        "Inner loss of what a key reads against its value: Huber's, squared (the delta rule), "
        "their negative product (linear attention), or a power of the error.",
        main=True,
        group="Memory",
    )
    threshold: float = option(
        1.0,
        "Error of an entry, in those of ±1, from which Huber's loss grows in a straight line.",
        gt=0,
        le=100,
        group="Memory",
    )
    power: float = option(3.0, "p of the loss Σ |error|ᵖ.", ge=1.1, le=4, main=True, group="Memory")
    retention: Retention = option(
        "decay",
        "What keeps the memory near what it was: a learned decay towards 0; nothing; relative "
        "entropy, with rows on a simplex with signs; or the L4 norm.",
        main=True,
        group="Memory",
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=0.05, schedule="cosine", batch_size=32, beta1=0.9, beta2=0.99),
        "How step size and decay are learned.",
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.loss != "huber":
            notes["threshold"] = "No effect but on `huber`."
        if self.loss != "power":
            notes["power"] = "No effect but on `power`."
        return notes


class AssociativeLayers(Method):
    """min over W of Σ ℓ(W k, v), one gradient step a pair: the layer is this inner descent.

    Outside, η, α and the sharpness of the answer are learned by −log p(right word) over training
    sequences, from the best pair of a coarse sweep, so that each loss has the rates that suit it.
    Behrouz et al. 2025 (Miras); Schlag et al. 2021 (linear attention and the delta rule).
    """

    id = "associative_layers"
    title = "Associative layers"
    summary = (
        "A memory that takes one step of an inner loss at each key-value pair: attention without "
        "softmax, the delta rule and their robust kin, by what they recall."
    )
    references = "Behrouz et al. 2025; Schlag et al. 2021"
    url = "https://arxiv.org/abs/2504.13173"
    Config = AssociativeLayersConfig
    purpose = "predict"
    follows_gradient = False
    needs = (PAIRS,)
    headline: ClassVar[tuple[str, ...]] = ("recall/held_out", "loss/total", "recall/retained")
    figures: ClassVar[dict[str, Figure]] = {
        "recall/held_out": Figure(
            "Recalled rightly", "share", better="higher", help="Nearest word to what a key reads."
        ),
        "recall/error": Figure(
            "Squared error of what is read after the last pair", help="Of values as written, ±1."
        ),
        "recall/step_size": Figure("Inner step size η", log=True),
        "recall/retained": Figure("Share of the memory kept at a pair, α"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("Huber's loss.", {}, Budget(steps=120), data=DATA),
        "delta_rule": Preset("Squared error.", {"loss": "squared"}, Budget(steps=120), data=DATA),
        "linear_attention": Preset(
            "Values added to keys, read by none.", {"loss": "dot"}, Budget(steps=120), data=DATA
        ),
        "power": Preset(
            "|error|³ in the L4 norm.",
            {"loss": "power", "retention": "norm"},
            Budget(steps=120),
            data=DATA,
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "own_events")
    config: AssociativeLayersConfig

    def __init__(self, config: AssociativeLayersConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        self.words = data.train.flatten(0, 1).unique(dim=0)
        """(num_words, size) that answers are chosen from"""
        memory = FastWeights(config.loss, config.retention, config.threshold, config.power).to(
            task.device
        )
        self.sweep = self._swept(memory, data.train[:NUM_TRIED], data.given[PAIRS][:NUM_TRIED])
        """(retained, steps) share recalled of training sequences before training"""
        best = int(self.sweep.argmax())
        with torch.no_grad():
            memory.log_step.fill_(math.log(STEPS[best % len(STEPS)]))
            memory.log_forgotten.fill_(math.log(max(1 - KEPT[best // len(STEPS)], 1e-3)))
            read = self._scores(
                memory.written(data.given[PAIRS][:NUM_TRIED]), data.given[PAIRS][:NUM_TRIED]
            )
            memory.log_sharpness.copy_(-read.std().clamp(min=1e-6).log())
        self.fitter = Fitter(config.train, memory)

    @classmethod
    def no_energy(cls) -> str:
        return (
            "Associative layers minimise an energy of the memory anew in every sequence; of events "
            "there is none. Ask for what is recalled."
        )

    # ------------------------------------------------------------------ recall

    def _scores(self, memory: Tensor, pairs: Tensor) -> Tensor:
        """(batch, asked, num_words) product of what the asked keys read and each word."""
        asked = self.task.data.event_shape[0]
        keys = pairs[:, -asked:].chunk(2, 2)[0]
        return torch.einsum("bij,bnj->bni", memory, keys) @ self.words.T

    def _swept(self, memory: FastWeights, x: Tensor, pairs: Tensor) -> Tensor:
        grid = torch.cartesian_prod(torch.tensor(KEPT), torch.tensor(STEPS)).to(x)
        every = grid.repeat_interleave(len(x), 0)[:, :, None, None]
        times = len(grid)
        retained = every[:, 0] if memory.retention != "none" else torch.ones_like(every[:, 0])
        with torch.no_grad():
            written = memory.written(pairs.repeat(times, 1, 1), every[:, 1], retained)
            right = self._right(
                self._scores(written, pairs.repeat(times, 1, 1)), x.repeat(times, 1, 1)
            )
        return right.reshape(len(KEPT), len(STEPS), -1).mean(2)

    def _right(self, scores: Tensor, x: Tensor) -> Tensor:
        """(batch, asked) 1 where the word of the highest score is the one to be read."""
        return (self.words[scores.argmax(2)] == x).all(2).float()

    def step(self, progress: float) -> dict[str, Tensor]:
        rows = self.task.data.rows(
            self.task.data.indices(self.config.train.batch_size, self.generator)
        )

        def loss(x: Tensor, pairs: Tensor) -> Tensor:
            memory = self.fitter.module
            scores = self._scores(memory.written(pairs), pairs) * memory.log_sharpness.exp()
            word = (x @ self.words.T).argmax(2)
            return F.cross_entropy(scores.flatten(0, 1), word.flatten())

        fitted = self.fitter.fit(loss, progress, rows.x, rows.given[PAIRS])
        memory = self.fitter.module
        return {
            **fitted,
            "recall/step_size": memory.log_step.detach().exp(),
            "recall/retained": memory.retained.detach(),
        }

    @torch.no_grad()
    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        """Words (num, asked, size) that the last keys of the given pairs recall."""
        pairs = request.given[PAIRS]
        return self.words[self._scores(self.fitter.fitted.written(pairs), pairs).argmax(2)]

    # ------------------------------------------------------------------ looks

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        data = self.task.data
        pairs = data.held_out_given[PAIRS]
        recalled = self.draw(SampleRequest(len(pairs), given={PAIRS: pairs}), generator)
        share = float((recalled == data.held_out).all(2).float().mean())
        return {"recall/held_out": share, "recall/held_out/floor": 1 / len(self.words)}

    @torch.no_grad()
    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Recall, the inner loss along sequences, and how what was written fades."""
        data = self.task.data
        pairs = data.held_out_given[PAIRS][:NUM_WATCHED]
        keys, values = pairs.chunk(2, 2)
        losses, errors = [], []

        def watch(place: int, loss: Tensor, memory: Tensor) -> None:
            read = torch.einsum("bij,bnj->bni", memory, keys)
            losses.append(loss.mean())
            errors.append((read - values).square().mean((0, 2)))

        memory = self.fitter.fitted.written(pairs, watch=watch)
        right = self._right(self._scores(memory, pairs), data.held_out[:NUM_WATCHED])
        yield Scalar("recall/held_out", float(right.mean()))
        yield Scalar("recall/error", float(errors[-1].mean()))
        num = pairs.shape[1]
        place = torch.arange(1, num + 1)
        yield Curve(
            "recall/inner_loss_by_pair",
            pictures.float32(place),
            pictures.float32(torch.stack(losses)[None]),
            ["inner loss"],
            "pair",
        )
        asked = place[-right.shape[1] :]
        yield Curve(
            "recall/share_by_place",
            pictures.float32(asked),
            pictures.float32(right.mean(0)[None]),
            ["recalled"],
            "pair",
            "share",
        )
        error = torch.stack(errors, 1)  # of each pair, at each time
        error = error.masked_fill(place[:, None].to(error.device) > place.to(error.device), 1.0)
        box = (0.5, num + 0.5)
        yield Field(
            "recall/error_by_time",
            pictures.float32(error.clamp(max=2.0)),
            box,
            box,
            quantity="squared_error",
            axes=("pairs written", "pair read"),
            colour_range=(0.0, 2.0),
        )
        yield Curve(
            "recall/share_by_step_size",
            pictures.float32(torch.tensor(STEPS).log10()),
            pictures.float32(self.sweep),
            [f"α {retained:g}" for retained in KEPT],
            "log₁₀ inner step size",
            "share recalled",
        )
