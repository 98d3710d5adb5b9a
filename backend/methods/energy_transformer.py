"""Energy-based transformers: a prediction is what minimises an energy beside its context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.energies import (
    AnyContextNetwork,
    Condition,
    NetworkEnergy,
    build_network,
)
from backend.energy import energy_and_gradient
from backend.events import Curve, Event
from backend.gradient_use import differentiated
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics import prediction
from backend.observe import pictures
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

CONTEXT = "context"
DATA = {"name": "digits_denoising"}
NUM_OBSERVED = 256
"""Held-out rows that are predicted to look at."""
NUM_BINS = 60


class EnergyTransformerConfig(Config):
    energy: AnyContextNetwork = option({"kind": "transformer"}, "The energy of x and its context.")
    start: Literal["noise", "context"] = option(
        "noise",
        "Where predictions start: at standard normal noise, or at the context, where that is an "
        "event too.",
        main=True,
        group="Inner steps",
    )
    num_inner_steps: int = option(
        3,
        "Steps down the energy that make a prediction.",
        ge=1,
        le=64,
        main=True,
        group="Inner steps",
    )
    num_judged: int = option(
        2,
        "Last inner steps whose positions enter the loss; several make a prediction stay where it "
        "is when more steps are taken.",
        ge=1,
        le=64,
        group="Inner steps",
    )
    unrolled: bool = option(
        True,
        "On: the loss is followed back through all inner steps. Off: each step is judged by its "
        "own gradient alone, which is steadier.",
        group="Inner steps",
    )
    step_size: float = option(
        0.6,
        "Inner step size at the start; it is learned.",
        gt=0,
        le=1e4,
        log=True,
        main=True,
        group="Inner steps",
    )
    step_rate: float = option(
        3.0,
        "Learning rate of the logarithm of the inner step size over that of the weights; 0 holds "
        "it.",
        ge=0,
        le=1e4,
        group="Inner steps",
    )
    step_spread: float = option(
        1.0,
        "In training each row's step size is drawn up to this many times smaller or larger, so "
        "that no single path is learned by heart; 1 draws none.",
        ge=1,
        le=10,
        group="Inner steps",
    )
    train: TrainConfig = option(
        {
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "batch_size": 64,
            "beta1": 0.9,
            "beta2": 0.99,
            "optimiser": "adamw",
            "weight_decay": 0.01,
        },
        "How the weights are fitted.",
    )

    def derived(self) -> dict[str, str]:
        if self.num_judged > self.num_inner_steps:
            return {"num_judged": f"All {self.num_inner_steps} inner steps are judged."}
        return {}


class Descent(nn.Module):
    """x ← x − α ∇_x E(x, context), with the energy and log α to be learned."""

    def __init__(self, network: NetworkEnergy, step_size: float) -> None:
        super().__init__()
        self.network = network
        log_step = torch.full((), step_size).log()
        self.log_step = nn.Parameter(log_step.to(next(network.parameters()).device))

    def learned(
        self, x: Tensor, context: Tensor, factor: Tensor, num_steps: int, unrolled: bool
    ) -> Iterator[Tensor]:
        """Positions after each step, with their graph. factor (batch,) on the step size."""
        step = (self.log_step.exp() * factor).reshape(-1, *[1] * (x.dim() - 1))
        for _ in range(num_steps):
            if not unrolled:
                x = x.detach()
            x = x if x.requires_grad else x.requires_grad_()
            with differentiated("twice"):
                energy = self.network(x, Condition(context=context)).sum()
            (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
            x = x - step * gradient
            yield x

    @torch.no_grad()
    def positions(self, x: Tensor, context: Tensor, num_steps: int) -> Iterator[Tensor]:
        """Positions after each step, without a graph."""
        energy = self.network.given(Condition(context=context))
        for _ in range(num_steps):
            x = x - self.log_step.exp() * energy_and_gradient(energy, x)[1]
            yield x


class EnergyTransformer(Method):
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
    }
    needs: ClassVar[tuple[str, ...]] = (CONTEXT,)
    headline: ClassVar[tuple[str, ...]] = (
        "prediction/psnr",
        "prediction/squared_error",
        "loss/total",
    )
    observers: ClassVar[tuple[str, ...]] = ("data", "predictions", "own_events")
    figures: ClassVar[dict[str, Figure]] = {
        "loss/first_step": Figure("Squared error after the first inner step", log=True),
        "loss/last_step": Figure("Squared error after the last inner step", log=True),
        "inner/step_size": Figure("Inner step size", log=True),
    }
    config: EnergyTransformerConfig

    def __init__(self, config: EnergyTransformerConfig, task: Task) -> None:
        super().__init__(config, task)
        shape = task.data.given[CONTEXT].shape[1:]
        network = build_network(config.energy, task, context_shape=shape)
        descent = Descent(network, config.step_size)
        self.fitter = Fitter(config.train, descent, rates={"log_step": config.step_rate})

    @classmethod
    def problems(cls, config: EnergyTransformerConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.start == CONTEXT and not data.is_event(data.given[CONTEXT]):
            yield "start", "must be `noise`: the context of these data is no event to start from."

    def step(self, progress: float) -> dict[str, Tensor]:
        config, generator = self.config, self.generator
        rows = self.task.data.rows(self.task.data.indices(config.train.batch_size, generator))
        context = rows.given[CONTEXT]
        start = self._start(context, generator)
        spread = torch.rand(len(start), generator=generator, device=start.device)
        factor = torch.as_tensor(config.step_spread).pow(2 * spread - 1)
        errors = rows.x.new_zeros(config.num_inner_steps)

        def losses() -> Iterator[Tensor]:
            for share, part in self.fitter.split(rows.x, context, start, factor):
                of_part = share * self._errors(*part)
                errors.add_(of_part.detach())
                yield of_part[-config.num_judged :].mean()

        fitted = self.fitter.update(losses(), progress)
        self.gradient_evaluations += config.num_inner_steps
        return {
            "loss/total": errors[-config.num_judged :].mean(),
            "loss/first_step": errors[0],
            "loss/last_step": errors[-1],
            "inner/step_size": self.fitter.module.log_step.detach().exp(),
            **fitted,
        }

    def _errors(self, x: Tensor, context: Tensor, start: Tensor, factor: Tensor) -> Tensor:
        """(num_inner_steps,) mean squared error of the position after each inner step."""
        config = self.config
        descent = self.fitter.module
        steps = descent.learned(start, context, factor, config.num_inner_steps, config.unrolled)
        return torch.stack([(position - x).square().mean() for position in steps])

    def _start(self, context: Tensor, generator: torch.Generator) -> Tensor:
        if self.config.start == CONTEXT:
            return context
        shape = (len(context), *self.task.data.event_shape)
        return torch.randn(shape, generator=generator, device=context.device)

    # ------------------------------------------------------------------ what it answers

    @classmethod
    def no_energy(cls) -> str:
        return (
            f"{cls.title} fits an energy of x beside its context, and none of x alone. Ask for a "
            "prediction."
        )

    def refusal(self, request: SampleRequest) -> tuple[str, str] | None:
        if request.sampler is not None:
            return "sampler", f"{self.title} predicts by its own inner steps; give `num_steps`."
        if request.known is not None or request.mask is not None:
            return "mask", f"{self.title} predicts whole events from their context."
        return None

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        """Results of `num_steps` inner steps from the start, each beside its own context."""
        context = request.given[CONTEXT]
        x = self._start(context, generator) if request.start is None else request.start
        num_steps = self.config.num_inner_steps if request.num_steps is None else request.num_steps
        for position in self.fitter.fitted.positions(x, context, num_steps):
            x = position
        return x

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """PSNR, or squared error, against inner steps, and the energies of what it chooses from."""
        data = self.task.data
        rows = data.held_out_rows(slice(0, NUM_OBSERVED))
        context, descent = rows.given[CONTEXT], self.fitter.fitted
        start = self._start(context, generator)
        num_steps = 2 * self.config.num_inner_steps + 2
        positions = [start, *descent.positions(start, context, num_steps)]
        figures = [prediction.figures_of(data, x, rows.x) for x in positions]
        name, unit = ("psnr", "dB") if "psnr" in figures[0] else ("squared_error", "")
        numbers = torch.arange(len(figures), dtype=torch.float32)
        values = torch.tensor([[each[name] for each in figures]])
        yield Curve(
            f"inner/{name}",
            pictures.float32(numbers),
            pictures.float32(values),
            ["held out"],
            "inner steps",
            unit,
        )
        energy = descent.network.given(Condition(context=context))
        predicted = positions[self.config.num_inner_steps]
        sets = {"true": rows.x, "predicted": predicted, "noise": start}
        energies = {name: energy(x).detach() for name, x in sets.items()}
        yield pictures.histogram("inner/energies", energies, NUM_BINS)
