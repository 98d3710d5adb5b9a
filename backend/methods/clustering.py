"""Base of methods that make clusters and an energy of one network, without labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.energies import AnyNetwork, build_network
from backend.energies.classifier import Classifier, CosineHead
from backend.method import Method, Start, Task
from backend.methods.classifiers import ClassifierMethod
from backend.metric_names import Figure
from backend.objectives import clustering
from backend.sampler import Sampler
from backend.samplers import ChainSampler, Walk
from backend.samplers.replay_buffer import drawn_places, restarted
from backend.training import Fitter, TrainConfig

WALL = 0.2
"""Width, in data sd, of the wall around the box of noise: bounded logits have no normaliser."""


class ClusteringConfig(Config):
    energy: AnyNetwork = option(
        {"kind": "mlp", "width": 100, "depth": 2},
        "The network that embeds an event, in a coordinate for each cluster and some besides.",
        group="Energy",
    )
    spare: int = option(
        14,
        "Coordinates of the embedding beside those of the clusters: where what is like none of "
        "them goes.",
        ge=1,
        le=4096,
        log=True,
        group="Energy",
    )
    prototypes: Literal["learned", "axes"] = option(
        "learned",
        "What an embedding is near to where an event is of a cluster: directions that are learned, "
        "so that two of them can become one, or axes at right angles.",
        group="Energy",
    )
    temperature: float = option(
        0.1,
        "τ of logits cosine / τ, which lie within ±1/τ. At twice the usual 0.1 "
        "no event is ever sure of its cluster.",
        ge=0.01,
        le=10,
        group="Energy",
    )
    energy_weight: float = option(
        1.0,
        "Weight of the likelihood of x; 0 makes clusters without a density.",
        ge=0,
        le=1000,
        main=True,
        group="Objective",
        turnable=True,
    )
    invariance_weight: float = option(
        20.0,
        "Weight of an event and its noisy copy being of one cluster, and sure of it.",
        ge=0,
        le=1000,
        main=True,
        group="Objective",
        turnable=True,
    )
    prior_weight: float = option(
        50.0,
        "Weight of clusters being of the sizes that are expected; 0 lets them run empty.",
        ge=0,
        le=1000,
        main=True,
        group="Objective",
        turnable=True,
    )
    copy_noise: float = option(
        0.2,
        "Gaussian noise between an event and its copy: about the distance that events of one "
        "cluster keep to one another. Below it clusters break up, above it they merge.",
        unit="data sd",
        ge=0,
        le=10,
        group="Objective",
        turnable=True,
    )
    sampler: ChainSampler = option(
        {"kind": "langevin", "step_size": 0.01},
        "What draws the samples that training contrasts.",
        group="Sampler",
    )
    num_steps: int = option(
        5,
        "Sampler steps of the chains at every update.",
        ge=1,
        le=10_000,
        group="Chains",
        turnable=True,
    )
    buffer_size: int = option(
        5000,
        "Chains kept between updates; each update moves a batch of them.",
        ge=1,
        le=1_000_000,
        group="Chains",
    )
    reinit_rate: float = option(
        0.05,
        "Share of an update's chains that start anew.",
        ge=0,
        le=1,
        group="Chains",
        turnable=True,
    )
    start: Literal["range", "noise"] = option(
        "range",
        "Chains start, and restart, uniform over the range of the data, or over the wider box of "
        "noise, where too few of them see what lies between clusters.",
        group="Chains",
    )
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=1e-3, schedule="constant", batch_size=256, beta1=0.9, gradient_clip=0.0
        ),
        "How the weights are fitted.",
        group="Training",
    )

    def derived(self) -> dict[str, str]:
        return {} if self.invariance_weight else {"copy_noise": "No effect without invariance."}

    def idle_ramp(self, *weights: float) -> dict[str, str]:
        """Sentences about the ramp of the terms of these weights."""
        if any(weights):
            return {}
        return dict.fromkeys(("warm_up_share", "ramp_share"), "No effect on terms of weight 0.")


class Logits(NamedTuple):
    """Logits of an update, (batch, group_size, num_clusters) each."""

    x: Tensor
    near: Tensor
    model: Tensor


class ClusteringMethod(Method):
    """Base of methods that fit a `Classifier` of clusters. Chains are kept in a replay buffer.

    A subclass says how the weights of terms rise with `progress`, and may add terms of its own, of
    groups of events that are drawn together.
    """

    observers: ClassVar[tuple[str, ...]] = (
        *Method.observers[:-1],
        "clusters",
        "robustness",
        Method.observers[-1],
    )
    figures: ClassVar[dict[str, Figure]] = {
        "clusters/nmi": Figure(
            "Normalised mutual information with the true classes",
            better="higher",
            help="Of held-out data. No other meter tells a wrong split from a right one.",
        ),
        "clusters/ari": Figure("Adjusted Rand index with the true classes", better="higher"),
        "clusters/matched_accuracy": Figure(
            "Accuracy up to the clusters' numbers",
            "share",
            better="higher",
            help="Each cluster is named after a class, so that most events are named right.",
        ),
        "clusters/largest": Figure(
            "Largest cluster", "share", help="Near 1 all events are of one cluster."
        ),
        "clusters/entropy": Figure(
            "Entropy of an event's cluster",
            "nats",
            help="Mean H(cluster | x). At the logarithm of their number nobody knows.",
        ),
        "clusters/mutual_information": Figure(
            "Mutual information of events and clusters",
            "nats",
            help="High where clusters are even and sure, be they right or wrong.",
        ),
        "loss/invariance": Figure("Cross-entropy of an event and its copy", "nats"),
        "loss/prior": Figure("Cross-entropy of expected and mean probabilities", "nats"),
        "outliers/auroc": ClassifierMethod.figures["outliers/auroc"],
    }
    config: Any

    def __init__(self, config: ClusteringConfig, num_clusters: int, task: Task) -> None:
        super().__init__(config, task)
        data, generator = task.data, self.generator
        if not config.energy_weight:
            self.not_a_density = (
                "Training makes clusters alone, so the energy is what the logits happen to add up "
                "to, and exp(−E) is no density of the data."
            )
        embedding = build_network(config.energy, task, num_outputs=num_clusters + config.spare)
        drawn = generator if config.prototypes == "learned" else None
        head = CosineHead(embedding, num_clusters, config.temperature, drawn)
        classifier = Classifier(head, data.noise_low, data.noise_high, WALL)
        self.fitter = Fitter(config.train, classifier.to(task.device))
        self.kernel = samplers.build(config.sampler)
        self.buffer = self._fresh(config.buffer_size, generator)
        self.expected = torch.full((num_clusters,), 1 / num_clusters, device=task.device)
        """shares of events that clusters are expected to hold"""

    @abstractmethod
    def weights(self, progress: float) -> dict[str, float]:
        """Weight of every term when `progress` of the budget is used, by name."""

    def groups(self, num: int) -> Tensor:
        """(num, group_size, *event_shape) training events, groups of one unless overridden."""
        return self.task.data.batch(num, self.generator)[:, None]

    def own_terms(self, log_probs: Tensor) -> dict[str, Tensor]:
        """Terms beside energy, invariance and prior, 0-d means over groups by name, of log_probs
        (batch, group_size, num_clusters)."""
        return {}

    def step(self, progress: float) -> dict[str, Tensor]:
        config, generator = self.config, self.generator
        x = self.groups(config.train.batch_size)
        near = self.task.data.noised(x, config.copy_noise, generator)
        places, start = self._drawn(x.shape[:2].numel(), generator)
        walk = self._walk(start, generator)
        self.gradient_evaluations += walk.gradient_evaluations
        x_model = walk.state.position
        self.buffer[places] = x_model
        batch = (x, near, x_model.unflatten(0, x.shape[:2]))
        whole = self._marginal(x) if config.train.micro_batches > 1 else None
        weights = self.weights(progress)
        parts: list[Logits] = []

        def losses() -> Iterator[Tensor]:
            for share, part in self.fitter.split(*batch):
                logits = self._logits(part)
                parts.append(Logits(*(each.detach() for each in logits)))
                yield _weighed(self._terms(logits, share, whole), weights, share)

        fitted = self.fitter.update(losses(), progress)
        logits = Logits(*(torch.cat(each) for each in zip(*parts, strict=True)))
        terms = self._terms(logits)
        energies = -torch.stack([logits.x, logits.model]).logsumexp(3).flatten(1)
        of_data, of_model = energies.mean(1)
        return {
            "loss/total": _weighed(terms, weights),
            **{f"loss/{name}": value for name, value in terms.items() if name != "energy"},
            "energy/data": of_data,
            "energy/model": of_model,
            "energy/gap": of_data - of_model,
            "energy/max": energies.abs().amax(),
            "sampler/radius": x_model.flatten(1).norm(dim=1).amax(),
            **fitted,
        }

    def _logits(self, batch: Sequence[Tensor]) -> Logits:
        """Those of x, near and x_model, each (batch, group_size, *event_shape)."""
        shape = batch[0].shape[:2]
        whole = self.fitter.module.logits(torch.cat([each.flatten(0, 1) for each in batch]))
        return Logits(*(each.unflatten(0, shape) for each in whole.chunk(3)))

    def _terms(
        self, logits: Logits, share: float = 1.0, whole: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Terms, 0-d by name. Of a part of a batch the prior, which is of the mean over all of it,
        is that of `whole`, with the gradient of this share in it."""
        of_x, of_near, of_model = (each.flatten(0, 1) for each in logits)
        marginal = of_x.softmax(1).mean(0)
        if whole is not None:
            marginal = whole + share * (marginal - marginal.detach())
        return {
            "energy": of_model.logsumexp(1).mean() - of_x.logsumexp(1).mean(),
            "invariance": clustering.invariance(of_x, of_near),
            "prior": clustering.prior(marginal, self.expected),
            **self.own_terms(logits.x.log_softmax(2)),
        }

    @torch.no_grad()
    def _marginal(self, x: Tensor) -> Tensor:
        """Mean probabilities (num_clusters,) of groups x."""
        return self.fitter.module.log_probs(x.flatten(0, 1)).exp().mean(0)

    def energy(self) -> Classifier:
        return self.fitter.fitted

    def cluster_log_probs(self, x: Tensor) -> Tensor:
        return self.fitter.fitted.log_probs(x)

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        return Start(self._drawn(num, generator)[1], True, self.config.num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        return self._walk(self._drawn(num, generator)[1], generator).state.position

    def _drawn(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places (num,) of chains in the buffer and where they go on from, some of them anew."""
        places = drawn_places(self.buffer, num, generator)
        fresh, rate = self._fresh(num, generator), self.config.reinit_rate
        return places, restarted(self.buffer[places], self.task.data, rate, generator, fresh)

    def _fresh(self, num: int, generator: torch.Generator) -> Tensor:
        """Starts (num, *event_shape) of chains."""
        noise, data = self.task.data.noise(num, generator), self.task.data
        if self.config.start == "noise":
            return noise
        low, high = data.train.amin(0), data.train.amax(0)
        share = (noise - data.noise_low) / (data.noise_high - data.noise_low)
        return low + share * (high - low)

    def _walk(self, start: Tensor, generator: torch.Generator) -> Walk:
        """An update's steps of chains from `start` (num, *event_shape)."""
        return samplers.run(
            self.kernel, start, self.fitter.module, generator, self.config.num_steps
        )


def _weighed(terms: dict[str, Tensor], weights: dict[str, float], share: float = 1.0) -> Tensor:
    """Σ weight × term, 0-d; all but the prior, which is of the whole batch, by their share."""
    scaled = [
        weights[name] * (1.0 if name == "prior" else share) * value for name, value in terms.items()
    ]
    return torch.stack(scaled).sum()
