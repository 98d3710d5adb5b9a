"""A small and a large classifier, the large one asked where the small one's energy is high."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyNetwork, build_network
from backend.energies.classifier import Classifier
from backend.events import Event, Scalar
from backend.method import Preset, Task
from backend.methods.classifiers import OF_CLASSES_ALONE, ClassifierMethod
from backend.metric_names import Figure
from backend.metrics import routing
from backend.metrics.density import energies
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

CHUNK = 4096


class EnergyRoutingConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp", "width": 12, "depth": 1},
        "The small network, whose energy says who answers.",
        group="Networks",
    )
    larger: AnyNetwork = option(
        {"kind": "mlp", "width": 256, "depth": 2},
        "The large network, which answers what is sent on.",
        group="Networks",
    )
    small_rows: int = option(
        150,
        "Training rows that the small network sees; where there are fewer it sees all.",
        ge=2,
        le=1_000_000,
        main=True,
        group="Networks",
    )
    train: TrainConfig = option(
        TrainConfig(learning_rate=2e-3, batch_size=64, beta1=0.9, schedule="cosine"),
        "How the weights of both are fitted.",
        group="Training",
    )


class EnergyRouting(ClassifierMethod):
    """E(x) = −log Σ_y exp f_y(x) of the small classifier's logits f: at most τ it answers, above it
    the large one does. Both are fitted by cross-entropy, and neither for the routing.

    τ is a matter of asking: the ability `route` draws accuracy and cost for all of them, beside the
    scores that routing by probabilities takes. Akbari et al. 2022 (E-LANG).
    """

    id = "energy_routing"
    title = "Energy routing (E-LANG)"
    summary = (
        "Fits a small and a large classifier and asks the large one only where the small one's "
        "energy is high. Needs data with classes."
    )
    references = "Akbari et al. 2022"
    url = "https://arxiv.org/abs/2203.00748"
    Config = EnergyRoutingConfig
    not_a_density = OF_CLASSES_ALONE
    follows_gradient = False
    headline: ClassVar[tuple[str, ...]] = (
        "routing/area",
        "routing/share_needed",
        "classification/accuracy",
        "loss/large",
        "loss/small",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "routing/area": Figure(
            "Accuracy, the mean over shares sent on",
            "share",
            better="higher",
            help="Of held-out data, sent on by energy. The floor is that of sending on at random.",
        ),
        "routing/share_needed": Figure(
            "Share sent on for the accuracy of the large one",
            "share",
            better="lower",
            help="Less half a point, by the best threshold in hindsight.",
        ),
        "routing/large_accuracy": Figure("Accuracy of the large one", "share", better="higher"),
        "loss/large": Figure("Cross-entropy of the large one", "nats", better="lower"),
        "loss/small": Figure("Cross-entropy of the small one", "nats", better="lower"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "A perceptron of twelve units beside one of two layers of 256.",
            {},
            Budget(steps=1500),
            data={"name": "digits"},
        ),
    }
    observers: ClassVar[tuple[str, ...]] = (
        "data",
        "landscape",
        "energy_histogram",
        "classification",
        "own_events",
    )
    config: EnergyRoutingConfig

    def __init__(self, config: EnergyRoutingConfig, task: Task) -> None:
        super().__init__(config, config.energy, config.train, task)
        data = task.data
        built = build_network(config.larger, task, num_outputs=data.num_labels)
        self.larger = Classifier(built, data.noise_low, data.noise_high).to(task.device)
        self.larger_fitter = Fitter(config.train, self.larger)
        order = torch.randperm(len(data.train), generator=self.generator, device=task.device)
        self.few = order[: config.small_rows]
        """places of the rows that the small network sees"""

    def step(self, progress: float) -> dict[str, Tensor]:
        data, size = self.task.data, self.config.train.batch_size
        drawn = torch.randint(
            len(self.few), (size,), generator=self.generator, device=self.few.device
        )
        on_small, small = self._fit(self.fitter, self.few[drawn], progress)
        on_large, large = self._fit(
            self.larger_fitter, data.indices(size, self.generator), progress
        )
        return {
            "loss/total": on_small + on_large,
            "loss/small": on_small,
            "loss/large": on_large,
            **large,
            "optimiser/gradient_norm_small": small["optimiser/gradient_norm"],
        }

    def _fit(
        self, fitter: Fitter[Classifier], index: Tensor, progress: float
    ) -> tuple[Tensor, Any]:
        """One update by the cross-entropy of some rows; that, and what the optimiser did."""
        data, total = self.task.data, []
        assert data.labels is not None
        batch = (data.train[index], data.labels[index])

        def losses() -> Iterator[Tensor]:
            for share, (x, label) in fitter.split(*batch):
                loss = share * F.cross_entropy(fitter.module.logits(x), label)
                total.append(loss.detach())
                yield loss

        fitted = fitter.update(losses(), progress)
        return torch.stack(total).sum(), fitted

    def larger_log_probs(self, x: Tensor) -> Tensor:
        return self.larger_fitter.fitted.log_probs(x)

    @torch.no_grad()
    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Figures of held-out data sent on by energy."""
        data = self.task.data
        x, labels = data.held_out[:CHUNK], data.held_out_labels
        if labels is None:
            return
        small, large = (
            log_probs(x).argmax(1) == labels[:CHUNK]
            for log_probs in (self.class_log_probs, self.larger_log_probs)
        )
        curve = routing.accuracies(energies(self.energy(), x), small, large)
        yield Scalar("routing/area", routing.area(curve))
        yield Scalar("routing/area/floor", float(curve[0] + curve[-1]) / 2)
        yield Scalar("routing/share_needed", routing.share_needed(curve))
        yield Scalar("routing/large_accuracy", float(curve[-1]))
