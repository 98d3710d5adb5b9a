"""A guard against some classes from few labelled events: neighbours, made features and a fusion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.events import Event, Scalar
from backend.method import Method, Preset, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.spec import Budget, Word
from backend.training import Fitter, TrainConfig

SPREAD = 0.25
"""Standard deviation of every whitened feature, so that kernels of width 0.5 span a few rows."""
WEAK_FEATURES = 6
"""Principal components that the weak guard sees."""


class GuardConfig(Config):
    guarded: list[Word] = option(
        ["4", "7", "9"],
        "Classes that are to be told from all others, by their names or numbers.",
        min_length=1,
        max_length=100,
        main=True,
        group="Guard",
    )
    num_labelled: int = option(
        60, "Training events whose class is known.", ge=4, le=100_000, main=True, group="Guard"
    )
    num_features: int = option(
        16, "Principal components that neighbours are looked for in.", ge=1, le=512, group="Guard"
    )
    num_neighbours: int = option(16, "Neighbours that vote.", ge=1, le=1000, group="Guard")
    neighbour_weight: float = option(
        0.7,
        "Share of the neighbours in the fusion; the rest is the weak guard's.",
        ge=0,
        le=1,
        main=True,
        group="Guard",
    )
    num_made: int = option(
        150, "Features made of either kind.", ge=1, le=10_000, main=True, group="Augmentation"
    )
    walk_steps: int = option(
        30, "Langevin steps of each.", ge=1, le=10_000, main=True, group="Augmentation"
    )
    step_size: float = option(
        0.02,
        "How far a step follows the slope of the energy.",
        gt=0,
        le=10,
        log=True,
        group="Augmentation",
    )
    noise: float = option(0.05, "Noise of a step.", ge=0, le=10, group="Augmentation")
    bandwidth: float = option(
        0.5, "Width of the kernels of the energy.", gt=0, le=100, group="Augmentation"
    )
    repulsion: float = option(
        0.5, "Weight of the other kind, which pushes away.", ge=0, le=10, group="Augmentation"
    )
    jitter: float = option(
        0.1,
        "Noise of the plain jitter that stands beside it.",
        ge=0,
        le=10,
        group="Augmentation",
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=0.05, batch_size=64, beta1=0.9), "How the weak guard is fitted."
    )


class Guard(Method):
    """P = w P_neighbours + (1 − w) P_weak of an event being of a guarded class.

    The weak guard is a logistic regression on few principal components, the neighbours vote among
    few labelled events in whitened features z. Features are made of either kind c by Langevin steps
    on E_c(z) = −log p̂_c(z) + r log p̂_other(z), p̂ kernel densities of the labelled events, and by
    plain jitter. A benign stand-in for the guard of language models. Yuan et al. 2024 (RigorLLM).
    """

    id = "guard"
    title = "Guard with made features"
    summary = (
        "Tells some classes from all others by few labelled events: a weak guard, neighbours and "
        "their fusion, with features made by Langevin steps or by jitter."
    )
    references = "Yuan et al. 2024"
    url = "https://arxiv.org/abs/2403.13031"
    Config = GuardConfig
    purpose = "classify"
    follows_gradient = False
    headline: ClassVar[tuple[str, ...]] = (
        "guard/fusion_langevin",
        "guard/fusion_jitter",
        "guard/fusion_real",
        "guard/weak",
        "loss/total",
    )
    figures: ClassVar[dict[str, Figure]] = {
        f"guard/{name}": Figure(f"Average precision, {words}", "share", better="higher")
        for name, words in {
            "weak": "weak guard",
            "neighbours_real": "neighbours, real alone",
            "neighbours_langevin": "neighbours, Langevin",
            "neighbours_jitter": "neighbours, jitter",
            "fusion_real": "fusion, real alone",
            "fusion_langevin": "fusion, Langevin",
            "fusion_jitter": "fusion, jitter",
        }.items()
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Digits 4, 7 and 9 against the others, 60 of them labelled.",
            {},
            Budget(steps=300),
            data={"name": "digits"},
        )
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "own_events")
    config: GuardConfig

    @classmethod
    def problems(cls, config: GuardConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_labels < 2:
            yield "data.name", f"must come in classes, and {data.title!r} does not."
            return
        unknown = [each for each in config.guarded if _number(data, each) is None]
        if unknown:
            yield "guarded", f"must be classes of the data, got {', '.join(unknown)}."
        elif len({_number(data, each) for each in config.guarded}) == data.num_labels:
            yield "guarded", "must leave a class out."

    def __init__(self, config: GuardConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.labels is not None
        numbers = [_number(data, each) for each in config.guarded]
        self.guarded = torch.tensor(numbers, device=task.device)
        x = data.train.flatten(1)
        self.centre = x.mean(0)
        _, sizes, axes = torch.linalg.svd(x - self.centre, full_matrices=False)
        num = min(config.num_features, len(sizes))
        self.axes = axes[:num].T.contiguous()
        """(dim, features)"""
        self.scale = (sizes[:num] / len(x) ** 0.5).clamp(min=1e-6) / SPREAD
        order = torch.randperm(len(x), generator=self.generator, device=task.device)
        rows = order[: config.num_labelled]
        self.labelled = self._features(data.train[rows])
        self.kinds = torch.isin(data.labels[rows], self.guarded).long()
        self.weak = nn.Linear(min(WEAK_FEATURES, num), 1).to(task.device)
        nn.init.zeros_(self.weak.weight)
        nn.init.zeros_(self.weak.bias)
        self.fitter = Fitter(config.train, self.weak)

    def _features(self, x: Tensor) -> Tensor:
        """Whitened z (num, features) of events x (num, *event_shape)."""
        return (x.flatten(1) - self.centre) @ self.axes / self.scale

    def _few(self, z: Tensor) -> Tensor:
        """Components that the weak guard sees, on the scale of the events."""
        num = self.weak.in_features
        return z[:, :num] * self.scale[:num]

    def step(self, progress: float) -> dict[str, Tensor]:
        size = self.config.train.batch_size
        index = torch.randint(
            len(self.kinds), (size,), generator=self.generator, device=self.kinds.device
        )
        losses: list[Tensor] = []

        def parts() -> Iterable[Tensor]:
            batch = self._few(self.labelled)[index], self.kinds[index].float()
            for share, (x, kind) in self.fitter.split(*batch):
                logits = self.fitter.module(x)[:, 0]
                loss = share * F.binary_cross_entropy_with_logits(logits, kind)
                losses.append(loss.detach())
                yield loss

        fitted = self.fitter.update(parts(), progress)
        return {"loss/total": torch.stack(losses).sum(), **fitted}

    def _slope(self, z: Tensor, kinds: Tensor) -> Tensor:
        """∇E_c(z) (num, features) of each z in the energy of its kind c (num,)."""
        apart = z[:, None] - self.labelled
        log_weights = -apart.square().sum(2) / (2 * self.config.bandwidth**2)

        def of(own: Tensor) -> Tensor:
            weights = log_weights.masked_fill(~own, -1e9).softmax(1)
            return (weights[..., None] * apart).sum(1) / self.config.bandwidth**2

        own = self.kinds == kinds[:, None]
        return of(own) - self.config.repulsion * of(~own)

    def _begun(self, kinds: Tensor, generator: torch.Generator) -> Tensor:
        """Labelled features of each kind (num,), drawn anew."""
        weights = (self.kinds == kinds[:, None]).float() + 1e-9
        return self.labelled[torch.multinomial(weights, 1, True, generator=generator)[:, 0]]

    def made(self, kinds: Tensor, generator: torch.Generator) -> Tensor:
        """Features (num, features) of kinds (num,), by Langevin steps from labelled ones."""
        z = self._begun(kinds, generator)
        for _ in range(self.config.walk_steps):
            noise = torch.randn(z.shape, generator=generator, device=z.device)
            z = z - self.config.step_size * self._slope(z, kinds) + self.config.noise * noise
        return z

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        """Events whose features are made ones, of guarded and other classes in turn."""
        if request.mask is not None:
            return None
        kinds = torch.arange(request.num, device=self.kinds.device) % 2
        z = self.made(kinds, generator)
        x = (z * self.scale) @ self.axes.T + self.centre
        return x.view(request.num, *self.task.data.event_shape)

    @torch.no_grad()
    def average_precisions(self, generator: torch.Generator) -> dict[str, float]:
        """Average precision of held-out data by each guard, by path."""
        from sklearn.metrics import average_precision_score

        data, config = self.task.data, self.config
        if data.held_out_labels is None:
            return {}
        truth = torch.isin(data.held_out_labels, self.guarded).cpu().numpy()
        z = self._features(data.held_out)
        weak = self.fitter.fitted(self._few(z))[:, 0].sigmoid()
        kinds = torch.arange(2 * config.num_made, device=z.device) % 2
        begun = self._begun(kinds, generator)
        noise = torch.randn(begun.shape, generator=generator, device=z.device)
        added = {
            "real": (z[:0], kinds[:0]),
            "langevin": (self.made(kinds, generator), kinds),
            "jitter": (begun + config.jitter * noise, kinds),
        }
        scores: dict[str, Tensor] = {"weak": weak}
        for name, (rows, of) in added.items():
            rows, of = torch.cat([self.labelled, rows]), torch.cat([self.kinds, of])
            nearest = torch.cdist(z, rows).topk(
                min(config.num_neighbours, len(rows)), largest=False
            )
            share = of[nearest.indices].float().mean(1)
            weight = config.neighbour_weight
            scores[f"neighbours_{name}"] = share
            scores[f"fusion_{name}"] = weight * share + (1 - weight) * weak
        return {
            f"guard/{name}": float(average_precision_score(truth, score.cpu().numpy()))
            for name, score in scores.items()
        }

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        figures = self.average_precisions(generator)
        yield from (Scalar(path, value) for path, value in figures.items())

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return self.average_precisions(generator)


def _number(data: Data, word: Any) -> int | None:
    """The number of a class by its name or number; None where there is none such."""
    if word in data.label_names:
        return data.label_names.index(word)
    return int(word) if str(word).isdecimal() and int(word) < data.num_labels else None
