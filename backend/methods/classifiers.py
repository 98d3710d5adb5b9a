"""Base of methods whose energy is a classifier's, and where their walks and chains start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import Config
from backend.data import Data
from backend.energies import NO_LABEL, Condition, build_network
from backend.energies.classifier import Classifier
from backend.energy import Energy
from backend.errors import BadInput
from backend.method import Method, SampleRequest, Task
from backend.metric_names import Figure
from backend.metrics.baselines import pixel_resampled
from backend.objectives.attacks import Value, box_of, climb
from backend.samplers.class_gaussians import ClassGaussians
from backend.training import Fitter, TrainConfig

StartName = Literal["noise", "resampled", "class_gaussian"]
OF_STARTS = (
    "uniform noise, events whose every coordinate is another event's (resampled), or one Gaussian "
    "a class"
)
"""Words of a field that names a start."""
OF_CLASSES_ALONE = (
    "Training fits the probabilities of classes alone, so the energy is what the logits happen to "
    "add up to, and exp(−E) is no density of the data."
)


class Starts:
    """Draws of where walks and chains of given classes start, standardised."""

    def __init__(self, name: StartName, data: Data) -> None:
        self.name, self.data = name, data
        self.gaussians = ClassGaussians(data) if name == "class_gaussian" else None

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """One for each of labels (num,), (num, *event_shape)."""
        if self.gaussians is not None:
            return self.gaussians.draw(labels, generator)
        if self.name == "resampled":
            return pixel_resampled(self.data, len(labels), generator)
        return self.data.noise(len(labels), generator)


def logit_of(classifier: Classifier, labels: Tensor) -> Value:
    """f_label(x) (batch,), −E(x | label), which walks climb; labels (batch,)."""

    def value(x: Tensor) -> Tensor:
        return classifier.logits(x).gather(1, labels[:, None])[:, 0]

    return value


def without_density(observers: tuple[str, ...]) -> tuple[str, ...]:
    """The observers less those that hold an energy to being a density, for classifiers that say
    why theirs is none."""
    return tuple(name for name in observers if name not in ("energy_alarms", "log_likelihood"))


class ClassifierMethod(Method):
    """Base of methods that fit a `Classifier`: `_set_up` makes it, `step` fits it."""

    observers: ClassVar[tuple[str, ...]] = (
        *Method.observers[:-1],
        "classification",
        "robustness",
        Method.observers[-1],
    )

    figures: ClassVar[dict[str, Figure]] = {
        "energy/under_attack": Figure(
            "Mean energy of held-out data under attack",
            "nats",
            help="Attacks may lower or raise the energy; on digits they raise it.",
        ),
        "outliers/auroc": Figure(
            "Outliers told by the energy",
            "AUROC",
            better="higher",
            help="Held-out data against as many outliers of each kind. Below 0.5 they have lower "
            "energies than data. Where it falls to 0 the energy is shaped along walks alone.",
        ),
    }

    def __init__(
        self, config: Config, network: Any, train: TrainConfig, task: Task, wall: float = 0.0
    ) -> None:
        super().__init__(config, task)
        data = task.data
        built = build_network(network, task, num_outputs=data.num_labels)
        self.classifier = Classifier(built, data.noise_low, data.noise_high, wall).to(task.device)
        self.fitter = Fitter(train, self.classifier)

    @classmethod
    def problems(cls, config: Any, data: Data) -> Iterable[tuple[str, str]]:
        if data.num_labels < 2:
            yield (
                "data.name",
                f"must come in classes, and {data.title!r} does not. Choose `digits` or `moons`.",
            )

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

    def _walked(
        self,
        request: SampleRequest,
        starts: Starts,
        step_size: float,
        num_steps: int,
        generator: torch.Generator,
    ) -> Tensor | None:
        """Samples by a walk of unit-gradient steps up the logit of each class, within the box of
        noise; None where a request asks for what a walk knows nothing of. Where no class is asked
        for they are of all in turn."""
        asks = (request.mask, request.sampler, request.guidance or None, request.mixture or None)
        if any(value is not None for value in asks):
            return None
        labels = torch.arange(request.num, device=self.task.device) % self.num_labels
        if request.labels is not None:
            labels = torch.where(request.labels == NO_LABEL, labels, request.labels)
        start = starts.draw(labels, generator) if request.start is None else request.start
        steps = num_steps if request.num_steps is None else request.num_steps
        value = logit_of(self.fitter.fitted, labels)
        return climb(value, start, box_of(self.task.data), step_size, steps, start)
