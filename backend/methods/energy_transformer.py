"""Energy-based transformers: a prediction is what minimises an energy beside its context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.energies import AnyContextNetwork, build_network
from backend.method import Preset, Task
from backend.metric_names import Figure
from backend.metrics import prediction
from backend.objectives.inner_descent import (
    Descent,
    InnerStepsConfig,
    Replay,
    judged_shares,
    step_factors,
)
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import PREDICTING, Fitter, TrainConfig

DATA = {"name": "digits_denoising"}
SHAPES: dict[str, Any] = {"name": "shapes_denoising"}
ONE_STEP: dict[str, Any] = {
    "start": "context",
    "sees_context": False,
    "num_inner_steps": 1,
    "unrolled": False,
}
LARGE: dict[str, Any] = {"learning_rate": 1.2e-3, "warm_up_share": 0.05}
"""Fields of a TrainConfig for networks of the paper's size."""
TRAIN: dict[str, Any] = {**PREDICTING, "batch_size": 64}


class EnergyTransformerConfig(InnerStepsConfig):
    energy: AnyContextNetwork = option({"kind": "transformer"}, "The energy of x and its context.")
    start: Literal["noise", "context"] = option(
        "noise",
        "Where predictions start: at standard normal noise, or at the context, where that is an "
        "event too.",
        main=True,
        group="Inner steps",
    )
    sees_context: bool = option(
        True,
        "Off: the energy is of x alone, and its context no more than where x starts.",
        group="Inner steps",
    )
    train: TrainConfig = option(TRAIN, "How the weights are fitted.")


class DescentPredictor(Predictor):
    """Goes down E(x, context) by the learned step size."""

    passes_per_step = 2

    def __init__(self, descent: Descent, method: EnergyTransformer) -> None:
        self.descent, self.method = descent, method
        self.num_steps = method.config.num_inner_steps

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        return self.method.start_of(given[CONTEXT], generator)

    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        return self.descent.stepped(x, given[CONTEXT], index)

    def energy(self, x: Tensor, given: Given) -> Tensor:
        energies = self.descent.energies(x, given[CONTEXT])
        return energies if energies.dim() == 1 else energies.flatten(1).sum(1)


