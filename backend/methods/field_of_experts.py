"""Fields of experts, learned bilevel: the regulariser whose minimiser denoises best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy
from backend.events import Curve, Event, Scalar, Table
from backend.method import Method, Preset, Task
from backend.metric_names import Figure
from backend.metrics.prediction import psnr
from backend.metrics.quality import Quality
from backend.objectives.bilevel import MOST_STEPS
from backend.objectives.bilevel import FieldOfExperts as Field
from backend.observe import pictures
from backend.randomness import generator_of
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

DATA = {"name": "signals"}
FINE = 1e-4
"""Accuracy that held-out signals are denoised to, whatever training takes."""
MOST_RESIDUAL = 0.1
"""Of the adjoint's equation, in its right side."""
COARSER = 1.05
"""Growth of the accuracy after an update that it was fine enough for."""
MOST_WATCHED = 60
NUM_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128)


class FieldOfExpertsConfig(Config):
    filters: Literal["learned", "difference"] = option(
        "learned",
        "Several filters that are learned, or the difference of neighbours alone: total variation, "
        "of which weight and smoothing are learned.",
        main=True,
        group="Energy",
    )
    num_filters: int = option(6, "Filters.", ge=1, le=64, main=True, group="Energy")
    filter_size: int = option(7, "Values that a filter spans.", ge=2, le=31, group="Energy")
    weight: float = option(
        0.05, "Weight of each filter at the start.", gt=0, le=100, log=True, group="Energy"
    )
    smoothing: float = option(
        0.3,
        "ν at the start: answers below it are penalised as their squares.",
        gt=0,
        le=100,
        log=True,
        group="Energy",
    )
    noise: float = option(
        1.0,
        "Standard deviation of the noise that is to be taken away.",
        gt=0,
        le=10,
        unit="data sd",
        main=True,
        group="Lower level",
    )
    adaptive: bool = option(
        True,
        "Whether the accuracy of the lower level is made finer only where the slope of the upper "
        "one could be wrong by more than `slack` of itself, and coarser else.",
        main=True,
        group="Lower level",
    )
    accuracy: float = option(
        1.0,
        "Largest entry of the lower level's gradient where it rests; at the start, where it is "
        "adaptive.",
        gt=0,
        le=100,
        log=True,
        main=True,
        group="Lower level",
    )
    slack: float = option(
        0.5,
        "Largest share that the upper level's slope may be wrong by.",
        gt=0,
        lt=1,
        group="Lower level",
    )
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=0.05, schedule="cosine", batch_size=40, beta1=0.9, gradient_clip=0.0
        ),
        "How filters, weights and smoothing are fitted; the signals are the same at every update.",
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if not self.adaptive:
            notes["slack"] = "No effect: the accuracy is fixed."
        if self.filters == "difference":
            notes |= dict.fromkeys(("num_filters", "filter_size"), "No effect on total variation.")
        return notes


