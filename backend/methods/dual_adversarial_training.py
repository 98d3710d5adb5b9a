"""Dual adversarial training: a robust classifier that learns to draw by attacking itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyNetwork
from backend.events import Finding
from backend.method import Preset, SampleRequest, Task
from backend.methods.classifiers import (
    OF_STARTS,
    ClassifierMethod,
    StartName,
    Starts,
    logit_of,
    without_density,
)
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.objectives import attacks
from backend.objectives.attacks import AttackConfig
from backend.spec import Budget
from backend.system.host_copy import sent
from backend.training import TrainConfig


class DualAdversarialTrainingConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp"}, "The network that is fitted, with one output a class.", group="Energy"
    )
    attack: AttackConfig = option(
        AttackConfig(radius=0.4, num_steps=5), "The attack that the classes are trained against."
    )
    walks_share: float = option(
        0.7,
        "Share of the budget, at its end, in which walks are told from data; before it classes "
        "alone are trained, against attacks. Without that first stage, at 1, energies away from "
        "the walks are unsound.",
        ge=0,
        le=1,
        group="Curriculum",
    )
    generative_weight: float = option(
        1.0,
        "Weight of telling data from the ends of walks beside telling classes apart.",
        ge=0,
        le=100,
        main=True,
        group="Objective",
        turnable=True,
    )
    start: StartName = option("noise", f"Walks start from {OF_STARTS}.", group="Walks")
    walk_step_size: float = option(
        1.0,
        "Length of a step of a walk up the logit of a class.",
        unit="data sd",
        gt=0,
        le=100,
        log=True,
        group="Walks",
    )
    first_steps: int = option(
        0,
        "Steps of the first walks; as many as the most means no curriculum.",
        ge=0,
        le=1000,
        group="Curriculum",
    )
    most_steps: int = option(
        15, "Steps of the longest walks.", ge=1, le=1000, main=True, group="Curriculum"
    )
    goal: float = option(
        0.8,
        "AUROC of data against the ends of walks from which on walks get a step longer.",
        ge=0,
        le=1,
        group="Curriculum",
    )
    window: int = option(
        10,
        "Updates over which that AUROC is averaged before walks may get longer.",
        ge=1,
        le=100_000,
        group="Curriculum",
    )
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=1e-3, batch_size=64, beta1=0.9, gradient_clip=0.0, ema_decay=0.99
        ),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        if self.first_steps < self.most_steps:
            return {}
        return {"goal": "No effect: walks are as long as they get from the start."}


DIGITS: dict[str, Any] = {"energy": {"kind": "mlp", "width": 256, "depth": 2}}
IMAGES_32: dict[str, Any] = {
    "energy": {
        "kind": "wide_resnet",
        "features": 160,
        "multipliers": "1,2,4",
        "num_blocks": 5,
        "wall": 0.0,
    },
    # an L2 ball of 0.5 and steps of 0.1 where pixels are 0 to 1; here they are 2 apart
    "attack": {"norm": "l2", "radius": 1.0, "num_steps": 10},
    "start": "resampled",
    "walk_step_size": 0.2,
    "most_steps": 50,
    "train": {
        "optimiser": "sgd",
        "learning_rate": 1e-3,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 128,
        "ema_decay": 0.999,
        "schedule": "constant",
    },
}


class DualAdversarialTraining(ClassifierMethod):
    """−log p(y | x') + w (softplus E(x) + softplus −E(x̂)), E(x) = −log Σ_y exp f_y(x).

    x' is the worst place of a ball around x. x̂ is the end of a walk of T unit-gradient steps up f_y
    from noise, y the class of x, held to the box of noise: −E is the logit of telling data from
    walks. T starts at `first_steps` and grows by one whenever the AUROC of the two, averaged over a
    window of updates, reaches the goal; the host reads that number while the device is at the next
    update, whose walks are as long as before. Before that stage classes alone are trained. Each
    update counts a gradient for every step of attack and walk and for every set that is fitted.
    Yin et al. 2025.
    """

    id = "dual_adversarial_training"
    title = "Dual adversarial training"
    summary = (
        "Fits a classifier that small changes do not fool and that draws: walks up its own logits "
        "are told from data, and get longer as that succeeds. Needs data with classes."
    )
    references = "Yin et al. 2025"
    url = "https://arxiv.org/abs/2510.13872"
    Config = DualAdversarialTrainingConfig
    headline: ClassVar[tuple[str, ...]] = (
        "classification/accuracy",
        "sampler/walk_steps",
        "outliers/auroc",
        "sampler/auroc",
        "energy/under_attack",
        "quality/frechet_pca",
        "quality/frechet_features",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "A perceptron on digits: 30 % of the budget adversarial training, then walks of up to "
            "15 steps from uniform noise.",
            DIGITS,
            Budget(steps=3500),
            data={"name": "digits"},
        ),
        "images_32": Preset(
            "Images of 32×32 on a GPU with the published steps and optimiser, walks from resampled "
            "pixels in place of other images. Not trained here.",
            IMAGES_32,
            Budget(steps=80_000),
            data={"name": "cifar_10"},
            wants_gpu=True,
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        **ClassifierMethod.figures,
        "loss/under_attack": Figure("Cross-entropy under attack, in training", "nats"),
        "loss/generation": Figure("Telling data from walks", "nats"),
        "sampler/walk_steps": Figure("Steps of a walk", help="The curriculum's length."),
        "sampler/auroc": Figure(
            "AUROC of data against walks",
            help="Walks get longer from the goal on. Between 0.6 and that for long is usual; walks "
            "that never get longer than a step or two are the fault.",
        ),
        "sampler/straightness": Figure(
            "Straightness of a walk", "share", help="Distance made good over the length walked."
        ),
    }
    config: DualAdversarialTrainingConfig
    observers = without_density(ClassifierMethod.observers)
    not_a_density = (
        "Training tells data from the ends of walks of a fixed length, so exp(−E) is the odds "
        "between the two and no density of the data."
    )

    def __init__(self, config: DualAdversarialTrainingConfig, task: Task) -> None:
        super().__init__(config, config.energy, config.train, task)
        self.starts = Starts(config.start, task.data)
        self.walk_steps = min(config.first_steps, config.most_steps)
        self.auroc = torch.zeros((), device=task.device)
        """sum over the updates of this window"""
        self.num_in_window = 0
        """with the update that is taken while the window's mean is on its way"""
        self.mean_on_its_way: Callable[[], float] | None = None

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data, generator = self.config, self.task.data, self.generator
        rows = data.rows(data.indices(config.train.batch_size, generator))
        x_data, labels = rows.x, rows.label
        assert labels is not None
        x_attacked = attacks.attacked(
            self.classifier.log_probs, x_data, labels, config.attack, data, generator
        )
        start = self.starts.draw(labels, generator)
        draws = progress >= 1 - config.walks_share
        num_steps = self.walk_steps if draws else 0
        x_drawn = attacks.climb(
            logit_of(self.classifier, labels),
            start,
            attacks.box_of(data),
            config.walk_step_size,
            num_steps,
            start,
        )
        weight = config.generative_weight if draws else 0.0
        logits_of: list[tuple[Tensor, ...]] = []

        def losses() -> Iterator[Tensor]:
            batch = (x_data, x_attacked, x_drawn, labels)
            for share, (x, x_near, drawn, label) in self.fitter.split(*batch):
                logits = self.classifier.logits(torch.cat([x_near, x, drawn]))
                attacked, natural, ends = logits.split(len(x))
                logits_of.append((attacked.detach(), natural.detach(), ends.detach()))
                classes, generation = _terms(attacked, natural, ends, label, weight)
                yield share * (classes + generation)

        fitted = self.fitter.update(losses(), progress)
        self.gradient_evaluations += config.attack.num_steps + num_steps + (3 if draws else 1)
        attacked, natural, drawn = (torch.cat(parts) for parts in zip(*logits_of, strict=True))
        classes, generation = _terms(attacked, natural, drawn, labels, 1.0)
        value = -torch.stack([part.logsumexp(1) for part in (natural, drawn, attacked)])
        auroc = _auroc(value[0], value[1])
        if draws:
            auroc = self._averaged(auroc)
        walked = max(num_steps, 1) * config.walk_step_size
        return {
            "loss/total": classes + weight * generation,
            "loss/under_attack": classes,
            "loss/generation": generation,
            "energy/data": value[0].mean(),
            "energy/model": value[1].mean(),
            "energy/gap": value[0].mean() - value[1].mean(),
            "energy/attack_gap": value[2].mean() - value[0].mean(),
            "energy/max": value.abs().amax(),
            "sampler/auroc": auroc,
            "sampler/walk_steps": torch.full_like(auroc, num_steps),
            "sampler/straightness": (x_drawn - start).flatten(1).norm(dim=1).mean() / walked,
            "sampler/radius": x_drawn.flatten(1).norm(dim=1).amax(),
            **fitted,
        }

    def _averaged(self, auroc: Tensor) -> Tensor:
        """The mean of the window so far, 0-d, with an update's own AUROC while it is not full."""
        if self.num_in_window < self.config.window:
            self.auroc = self.auroc + auroc
        self.num_in_window += 1
        return self.auroc / min(self.num_in_window, self.config.window)

    def decide(self) -> None:
        """Send for the mean of a window that is full; an update later, begin the next one with
        walks a step longer where that mean reaches the goal."""
        config, mean = self.config, self.auroc / self.config.window
        if self.num_in_window == config.window:
            self.mean_on_its_way = sent(mean)
        elif self.num_in_window > config.window:
            read = self.mean_on_its_way or sent(mean)  # a restored method has to send again
            if self.walk_steps < config.most_steps and read() >= config.goal:
                self.walk_steps += 1
            self.mean_on_its_way = None
            self.auroc, self.num_in_window = torch.zeros_like(self.auroc), 0

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        return self._walked(
            request, self.starts, self.config.walk_step_size, self.walk_steps, generator
        )

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        return self.draw(SampleRequest(num), generator)

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return {"sampler/walk_steps": float(self.walk_steps)}

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        """Walks that never got longer."""
        config = self.config
        if self.share_spent > 1 - config.walks_share / 2 and self.walk_steps < 2:
            yield Finding(
                "curriculum",
                "warning",
                f"Walks are of {self.walk_steps} steps still, since the energy does not tell their "
                f"ends from data (AUROC below {config.goal:g}). A smaller learning rate, a longer "
                "first stage or shorter steps (`walk_step_size`) may help.",
            )


def _terms(
    attacked: Tensor, natural: Tensor, drawn: Tensor, labels: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of attacked events, and `weight` times that of telling data from walks, 0-d, of
    logits (batch, num_labels)."""
    generation = F.softplus(-natural.logsumexp(1)) + F.softplus(drawn.logsumexp(1))
    return F.cross_entropy(attacked, labels), weight * generation.mean()


def _auroc(data: Tensor, drawn: Tensor) -> Tensor:
    """Share of pairs in which the drawn event has the higher energy, ties half, 0-d."""
    gaps = drawn[None, :] - data[:, None]
    return 0.5 * ((gaps > 0).float().mean() + (gaps >= 0).float().mean())
