"""Energies of input, concepts and class together, beside a plain concept bottleneck."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.data import CONCEPTS, Data, Rows
from backend.energies import AnyNetwork, build_network
from backend.energies.concept_bottleneck import (
    MOST_CONCEPTS,
    ConceptEnergies,
    DrawnStates,
    StateLaw,
    Weights,
    descended,
    enumerated,
)
from backend.events import Curve, Event, Scalar
from backend.method import Method, Preset, Task
from backend.metric_names import Figure
from backend.metrics import concepts
from backend.metrics.concepts import ConceptAnswer
from backend.observe import pictures
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

FLIPPED = 0.2
"""Probability of each concept of an altered row to be flipped."""
MOST = 1000
"""Held-out rows that figures are of at most."""


class ConceptBottleneckConfig(Config):
    objective: Literal["joint", "released", "bottleneck"] = option(
        "joint",
        "What the energy of concepts and class is fitted by. `joint`: p(c, y) over all states of "
        "both; `released`: p(y | c) alone, with energies that are then read as those of "
        "both, as in the authors' code; `bottleneck`: p(y | c) that stays p(y | c), a plain "
        "concept bottleneck x → c → y.",
        main=True,
    )
    backbone: AnyNetwork = option(
        {"kind": "mlp", "width": 64, "depth": 2, "activation": "relu"},
        "The network whose outputs are the features of x.",
        group="Networks",
    )
    embedding: int = option(
        64, "Numbers in the embedding of each class and concept.", ge=2, le=4096, group="Networks"
    )
    class_loss: float = option(
        1.0, "Factor on the loss of the class by x alone.", ge=0, le=1000, group="Objective"
    )
    concept_loss: float = option(
        1.0, "Factor on the loss of the concepts by x.", ge=0, le=1000, group="Objective"
    )
    both_loss: float = option(
        1.0, "Factor on the loss of concepts and class together.", gt=0, le=1000, group="Objective"
    )
    num_drawn: int = option(
        0,
        "States of the concepts that `joint` draws at every update to estimate its normaliser "
        "from, each over its probability; 0 counts all states, of up to 12 concepts. The estimate "
        "is low by less the more are drawn.",
        ge=0,
        le=1_000_000,
        group="Objective",
    )
    altered: float = option(
        0.0,
        "Share of rows in which a fifth of the concepts is flipped for the loss of concepts and "
        "class together, so that the class stands wrong concepts.",
        ge=0,
        le=1,
        group="Objective",
    )
    inference: Literal["enumeration", "gradient", "cut"] = option(
        "enumeration",
        "How concepts and class are answered: by all states of up to 12 concepts; by descent on "
        "their logits to a mean field; or by descent with concepts cut at one half where the class "
        "is asked by them, as in the authors' code, so that the class moves no concept.",
        main=True,
        group="Inference",
    )
    class_weight: float = option(
        0.0,
        "Factor on the energy of x and class where energies are added up. Beside energies that are "
        "fitted to p(c, y) it counts the same evidence twice.",
        ge=0,
        le=100,
        main=True,
        group="Inference",
    )
    concept_weight: float = option(
        1.0, "Factor on the energy of x and concepts.", ge=0, le=100, group="Inference"
    )
    both_weight: float = option(
        1.0, "Factor on the energy of concepts and class.", ge=0, le=100, group="Inference"
    )
    num_steps: int = option(60, "Steps of the descent.", ge=1, le=10_000, group="Inference")
    step_size: float = option(
        0.1, "Adam's step size in the descent.", gt=0, le=100, log=True, group="Inference"
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=2e-3, batch_size=128, beta1=0.9, schedule="cosine"),
        "How the weights are fitted.",
    )

    def derived(self) -> dict[str, str]:
        notes = {}
        if self.objective == "joint":
            notes["altered"] = "No effect: `joint` is fitted to concepts as they are."
        else:
            notes["num_drawn"] = "No effect: `joint` alone has the normaliser of all states."
        if self.objective == "bottleneck" and self.class_weight:
            notes["class_weight"] = "More than 0 lets the class be told past its concepts."
        return notes

    @property
    def weights(self) -> Weights:
        return Weights(self.class_weight, self.concept_weight, self.both_weight)


class ConceptBottleneck(Method):
    """p(c, y | x) ∝ exp(−a E_class(x, y) − b E_concept(x, c) − d E_both(c, y)).

    E_class and E_concept are fitted by −log softmax over classes and over {0, 1} a concept. E_both
    is fitted by E_both(c, y) + log Σ_{c', y'} exp(−E_both(c', y')), every state counted: the
    correlations of concepts are in it, and what is known of some moves the others; of many concepts
    the sum is estimated from states that are drawn (importance sampling). As released the sum is
    over y' alone, so that it says nothing of which concepts go together. Xu et al. 2024.
    """

    id: ClassVar[str] = "concept_bottleneck"
    title: ClassVar[str] = "Energy-based concept bottleneck"
    summary: ClassVar[str] = (
        "Tells classes by concepts that people can read and correct: one concept put right moves "
        "the others and the class. Needs data with concepts and classes."
    )
    references: ClassVar[str] = "Xu et al. 2024; Koh et al. 2020"
    url: ClassVar[str] = "https://arxiv.org/abs/2401.14142"
    Config: ClassVar[type[Config]] = ConceptBottleneckConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "The energy of concepts and class fitted to both, exact answers.",
            budget=Budget(steps=800),
            data={"name": "attributed"},
        ),
        "released": Preset(
            "As in the authors' code: that energy fitted to p(y | c) alone, all three added up.",
            {"objective": "released", "altered": 0.2, "inference": "cut", "class_weight": 1.0},
            budget=Budget(steps=800),
            data={"name": "attributed"},
        ),
        "bottleneck": Preset(
            "A plain concept bottleneck: concepts by x one by one, the class by concepts.",
            {"objective": "bottleneck"},
            budget=Budget(steps=800),
            data={"name": "attributed"},
        ),
    }
    learns_from: ClassVar[tuple[str, ...]] = (CONCEPTS,)
    draws: ClassVar[bool] = False
    follows_gradient: ClassVar[bool] = False
    headline: ClassVar[tuple[str, ...]] = (
        "concepts/rest_accuracy",
        "concepts/accuracy",
        "concepts/class_error",
        "classification/accuracy",
        "loss/total",
    )
    observers: ClassVar[tuple[str, ...]] = ("data", "classification", "own_events")
    figures: ClassVar[dict[str, Figure]] = {
        "loss/of_class": Figure("Loss of the class by x", "nats"),
        "loss/of_concepts": Figure("Loss of the concepts by x, their sum", "nats"),
        "loss/of_both": Figure("Loss of concepts and class together", "nats"),
        "concepts/accuracy": Figure(
            "Concepts told right",
            "share",
            better="higher",
            help="Of held-out data. The floor says of each concept what is more frequent.",
        ),
        "concepts/rest_accuracy": Figure(
            "Two concepts told right where all others are known",
            "share",
            better="higher",
        ),
        "concepts/known_class_accuracy": Figure(
            "Class told right where all concepts but two are known", "share", better="higher"
        ),
        "concepts/class_error": Figure(
            "Error of p(concept | class)",
            better="lower",
            help="Mean over concepts and classes of how far the model is from the shares in "
            "held-out data. The floor is that of the shares in training data.",
        ),
        "concepts/descent_gap": Figure(
            "Class accuracy: descent against enumeration",
            "share",
            better="lower",
            help="The largest difference over numbers of concepts that are known.",
        ),
        "inference/energy": Figure("Energy at the end of the descent", "nats"),
    }
    config: ConceptBottleneckConfig

    def __init__(self, config: ConceptBottleneckConfig, task: Task) -> None:
        super().__init__(config, task)
        backbone = build_network(config.backbone, task, num_outputs=config.embedding)
        energies = ConceptEnergies(
            backbone,
            task.data.given[CONCEPTS].shape[1],
            task.data.num_labels,
            task.generator,
            is_conditional=config.objective == "bottleneck",
        )
        self.fitter = Fitter(config.train, energies.to(task.device))
        labels = task.data.labels
        assert labels is not None
        self.law = StateLaw(task.data.given[CONCEPTS], labels, task.data.num_labels)

    @classmethod
    def problems(cls, config: ConceptBottleneckConfig, data: Data) -> Iterable[tuple[str, str]]:
        given = data.given.get(CONCEPTS)
        if given is None:
            return
        if data.num_labels < 2:
            yield (
                "data.name",
                f"must come in classes, and {data.title!r} does not. Choose `attributed`, or name "
                "the column of classes in data.label of a file.",
            )
        if given.dim() != 2 or not bool(((given == 0) | (given == 1)).all()):
            yield "data.name", f"{data.title!r} has concepts that are not all 0 or 1."
            return
        num = given.shape[1]
        if num > MOST_CONCEPTS and config.objective == "joint" and not config.num_drawn:
            yield (
                "num_drawn",
                f"must be more than 0, such as 2000: all states are counted of at most "
                f"{MOST_CONCEPTS} concepts, and these data have {num}.",
            )
        if num > MOST_CONCEPTS and config.inference == "enumeration":
            yield (
                "inference",
                f"must be `gradient` or `cut`: `enumeration` counts all states of at most "
                f"{MOST_CONCEPTS} concepts, and these data have {num}.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data = self.config, self.task.data
        index = data.indices(config.train.batch_size, self.generator)
        x, label, given = data.rows(index)
        assert label is not None
        truth = given[CONCEPTS]
        coins = torch.rand((len(x), 1 + truth.shape[1]), generator=self.generator, device=x.device)
        flips = (coins[:, :1] < config.altered) & (coins[:, 1:] < FLIPPED)
        altered = torch.where(flips, 1 - truth, truth)
        factors = x.new_tensor([config.class_loss, config.concept_loss, config.both_loss])
        parts = x.new_zeros(3)
        is_drawn = config.objective == "joint" and config.num_drawn > 0
        drawn = self.law.draw(config.num_drawn, self.generator) if is_drawn else None

        def losses() -> Iterator[Tensor]:
            for share, part in self.fitter.split(x, label, truth, altered):
                of_part = share * self._losses(*part, drawn=drawn)
                parts.add_(of_part.detach())
                yield of_part @ factors

        fitted = self.fitter.update(losses(), progress)
        return {
            "loss/total": parts @ factors,
            "loss/of_class": parts[0],
            "loss/of_concepts": parts[1],
            "loss/of_both": parts[2],
            **fitted,
        }

    def _losses(
        self,
        x: Tensor,
        label: Tensor,
        truth: Tensor,
        altered: Tensor,
        *,
        drawn: DrawnStates | None,
    ) -> Tensor:
        """(3,): −log p of the class by x, of all concepts by x, and of both, or of y where c is
        known, by E_both; drawn: states that its normaliser is estimated from."""
        energies = self.fitter.module
        features = energies.backbone(x)
        of_class = F.cross_entropy(-energies.of_classes(features), label)
        of_each = -energies.of_concepts(features)
        of_concepts = F.cross_entropy(of_each.flatten(0, 1), truth.flatten().long())
        if self.config.objective == "joint":
            of_both = energies.of_both(truth).gather(1, label[:, None]).mean()
            of_both = of_both + energies.log_normaliser(drawn)
        else:
            of_both = F.cross_entropy(-energies.of_both(altered), label)
        return torch.stack([of_class, truth.shape[1] * of_concepts, of_both])

    # ------------------------------------------------------------------ what it answers

    @classmethod
    def no_energy(cls) -> str:
        return (
            f"{cls.title} says what concepts and class follow from x, and nothing of x: it has no "
            "energy of positions and no samples. Ask for classes, or correct concepts."
        )

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels

    def class_log_probs(self, x: Tensor) -> Tensor:
        return self.concepts_and_class(x).log_labels

    def concepts_and_class(self, x: Tensor, known: Tensor | None = None) -> ConceptAnswer:
        if self.config.inference == "enumeration":
            return enumerated(self.fitter.fitted, x, self.config.weights, known)
        return self._descended(x, known)[0]

    def _descended(self, x: Tensor, known: Tensor | None) -> tuple[ConceptAnswer, Tensor]:
        config = self.config
        return descended(
            self.fitter.fitted,
            x,
            config.weights,
            known,
            num_steps=config.num_steps,
            step_size=config.step_size,
            is_cut=config.inference == "cut",
        )

    @torch.no_grad()
    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Shares told right by how many concepts are known, p(concept | class) and a descent."""
        data, config = self.task.data, self.config
        num = data.given[CONCEPTS].shape[1]
        rows = data.held_out_rows(slice(0, MOST))
        truth = rows.given[CONCEPTS]
        known = torch.cat([concepts.known(truth, number) for number in range(num + 1)])
        x = rows.x.repeat(num + 1, *[1] * (rows.x.dim() - 1))
        answer, trace = self._descended(x, known)
        traces = trace.unflatten(1, (num + 1, -1)).mean(2)
        yield Scalar("inference/energy", float(traces[-1, 0]))
        yield Curve(
            "inference/energies",
            np.arange(len(traces), dtype=np.float32),
            pictures.float32(traces[:, [0, num // 2]].T),
            ["no concept known", f"{num // 2} of {num} known"],
            "steps",
            "nats",
        )
        lines = {"by descent": _accuracies(answer, known, rows)}
        if num <= MOST_CONCEPTS:
            answer = enumerated(self.fitter.fitted, x, config.weights, known)
            lines = {"by enumeration": _accuracies(answer, known, rows), **lines}
            gaps = [abs(a.label - b.label) for a, b in zip(*lines.values(), strict=True)]
            yield Scalar("concepts/descent_gap", max(gaps))
        best = next(iter(lines.values()))
        yield Scalar("concepts/accuracy", best[0].rest)
        yield Scalar("concepts/accuracy/floor", concepts.majority(truth))
        yield Scalar("concepts/rest_accuracy", best[max(num - 2, 0)].rest)
        yield Scalar("concepts/known_class_accuracy", best[max(num - 2, 0)].label)
        yield _curve(lines)
        first = ConceptAnswer(*(part[: len(rows.x)] for part in answer))
        yield from _by_class(data, first, rows)


def _accuracies(answer: ConceptAnswer, known: Tensor, rows: Rows) -> list[concepts.Accuracies]:
    """Shares told right where 0, 1, 2, … concepts are known, of answers for all rows time after
    time."""
    truth, label, size = rows.given[CONCEPTS], rows.label, len(rows.x)
    assert label is not None
    parts = (each.split(size) for each in (answer.log_labels, answer.concepts, known))
    return [
        concepts.accuracies(log_labels, present, given, truth, label)
        for log_labels, present, given in zip(*parts, strict=True)
    ]


def _curve(lines: dict[str, list[concepts.Accuracies]]) -> Curve:
    """Shares told right over how many concepts are known."""
    y, names = [], []
    for how, shares in lines.items():
        y += [[each.label for each in shares], [each.rest for each in shares]]
        names += [f"class, {how}", f"others, {how}"]
    x = np.arange(len(y[0]), dtype=np.float32)
    return Curve("concepts/known", x, np.array(y, np.float32), names, "concepts known", "share")


def _by_class(data: Data, answer: ConceptAnswer, rows: Rows) -> Iterable[Event]:
    """p(concept | class) of the model and in held-out data: how far apart, and tables of both."""
    assert rows.label is not None and data.labels is not None
    num_labels = data.num_labels
    model = concepts.by_class(answer.present, answer.log_labels)
    truth = concepts.shares(rows.given[CONCEPTS], rows.label, num_labels)
    trained = concepts.shares(data.given[CONCEPTS], data.labels, num_labels)
    yield Scalar("concepts/class_error", concepts.error(model, truth))
    yield Scalar("concepts/class_error/floor", concepts.error(trained, truth))
    yield pictures.concept_table("concepts/probabilities_model", data, model)
    yield pictures.concept_table("concepts/probabilities_data", data, truth)
