"""Robust classifiers read as energies: adversarial training, TRADES and WEAT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyNetwork
from backend.events import Event
from backend.method import Preset, SampleRequest, Task
from backend.methods.classifiers import (
    OF_CLASSES_ALONE,
    OF_STARTS,
    ClassifierMethod,
    StartName,
    Starts,
    without_density,
)
from backend.metric_names import Figure
from backend.metrics.density import energies
from backend.objectives import attacks
from backend.objectives.attacks import AttackConfig
from backend.observe import pictures
from backend.spec import Budget
from backend.training import TrainConfig

Objective = Literal["cross_entropy", "adversarial", "trades", "weat_natural", "weat_adversarial"]
OF_PAIRS = ("trades", "weat_natural", "weat_adversarial")
"""Objectives that hold the probabilities of natural and attacked events together."""
WEIGHTED = ("weat_natural", "weat_adversarial")
NUM_WEIGHED = 500


class AdversarialTrainingConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp"}, "The network that is fitted, with one output a class.", group="Energy"
    )
    objective: Objective = option(
        "adversarial",
        "Cross-entropy of natural events, or of attacked ones (adversarial training); TRADES; or "
        "WEAT, whose cross-entropy is of natural or of attacked events.",
        main=True,
        group="Objective",
    )
    divergence_weight: float = option(
        6.0,
        "Weight of the divergence between the probabilities of natural and of attacked events.",
        ge=0,
        le=100,
        main=True,
        group="Objective",
        turnable=True,
    )
    attack: AttackConfig = option(
        AttackConfig(radius=0.4, num_steps=5), "The attack of training, and of what is watched."
    )
    start: StartName = option("noise", f"Samples start from {OF_STARTS}.", group="Samples")
    walk_steps: int = option(
        30,
        "Steps of a sample up the logit of its class; beyond some dozens they get worse.",
        ge=0,
        le=10_000,
        main=True,
        group="Samples",
    )
    walk_step_size: float = option(
        0.5, "Length of such a step.", unit="data sd", gt=0, le=100, log=True, group="Samples"
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=1e-3, batch_size=64, beta1=0.9, gradient_clip=0.0),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        if self.objective in OF_PAIRS:
            return {}
        return {"divergence_weight": "No effect: the objective holds no probabilities together."}


DIGITS: dict[str, Any] = {"energy": {"kind": "mlp", "width": 256, "depth": 2}}
FEW: dict[str, Any] = {**DIGITS, "attack": {"radius": 0.4, "num_steps": 7}}
IMAGES_32: dict[str, Any] = {
    "energy": {
        "kind": "wide_resnet",
        "features": 64,
        "multipliers": "1,2,4,8",
        "num_blocks": 2,
        "wall": 0.0,
    },
    # 8/255 of the range, which is 2 wide
    "attack": {"radius": 0.0627, "num_steps": 10},
    "walk_steps": 40,
    "train": {
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 128,
        "schedule": "cosine",
    },
}


class AdversarialTraining(ClassifierMethod):
    """Cross-entropy at the worst place x' of a ball around every event, E(x) = −log Σ_y exp f_y(x).

    cross_entropy: −log p(y | x). adversarial: −log p(y | x'), x' by ascent of that. TRADES:
    −log p(y | x) + β KL(p(· | x) ‖ p(· | x')), x' by ascent of the divergence; WEAT weighs every
    event of it by 1 / log(1 + exp |E(x)|), a constant to the gradient, and takes −log p(y | x') in
    place of the first term or not. The divergence is that of classes and aligns E(x) with E(x').
    Samples are walks up a logit. Each update counts a gradient for every step of the attack and one
    for the fit. Madry et al. 2018; Zhang et al. 2019; Mirza et al. 2024.
    """

    id = "adversarial_training"
    title = "Adversarial training"
    summary = (
        "Fits a classifier that small changes do not fool, by adversarial training, TRADES or "
        "WEAT, and reads it as an energy. Needs data with classes."
    )
    references = "Madry et al. 2018; Zhang et al. 2019; Mirza et al. 2024"
    url = "https://arxiv.org/abs/1706.06083"
    Config = AdversarialTrainingConfig
    headline: ClassVar[tuple[str, ...]] = (
        "classification/accuracy",
        "energy/under_attack",
        "outliers/auroc",
        "energy/attack_gap",
        "quality/frechet_pca",
        "quality/frechet_features",
        "loss/classification",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Adversarial training of a perceptron on digits, within 0.4 of every pixel.",
            DIGITS,
            Budget(steps=2000),
            data={"name": "digits"},
        ),
        "trades": Preset(
            "TRADES on digits: natural and attacked digits get the same probabilities.",
            {**FEW, "objective": "trades"},
            Budget(steps=2000),
            data={"name": "digits"},
        ),
        "weat": Preset(
            "WEAT on digits: TRADES with a weight for every digit by its energy.",
            {**FEW, "objective": "weat_natural"},
            Budget(steps=2000),
            data={"name": "digits"},
        ),
        "classifier": Preset(
            "The same perceptron trained on digits as they are, to compare with.",
            {**DIGITS, "objective": "cross_entropy"},
            Budget(steps=2000),
            data={"name": "digits"},
        ),
        "images_32": Preset(
            "WEAT on images of 32×32 with the published attack and optimiser, on a GPU. Not "
            "trained here.",
            {**IMAGES_32, "objective": "weat_natural"},
            Budget(steps=39_000),
            data={"name": "cifar_10"},
            wants_gpu=True,
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        **ClassifierMethod.figures,
        "loss/classification": Figure("Cross-entropy in training", "nats"),
        "loss/weight": Figure("Mean weight of an event", help="1 / log(1 + exp |E(x)|)."),
        "energy/adversarial": Figure("Energy of attacked data in training", "nats"),
        "energy/attack_gap": Figure(
            "Energy of attacked less natural data",
            "nats",
            help="In training. Where it grows while accuracy under attack stays, the classifier "
            "learns its training events by heart.",
        ),
    }
    config: AdversarialTrainingConfig
    observers = without_density(ClassifierMethod.observers)
    not_a_density = OF_CLASSES_ALONE

    def __init__(self, config: AdversarialTrainingConfig, task: Task) -> None:
        super().__init__(config, config.energy, config.train, task)
        self.starts = Starts(config.start, task.data)

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data = self.config, self.task.data
        rows = data.rows(data.indices(config.train.batch_size, self.generator))
        x_data, labels = rows.x, rows.label
        assert labels is not None
        x_attacked = self._attacked(x_data, labels)
        logits_of: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            for share, (x, x_near, label) in self.fitter.split(x_data, x_attacked, labels):
                both = self.classifier.logits(torch.cat([x, x_near]))
                natural, attacked = both.split(len(x))
                logits_of.append((natural.detach(), attacked.detach()))
                terms = loss(config.objective, natural, attacked, label, config.divergence_weight)
                yield share * terms.mean()

        fitted = self.fitter.update(losses(), progress)
        self.gradient_evaluations += 1
        natural, attacked = (torch.cat(parts) for parts in zip(*logits_of, strict=True))
        value = -torch.stack([natural.logsumexp(1), attacked.logsumexp(1)])
        of_data, of_attacked = value.mean(1)
        metrics = {
            "loss/total": loss(
                config.objective, natural, attacked, labels, config.divergence_weight
            ).mean(),
            "loss/classification": F.cross_entropy(natural, labels),
            "energy/data": of_data,
            "energy/adversarial": of_attacked,
            "energy/attack_gap": of_attacked - of_data,
            "energy/max": value.abs().amax(),
            **fitted,
        }
        if config.objective in WEIGHTED:
            metrics["loss/weight"] = weights(natural).mean()
        return metrics

    def _attacked(self, x: Tensor, labels: Tensor) -> Tensor:
        """Events x (batch, *event_shape) as the objective attacks them; themselves where it does
        not."""
        config, generator = self.config, self.generator
        if config.objective == "cross_entropy":
            return x
        log_probs = self.classifier.log_probs
        self.gradient_evaluations += config.attack.num_steps
        if config.objective == "adversarial":
            return attacks.attacked(log_probs, x, labels, config.attack, self.task.data, generator)
        ball = attacks.ball_of(config.attack, self.task.data)
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        with torch.no_grad():
            natural = log_probs(x)
        return attacks.climb(
            attacks.away_from(log_probs, natural),
            ball.project(x, x + attacks.SMALL * noise),
            ball,
            config.attack.step_size,
            config.attack.num_steps,
            x,
        )

    def draw(self, request: SampleRequest, generator: torch.Generator) -> Tensor | None:
        config = self.config
        return self._walked(
            request, self.starts, config.walk_step_size, config.walk_steps, generator
        )

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor | None:
        return self.draw(SampleRequest(num), generator)

    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """The weights of held-out events, where they have some."""
        if self.config.objective not in WEIGHTED:
            return
        held_out = self.task.data.held_out[:NUM_WEIGHED]
        value = 1 / F.softplus(energies(self.energy(), held_out).abs())
        yield pictures.histogram("weights_of_events", {"data": value}, 32, unit="weight")


def weights(logits: Tensor) -> Tensor:
    """WEAT's 1 / log(1 + exp |E(x)|) (batch,), without a graph, of logits (batch, num_labels)."""
    return 1 / F.softplus(logits.detach().logsumexp(1).abs())


def loss(
    objective: Objective, natural: Tensor, attacked: Tensor, labels: Tensor, weight: float
) -> Tensor:
    """Loss (batch,) of each event by its logits (batch, num_labels), natural and attacked; `weight`
    is that of the divergence."""
    of_attacked = objective in ("adversarial", "weat_adversarial")
    terms = F.cross_entropy(attacked if of_attacked else natural, labels, reduction="none")
    if objective in OF_PAIRS:
        divergence = attacks.divergence(natural.log_softmax(1), attacked.log_softmax(1))
        terms = terms + weight * divergence
    return weights(natural) * terms if objective in WEIGHTED else terms
