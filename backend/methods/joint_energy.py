"""A classifier that is a density model too: joint energy-based models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.data import Data
from backend.energies import AnyNetwork, Condition, build_network
from backend.energies.classifier import Classifier
from backend.energy import Energy
from backend.errors import BadInput
from backend.events import Finding
from backend.method import Method, Preset, Start, Task
from backend.metric_names import Figure
from backend.sampler import Sampler
from backend.samplers import ChainSampler
from backend.samplers.replay_buffer import drawn_places, restarted
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

COLLAPSED = 0.9
"""Share of the chains in one class from which on the others are said to be lost."""


class JointEnergyConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp"}, "The network that is fitted, with one output a class.", group="Energy"
    )
    sampler: ChainSampler = option(
        {"kind": "langevin"}, "What draws the samples that training contrasts.", group="Sampler"
    )
    generative_weight: float = option(
        1.0,
        "Weight of the likelihood of x beside that of its class; 0 trains the classifier alone.",
        ge=0,
        le=100,
        main=True,
        group="Objective",
        turnable=True,
    )
    num_steps: int = option(
        20,
        "Sampler steps of the chains at every update.",
        ge=1,
        le=10_000,
        main=True,
        group="Chains",
        turnable=True,
    )
    buffer_size: int = option(
        2000,
        "Chains kept between updates; each update moves a batch of them.",
        ge=1,
        le=1_000_000,
        group="Chains",
    )
    reinit_rate: float = option(
        0.05,
        "Share of an update's chains restarted from noise; 0.05 is usual.",
        ge=0,
        le=1,
        main=True,
        group="Chains",
        turnable=True,
    )
    data_noise: float = option(
        0.1,
        "Gaussian noise put on the data of every update.",
        unit="data sd",
        ge=0,
        le=10,
        main=True,
        group="Regularisation",
        turnable=True,
    )
    wall: float = option(
        0.75,
        "Width of a quadratic wall around the box that noise is drawn from, E + (how far out)² / "
        "(2 wall²) for each coordinate; 0 builds none.",
        unit="data sd",
        ge=0,
        le=10,
        group="Regularisation",
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=1e-3, batch_size=64, beta1=0.9, gradient_clip=0.0),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        if not self.wall:
            return {}
        return {"wall": f"Langevin steps must stay below {2 * self.wall**2:.2g} to be stable."}


POINTS: dict[str, Any] = {
    "energy": {"kind": "mlp"},
    "sampler": {"kind": "langevin", "step_size": 0.005, "gradient_clip": 30.0},
    "buffer_size": 10_000,
    "wall": 0.2,
    "train": {
        "learning_rate": 1e-2,
        "batch_size": 256,
        "beta1": 0.0,
        "schedule": "cosine",
        "ema_decay": 0.995,
        "gradient_clip": 1.0,
    },
}
DIGITS: dict[str, Any] = {
    "energy": {"kind": "mlp", "width": 256, "depth": 2},
    "sampler": {"kind": "langevin", "step_size": 0.5, "noise_scale": 0.05},
}
"""Long cold steps: at a tenth of the length 20 of them do not keep up with the energy. The wall
must be wider than √(step / 2), or chains overshoot it."""


class JointEnergy(Method):
    """−log p(y | x) − w log p(x), of p(x, y) ∝ exp f_y(x), f the classifier's logits.

    The first term is the cross-entropy of softmax f(x); the gradient of the second is that of
    w (mean E(x_data) − mean E(x_model)), E(x) = −log Σ_y exp f_y(x), with x_model from Langevin
    chains of E kept in a replay buffer. Chains are far colder than T = 1 in every published
    setting, so what is fitted is a density of that temperature, roughly. Grathwohl et al. 2020.
    """

    id = "joint_energy"
    title = "Joint energy (JEM)"
    summary = (
        "Fits one network as a classifier and as an energy of its inputs: it tells classes apart, "
        "draws samples of each, and knows what is unlike the data. Needs data with classes."
    )
    references = "Grathwohl et al. 2020"
    url = "https://arxiv.org/abs/1912.03263"
    Config = JointEnergyConfig
    headline: ClassVar[tuple[str, ...]] = (
        "classification/accuracy",
        "quality/frechet_features",
        "quality/grid_kl",
        "classification/log_loss",
        "energy/gap",
        "sampler/largest_class",
        "loss/classification",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Two moons told apart and sampled, by persistent chains at T = 1.",
            POINTS,
            Budget(steps=3000),
            data={"name": "moons"},
        ),
        "digits": Preset(
            "Digits of 8×8 pixels: a perceptron, 20 cold Langevin steps of half a squared data sd.",
            DIGITS,
            Budget(steps=1200),
            data={"name": "digits"},
        ),
        "classifier": Preset(
            "The same perceptron trained to tell digits apart and nothing else, to compare with.",
            {**DIGITS, "generative_weight": 0.0},
            Budget(steps=1200),
            data={"name": "digits"},
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        "loss/classification": Figure("Cross-entropy in training", "nats"),
        "sampler/largest_class": Figure(
            "Largest class among the chains",
            "share",
            help="Near 1 the buffer has collapsed to one class.",
        ),
    }
    observers = (*Method.observers[:-1], "classification", Method.observers[-1])
    config: JointEnergyConfig

    def __init__(self, config: JointEnergyConfig, task: Task) -> None:
        super().__init__(config, task)
        network = build_network(config.energy, task, num_outputs=task.data.num_labels)
        self.classifier = Classifier(
            network, task.data.noise_low, task.data.noise_high, config.wall
        ).to(task.device)
        self.fitter = Fitter(config.train, self.classifier)
        self.kernel = samplers.build(config.sampler)
        self.buffer = task.data.noise(config.buffer_size, self.generator)

    @classmethod
    def problems(cls, config: JointEnergyConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_labels < 2:
            yield (
                "data.name",
                f"must come in classes, and {data.title!r} does not. Choose `digits` or `moons`.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data, generator = self.config, self.task.data, self.generator
        assert data.labels is not None
        index = data.indices(config.train.batch_size, generator)
        x_data = data.noised(data.train[index], config.data_noise, generator)
        places = drawn_places(self.buffer, len(index), generator)
        start = restarted(self.buffer[places], data, config.reinit_rate, generator)
        walk = samplers.run(self.kernel, start, self.classifier, generator, config.num_steps)
        self.gradient_evaluations += walk.gradient_evaluations
        x_model = walk.state.position
        self.buffer[places] = x_model
        logits_of: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            assert data.labels is not None
            for share, (x, label, sample) in self.fitter.split(x_data, data.labels[index], x_model):
                logits = self.classifier.logits(torch.cat([x, sample]))
                on_data, on_model = logits.split(len(x))
                logits_of.append((on_data.detach(), on_model.detach()))
                gap = on_model.logsumexp(1).mean() - on_data.logsumexp(1).mean()
                loss = F.cross_entropy(on_data, label) + config.generative_weight * gap
                yield share * loss

        fitted = self.fitter.update(losses(), progress)
        on_data, on_model = (torch.cat(parts) for parts in zip(*logits_of, strict=True))
        labels = data.labels[index]
        energies = -torch.stack([on_data.logsumexp(1), on_model.logsumexp(1)])
        of_data, of_model = energies.mean(1)
        classification = F.cross_entropy(on_data, labels)
        gap = of_data - of_model
        classes = torch.zeros_like(on_model[0]).index_add_(
            0, on_model.argmax(1), torch.ones_like(on_model[:, 0])
        )
        return {
            "loss/total": classification + config.generative_weight * gap,
            "loss/classification": classification,
            "energy/data": of_data,
            "energy/model": of_model,
            "energy/gap": gap,
            "energy/max": energies.abs().amax(),
            "sampler/radius": x_model.flatten(1).norm(dim=1).amax(),
            "sampler/largest_class": classes.amax() / len(on_model),
            **fitted,
        }

    def energy(self) -> Classifier:
        return self.fitter.fitted

    def class_log_probs(self, x: Tensor) -> Tensor:
        return self.fitter.fitted.log_probs(x)

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels

    def conditional_energy(self, label: int) -> Energy:
        if not 0 <= label < self.num_labels:
            raise BadInput.at("label", f"must be one of {self.num_labels} classes, got {label}.")
        return self.fitter.fitted.given(
            Condition(label=torch.tensor(label, device=self.task.device))
        )

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        positions = self.buffer[drawn_places(self.buffer, num, generator)]
        positions = restarted(positions, self.task.data, self.config.reinit_rate, generator)
        return Start(positions, True, self.config.num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        positions = self.start(num, generator).positions
        walk = samplers.run(
            self.kernel, positions, self.classifier, generator, self.config.num_steps
        )
        return walk.state.position

    def findings(self, generator: torch.Generator) -> Iterable[Finding]:
        """A buffer that has collapsed to one class."""
        places = drawn_places(self.buffer, 512, generator)
        classes = self.classifier.logits(self.buffer[places]).argmax(1)
        share = float(classes.bincount().amax() / len(classes))
        if share > COLLAPSED and self.config.generative_weight:
            yield Finding(
                "classes",
                "alarm",
                f"{share:.0%} of the chains are of one class. The others are no longer sampled: "
                "more restarts from noise (`reinit_rate`) or a smaller learning rate may help.",
            )