class EnergyTransformer(PredictingMethod):
    """x_N(c) of x_{i+1} = x_i − α ∇_x E(x_i, c), fitted by |x_N(c) − x|² through the steps.

    Each inner step is differentiated again, so an update costs several times one of a network that
    predicts at once. The energy is of x beside its context: it has no scale in common between
    contexts, and x alone has none. Gladstone et al. 2025.
    """

    id: ClassVar[str] = "energy_transformer"
    title: ClassVar[str] = "Energy-based transformer"
    summary: ClassVar[str] = (
        "Predicts by going down an energy of prediction and context, and learns that energy from "
        "how far the predictions are off."
    )
    references: ClassVar[str] = "Gladstone et al. 2025"
    url: ClassVar[str] = "https://arxiv.org/abs/2507.02092"
    Config: ClassVar[type[Config]] = EnergyTransformerConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Starts at noise and thinks in three steps: more of them change little.",
            budget=Budget(steps=1000),
            data=DATA,
        ),
        "perceptron": Preset(
            "The same with fully connected layers: ten times as quick on small images, and better.",
            {"energy": {"kind": "mlp", "width": 256, "depth": 2}},
            budget=Budget(steps=3000),
            data=DATA,
        ),
        "from_context": Preset(
            "Denoises: starts at the noisy image and judges each of two steps by itself.",
            {"start": "context", "num_inner_steps": 2, "unrolled": False},
            budget=Budget(steps=1000),
            data=DATA,
        ),
        "one_step": Preset(
            "Denoises in one step from the noisy image, by an energy of images alone; a second one "
            "helps where there is more noise than in training.",
            ONE_STEP,
            budget=Budget(steps=1000),
            data=DATA,
        ),
        "equilibrium": Preset(
            "Thinks two or three steps of random size from noise, with noise before each, or goes "
            "on from earlier predictions: longer thoughts stay where they are.",
            {
                "num_inner_steps": 2,
                "extra_steps": 1,
                "num_judged": 1,
                "step_spread": 2.0,
                "step_rate": 0.0,
                "langevin_noise": 0.1,
                "replay_share": 0.5,
            },
            budget=Budget(steps=1000),
            data=DATA,
        ),
        "shapes": Preset(
            "Denoises images of 28×28 pixels in one step, by squares of four pixels; two minutes "
            "on a CPU.",
            ONE_STEP | {"energy": {"kind": "transformer", "width": 64, "patch": 4}},
            budget=Budget(steps=1000),
            data=SHAPES,
        ),
        "large": Preset(
            "The same by six blocks 384 wide, the size of the small models of the paper.",
            ONE_STEP
            | {
                "energy": {
                    "kind": "transformer",
                    "width": 384,
                    "depth": 6,
                    "num_heads": 6,
                    "patch": 2,
                },
                "train": LARGE | {"batch_size": 256},
            },
            budget=Budget(steps=50_000),
            wants_gpu=True,
            data=SHAPES | {"num": 100_000},
        ),
    }
    judges: ClassVar[bool] = True
    headline: ClassVar[tuple[str, ...]] = (
        "prediction/psnr",
        "loss/thinking",
        "inner/energy_drop",
        "prediction/squared_error",
        "loss/total",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "loss/thinking": Figure(
            "Loss along the inner steps",
            log=True,
            help="What thinking gains is how far the last step is below the first.",
        ),
        "loss/contrast": Figure("Truth told from prediction", unit="nats"),
        "inner/step_size": Figure("Inner step size", log=True),
        "inner/gradient_norm": Figure("Gradient of the first inner step", log=True),
    }
    config: EnergyTransformerConfig

    def __init__(self, config: EnergyTransformerConfig, task: Task) -> None:
        super().__init__(config, task)
        descent = Descent(self.network(task), config.step_size, config.num_landscapes)
        self.fitter = Fitter(config.train, descent, rates={"log_step": config.step_rate})
        self.replay: Replay | None = None
        if config.replay_share:
            rows = task.data.indices(config.replay_size, self.generator)
            start = self.start_of(task.data.given[CONTEXT][rows], self.generator)
            self.replay = Replay(rows, start)

    def network(self, task: Task) -> nn.Module:
        """The energy that is fitted, of x and a Condition with its context."""
        shape = task.data.given[CONTEXT].shape[1:] if self.config.sees_context else None
        num = self.config.num_landscapes
        return build_network(self.config.energy, task, context_shape=shape, num_outputs=num)

    def errors(self, position: Tensor, x: Tensor) -> Tensor:
        """(batch,) of positions a step came to and the truth."""
        return (position - x).square().flatten(1).mean(1)

    @classmethod
    def problems(cls, config: EnergyTransformerConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.start == CONTEXT and not data.is_event(data.given[CONTEXT]):
            yield "start", "must be `noise`: the context of these data is no event to start from."
        if config.start != CONTEXT and not config.sees_context:
            sentence = (
                "must be on where predictions start at noise: nothing else knows the context."
            )
            yield "sees_context", sentence

    def step(self, progress: float) -> dict[str, Tensor]:
        config, generator, num = self.config, self.generator, self.config.train.batch_size
        index = self.task.data.indices(num, generator)
        start = self.start_of(self.task.data.given[CONTEXT][index], generator)
        if self.replay is not None and (old := int(config.replay_share * num)):
            index[:old], start[:old] = self.replay.drawn(old, generator)
        rows = self.task.data.rows(index)
        shares = judged_shares(config, num, generator, start.device)
        factor = step_factors(num, config.step_spread, generator, start.device)
        noise = start.new_zeros(num, 0)
        if config.langevin_noise:
            shape = (num, config.most_steps, *start.shape[1:])
            draws = torch.randn(shape, generator=generator, device=start.device)
            noise = config.langevin_noise * draws
        seen: dict[str, Tensor] = {}
        ends: list[Tensor] = []

        def losses() -> Iterator[Tensor]:
            batch = (rows.x, rows.given[CONTEXT], start, shares, factor, noise)
            for share, part in self.fitter.split(*batch):
                figures, end = self._fitted(*part)
                ends.append(end)
                for name, value in figures.items():
                    seen[name] = seen.get(name, 0) + share * value.detach()
                yield share * (figures["loss/error"] + config.contrast * figures["loss/contrast"])

        fitted = self.fitter.update(losses(), progress)
        if self.replay is not None:
            self.replay.push(index, torch.cat(ends))
        self.gradient_evaluations += config.most_steps
        total = seen.pop("loss/error") + config.contrast * seen["loss/contrast"]
        if not config.contrast:
            del seen["loss/contrast"]
        step_size = self.fitter.module.log_step.detach().exp()
        return {"loss/total": total, **seen, "inner/step_size": step_size, **fitted}

    def _fitted(
        self,
        x: Tensor,
        context: Tensor,
        start: Tensor,
        shares: Tensor,
        factor: Tensor,
        noise: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """0-d losses and figures by path, and where each row ends (batch, *event_shape)."""
        config, descent = self.config, self.fitter.module
        path = list(
            descent.learned(
                start,
                context,
                factor,
                config.most_steps,
                config.unrolled,
                noise if noise.shape[1] else None,
            )
        )
        errors = torch.stack([self.errors(step.position, x) for step in path], 1)
        # the last step that counts: shares are equal up to it and zero beyond
        place = torch.arange(1, config.most_steps + 1, device=x.device)
        last = (shares.gt(0) * place).argmax(1, keepdim=True)
        positions = torch.stack([step.position.detach() for step in path], 1)
        chosen = last.reshape(-1, *[1] * (positions.dim() - 1)).expand_as(positions[:, :1])
        end = positions.gather(1, chosen)[:, 0]
        contrast = errors.new_zeros(())
        if config.contrast:
            contrast = self._contrast(x, end, context)
        return {
            "loss/error": (shares * errors).sum(1).mean(),
            "loss/contrast": contrast,
            "loss/thinking/first_step": errors[:, 0].mean(),
            "loss/thinking/last_step": errors.gather(1, last).mean(),
            "inner/gradient_norm": path[0].gradient.flatten(1).norm(dim=1).mean(),
        }, end

    def _contrast(self, x: Tensor, predicted: Tensor, context: Tensor) -> Tensor:
        """−log softmax of −E over truth and prediction, at the truth. van den Oord et al. 2018."""
        truth = prediction.as_positions(self.task.data, x)
        true, other = (self.fitter.module.judged(each, context) for each in (truth, predicted))
        return F.softplus(true - other).mean()

    def start_of(self, context: Tensor, generator: torch.Generator) -> Tensor:
        """Positions that predictions beside these contexts (num, ...) start at."""
        if self.config.start == CONTEXT:
            return context
        shape = (len(context), *self.task.data.event_shape)
        return torch.randn(shape, generator=generator, device=context.device)

    def predictor(self) -> Predictor:
        return DescentPredictor(self.fitter.fitted, self)
