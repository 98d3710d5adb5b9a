"""A classifier that is a density model too: joint energy-based models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.energies import AnyNetwork, Condition
from backend.energy import Energy
from backend.events import Finding
from backend.method import Preset, Start, Task
from backend.methods.classifiers import (
    OF_CLASSES_ALONE,
    OF_STARTS,
    ClassifierMethod,
    StartName,
    Starts,
)
from backend.metric_names import Figure
from backend.sampler import Sampler
from backend.samplers import ChainSampler, Walk
from backend.samplers.replay_buffer import drawn_places, restarted
from backend.spec import Budget
from backend.training import TrainConfig

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
    term: Literal["marginal", "by_class"] = option(
        "marginal",
        "Which likelihood is weighed: that of x, or of x given its class, whose chains keep a "
        "class each.",
        group="Objective",
    )
    start: StartName = option(
        "noise", f"Chains start, and restart, from {OF_STARTS}.", group="Chains"
    )
    reinit_rate: float = option(
        0.05,
        "Share of an update's chains that start anew; 0.05 is usual.",
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


IMAGES_32: dict[str, Any] = {
    "energy": {
        "kind": "wide_resnet",
        "features": 160,
        "multipliers": "1,2,4",
        "num_blocks": 4,
        "wall": 0.0,
    },
    # steps of 1 with noise of 0.01
    "sampler": {"kind": "langevin", "step_size": 1.0, "noise_scale": 0.00707},
    "buffer_size": 10_000,
    "data_noise": 0.03,
    "wall": 0.0,
    # the first 1,000 updates of 200 epochs
    "train": {
        "learning_rate": 1e-4,
        "batch_size": 64,
        "schedule": "thirds",
        "warm_up_share": 0.0064,
    },
}
"""Settings of Grathwohl et al. 2020 for pixels in ±1: a WRN-28-10 without normalisation. Their
learning rate falls to 0.3 of itself at 80 and at 90 % of the budget, here at 60 and 85 %."""


class JointEnergy(ClassifierMethod):
    """−log p(y | x) − w log p(x), of p(x, y) ∝ exp f_y(x), f the classifier's logits.

    The first term is the cross-entropy of softmax f(x); the gradient of the second is that of
    w (mean E(x_data) − mean E(x_model)), E(x) = −log Σ_y exp f_y(x), with x_model from Langevin
    chains of E kept in a replay buffer. By class it is −w log p(x | y), with E(x | y) = −f_y(x) in
    place of E(x) and chains of all classes in turn. Chains are far colder than T = 1 in every
    published setting, so what is fitted is a density of that temperature, roughly. With w = 0 it is
    a classifier alone. Grathwohl et al. 2020; from one Gaussian a class Yang & Ji 2021 (JEM++).
    """

    id = "joint_energy"
    title = "Joint energy (JEM)"
    summary = (
        "Fits one network as a classifier and as an energy of its inputs: it tells classes apart, "
        "draws samples of each, and knows what is unlike the data. Needs data with classes."
    )
    references = "Grathwohl et al. 2020; Yang & Ji 2021"
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
        "digits_from_class_gaussians": Preset(
            "The same with chains that start from one Gaussian a class and keep their class.",
            {**DIGITS, "start": "class_gaussian", "term": "by_class"},
            Budget(steps=1200),
            data={"name": "digits"},
        ),
        "tables": Preset(
            "The same chains on a table of a dozen or more columns, where those of the default at "
            "T = 1 fall behind and the energy runs away.",
            DIGITS,
            Budget(steps=1200),
            data={"name": "wine"},
        ),
        "images_32": Preset(
            "Images of 32×32 on a GPU with the published network, chains and optimiser. Not "
            "trained here.",
            IMAGES_32,
            Budget(steps=156_000),
            data={"name": "cifar_10"},
            wants_gpu=True,
        ),
        "classifier": Preset(
            "The same perceptron trained to tell digits apart and nothing else, to compare with.",
            {**DIGITS, "generative_weight": 0.0},
            Budget(steps=1200),
            data={"name": "digits"},
        ),
    }
    figures: ClassVar[dict[str, Figure]] = {
        **ClassifierMethod.figures,
        "loss/classification": Figure("Cross-entropy in training", "nats"),
        "sampler/largest_class": Figure(
            "Largest class among the chains",
            "share",
            help="Near 1 the buffer has collapsed to one class.",
        ),
    }
    config: JointEnergyConfig

    def __init__(self, config: JointEnergyConfig, task: Task) -> None:
        super().__init__(config, config.energy, config.train, task, config.wall)
        if not config.generative_weight:
            self.not_a_density = OF_CLASSES_ALONE
        self.kernel = samplers.build(config.sampler)
        self.starts = Starts(config.start, task.data)
        places = torch.arange(config.buffer_size, device=task.device)
        self.buffer = self.starts.draw(self._classes(places), self.generator)

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data, generator = self.config, self.task.data, self.generator
        assert data.labels is not None
        index = data.indices(config.train.batch_size, generator)
        x_data = data.noised(data.train[index], config.data_noise, generator)
        places, start = self._drawn(len(index), generator)
        walk = self._walk(places, start, generator)
        self.gradient_evaluations += walk.gradient_evaluations
        x_model = walk.state.position
        self.buffer[places] = x_model
        classes = self._classes(places)
        logits_of: list[tuple[Tensor, Tensor]] = []

        def losses() -> Iterator[Tensor]:
            assert data.labels is not None
            batch = (x_data, data.labels[index], x_model, classes)
            for share, (x, label, sample, of) in self.fitter.split(*batch):
                logits = self.classifier.logits(torch.cat([x, sample]))
                on_data, on_model = logits.split(len(x))
                logits_of.append((on_data.detach(), on_model.detach()))
                gap = self._energies(on_data, label).mean() - self._energies(on_model, of).mean()
                loss = F.cross_entropy(on_data, label) + config.generative_weight * gap
                yield share * loss

        fitted = self.fitter.update(losses(), progress)
        on_data, on_model = (torch.cat(parts) for parts in zip(*logits_of, strict=True))
        labels = data.labels[index]
        energies = torch.stack([self._energies(on_data, labels), self._energies(on_model, classes)])
        of_data, of_model = energies.mean(1)
        classification = F.cross_entropy(on_data, labels)
        gap = of_data - of_model
        counts = torch.zeros_like(on_model[0]).index_add_(
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
            "sampler/largest_class": counts.amax() / len(on_model),
            **fitted,
        }

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        return Start(self._drawn(num, generator)[1], True, self.config.num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self._walk(*self._drawn(num, generator), generator).state.position

    def _classes(self, places: Tensor) -> Tensor:
        """The class of each chain by its place (num,) in the buffer."""
        return places % self.num_labels

    def _drawn(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places (num,) of chains in the buffer and where they go on from, some of them anew."""
        places = drawn_places(self.buffer, num, generator)
        fresh = self.starts.draw(self._classes(places), generator)
        positions, rate = self.buffer[places], self.config.reinit_rate
        return places, restarted(positions, self.task.data, rate, generator, fresh)

    def _walk(self, places: Tensor, start: Tensor, generator: torch.Generator) -> Walk:
        """An update's steps of the chains at `places` (num,) from `start`."""
        energy: Energy = self.classifier
        if self.config.term == "by_class":
            energy = energy.given(Condition(label=self._classes(places)))
        return samplers.run(self.kernel, start, energy, generator, self.config.num_steps)

    def _energies(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The energies (batch,) that are weighed, of logits (batch, num_labels)."""
        if self.config.term == "by_class":
            return -logits.gather(1, labels[:, None])[:, 0]
        return -logits.logsumexp(1)

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