class FieldOfExperts(Method):
    """min over θ of |x*(θ) − x|², x*(θ) = argmin over z of ½ |z − y|² + E_θ(z), y = x + noise.

    The lower level goes on from its last solution, up to an accuracy; the upper one's slope is
    −∂_θ ⟨q, ∇E_θ(x*)⟩ with (I + ∇²E) q = 2 (x* − x), by conjugate gradients. Both accuracies are
    chosen as training goes (Salehi et al. 2024, MAID), or fixed.
    """

    id = "field_of_experts"
    title = "Field of experts"
    summary = (
        "Learns the filters of an energy of signals so that its minimum beside a noisy one is the "
        "clean one; total variation, tuned the same way, is its baseline."
    )
    references = "Roth & Black 2005; Kunisch & Pock 2013; Salehi et al. 2024"
    url = "https://arxiv.org/abs/2308.10098"
    Config = FieldOfExpertsConfig
    not_a_density = (
        "Its weights are those that denoise best, not the likeliest, and it is the same whatever "
        "is added to all values of a signal."
    )
    headline: ClassVar[tuple[str, ...]] = (
        "denoise/psnr",
        "loss/total",
        "lower/accuracy",
        "lower/evaluations",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "denoise/psnr": Figure("PSNR of held-out signals, denoised", "dB", better="higher"),
        "denoise/noisy_psnr": Figure("PSNR of the noisy signals", "dB"),
        "denoise/train_psnr": Figure("PSNR of training signals", "dB", better="higher"),
        "lower/accuracy": Figure("Accuracy of the lower level", log=True),
        "lower/evaluations": Figure(
            "Gradients and products of the lower level so far", better="lower"
        ),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("Six filters of seven values.", {}, Budget(steps=150), data=DATA),
        "total_variation": Preset(
            "Smoothed total variation, its weight and its smoothing tuned.",
            {
                "filters": "difference",
                "weight": 0.3,
                "smoothing": 0.17,
                "adaptive": False,
                "accuracy": 1e-3,
            },
            Budget(steps=150),
            data=DATA,
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "energy_histogram", "own_events")
    config: FieldOfExpertsConfig

    def __init__(self, config: FieldOfExpertsConfig, task: Task) -> None:
        super().__init__(config, task)
        shape = (config.num_filters, config.filter_size)
        if config.filters == "difference":
            filters = torch.tensor([[-1.0, 1.0]], device=task.device)
        else:
            filters = torch.randn(shape, generator=task.generator, device=task.device)
            filters = (filters - filters.mean(1, keepdim=True)) / (2 * config.filter_size**0.5)
        field = Field(filters, config.weight, config.smoothing, config.filters == "learned")
        self.fitter = Fitter(config.train, field)
        self.clean = task.data.train[: config.train.batch_size]
        self.noisy = self._noised(self.clean, task.generator)
        self.solution, self.adjoint = self.noisy.clone(), torch.zeros_like(self.noisy)
        self.accuracy = config.accuracy
        self.evaluations = 0

    @classmethod
    def problems(cls, config: FieldOfExpertsConfig, data: Data) -> Iterable[tuple[str, str]]:
        if len(data.event_shape) != 1 or data.event_shape[0] <= config.filter_size:
            yield (
                "filter_size",
                f"must be below the length of the signals, and events are of shape "
                f"{tuple(data.event_shape)}. Choose `signals`, or a table of signals.",
            )
        if config.train.batch_size > len(data.train):
            yield (
                "train.batch_size",
                f"must be ≤ {len(data.train):,}, the training signals, got "
                f"{config.train.batch_size:,}.",
            )

    def decide(self) -> None:
        """Solve both levels, as finely as it takes: the host has to know when that is reached."""
        field = self.fitter.module
        with torch.no_grad():
            matrix = field.matrix(self.clean.shape[1])
        while True:
            x, num = field.minimised(self.noisy, self.solution, self.accuracy)
            error, finer = 2 * (x - self.clean), min(MOST_RESIDUAL, self.accuracy)
            self.adjoint, products = field.adjoint(x, error, finer)
            self.solution = x
            self.evaluations += num + products
            self.gradient_evaluations += num + products
            # |x − x*| ≤ |rest|, since the lower level curves by 1 or more, and so is q
            rest = x - self.noisy + field.slope(x, matrix).detach()
            wrong = float(2 * rest.norm() / error.norm().clamp(min=1e-12)) + finer
            if not self.config.adaptive or wrong <= self.config.slack or self.accuracy < FINE:
                break
            self.accuracy /= 2
        if self.config.adaptive:
            self.accuracy *= COARSER

    def step(self, progress: float) -> dict[str, Tensor]:
        size = self.clean.numel()

        def losses() -> Iterable[Tensor]:
            for _, (x, q) in self.fitter.split(self.solution, self.adjoint):
                field = self.fitter.module
                yield -(field.slope(x, field.matrix(x.shape[1])) * q).sum() / size

        fitted = self.fitter.update(losses(), progress)
        return {
            "loss/total": (self.solution - self.clean).square().mean(),
            "lower/accuracy": self.clean.new_full((), self.accuracy),
            "lower/evaluations": self.clean.new_full((), float(self.evaluations)),
            **fitted,
        }

    def energy(self) -> Energy:
        return self.fitter.fitted

    # ------------------------------------------------------------------ looks

    def denoised(self, noisy: Tensor, most: int = MOST_STEPS) -> Tensor:
        """Signals (num, length) that minimise the energy beside noisy ones."""
        return self.fitter.fitted.minimised(noisy, noisy, FINE, most)[0]

    def _held_out(self, num: int) -> tuple[Tensor, Tensor]:
        """Clean and noisy held-out signals (num, length); the noise is the same at every look."""
        clean = self.task.data.held_out[:num]
        generator = generator_of("held_out_noise", num, device=clean.device)
        return clean, self._noised(clean, generator)

    def _noised(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        return clean + self.config.noise * noise

    def _psnr(self, x: Tensor, clean: Tensor) -> float:
        train = self.task.data.train
        return psnr(x, clean, float(train.min()), float(train.max()))

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return {"lower/evaluations": float(self.evaluations)}

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """PSNR, a signal noisy, denoised and clean, the filters, and how minima are reached."""
        clean, noisy = self._held_out(MOST_WATCHED)
        denoised = self.denoised(noisy)
        yield Scalar("denoise/psnr", self._psnr(denoised, clean))
        yield Scalar("denoise/noisy_psnr", self._psnr(noisy, clean))
        yield Scalar("denoise/train_psnr", self._psnr(self.denoised(self.noisy), self.clean))
        restore = self.task.data.restore
        strips = torch.stack([restore(each)[0] for each in (noisy, denoised, clean)])
        places = torch.arange(strips.shape[1])
        yield Curve(
            "denoise/first_signal",
            pictures.float32(places),
            pictures.float32(strips),
            ["noisy", "denoised", "clean"],
            "place",
        )
        field = self.fitter.fitted
        names = [f"filter {index + 1}" for index in range(len(field.filters))]
        yield Curve(
            "denoise/filters",
            pictures.float32(torch.arange(field.filters.shape[1])),
            pictures.float32(field.filters),
            names,
            "tap",
        )
        sizes = zip(
            names, field.log_weight.exp().tolist(), field.log_smoothing.exp().tolist(), strict=True
        )
        yield Table(
            "denoise/experts", ["expert", "weight", "smoothing"], [list(each) for each in sizes]
        )
        matrix = field.matrix(clean.shape[1])
        slopes = []
        for num in NUM_STEPS:
            x = self.denoised(noisy, num)
            slope = x - noisy + field.slope(x, matrix)
            slopes.append(slope.abs().amax().clamp(min=FINE).log10())
        yield Curve(
            "lower/gradient_by_step",
            pictures.float32(torch.tensor(NUM_STEPS)),
            pictures.float32(torch.stack(slopes)[None]),
            ["log₁₀ of the largest entry"],
            "steps of the lower level",
        )
