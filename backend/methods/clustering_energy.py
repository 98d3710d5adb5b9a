"""Few labels and many queries: prototypes, entropy and a Laplacian, lowered by bound steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.data import Data
from backend.datasets.episodes import episodes, large_classes, rows_needed
from backend.energies.label_clustering import LabelEnergy, Labelled, other_ways
from backend.events import Curve, Event, Points, Scalar, Table, Trajectory
from backend.method import Method, Preset, Task
from backend.metric_names import Figure
from backend.metrics.quality import Quality
from backend.observe import pictures
from backend.spec import Budget

DIGITS = {"name": "digits"}
VARIANTS = {
    "accuracy": "prototypes, entropy and Laplacian",
    "prototype": "nearest prototype, no query asked",
    "k_means": "k-means",
    "soft_k_means": "soft k-means, no Laplacian",
    "laplacian_alone": "Laplacian, prototypes fixed",
    "label_spreading": "label spreading",
}
TERMS = ("distance", "entropy", "laplacian")
UNKNOWN = -30.0
"""Logit of a class that is not in the episode."""


class ClusteringEnergyConfig(Config):
    ways: int = option(5, "Classes of an episode.", ge=2, le=100, main=True, group="Episodes")
    shots: int = option(
        1, "Labelled events of each class.", ge=1, le=100, main=True, group="Episodes"
    )
    queries: int = option(
        15, "Events to be named, for each class.", ge=1, le=500, main=True, group="Episodes"
    )
    concentration: float = option(
        0.0,
        "Queries' classes have Dirichlet shares of this concentration: the smaller the less "
        "balanced. 0 makes classes equally large.",
        ge=0,
        le=100,
        main=True,
        group="Episodes",
    )
    num_episodes: int = option(
        60, "Episodes that are solved side by side.", ge=1, le=2000, group="Episodes"
    )
    laplacian_weight: float = option(
        1.0,
        "λ, by which neighbours want to be of one class. 0 is soft k-means.",
        ge=0,
        le=100,
        main=True,
        turnable=True,
        group="Energy",
    )
    distance_weight: float = option(
        5.0,
        "Weight of the squared distance to prototypes beside the entropy.",
        ge=0.001,
        le=1000,
        group="Energy",
    )
    prototypes: Literal["moving", "fixed"] = option(
        "moving",
        "Prototypes are the means of what is assigned to them, or stay those of the labels.",
        group="Energy",
    )
    num_neighbours: int = option(
        3, "Nearest neighbours that are tied to an event.", ge=1, le=100, group="Energy"
    )
    affinity: Literal["plain", "dominant"] = option(
        "plain",
        "Ties of neighbours as they are, with which large λ may oscillate, or with each event's "
        "number of ties on the diagonal: positive semi-definite, so that the energy cannot rise.",
        group="Energy",
    )
    normalised: bool = option(
        True, "Features have length 1 about the mean of the data.", group="Energy"
    )


class ClusteringEnergy(Method):
    """E(z, μ) = a Σ z_ik |x_i − μ_k|² + Σ z_i·log z_i − λ/2 Σ w_ij z_i·z_j over labels z of events.

    A step is one round: z_i ← softmax(−a |x_i − μ_k|² + λ Σ_j w_ij z_jk) for all queries at once,
    which minimises a bound where w is positive semi-definite, then μ_k ← mean of what is assigned
    to it, the few labelled events with their labels. Ziko et al. 2020; Boudiaf et al. 2020.
    """

    id = "clustering_energy"
    title = "Few-shot labelling by a clustering energy"
    summary = (
        "Names queries by few labelled events and by one another: prototypes, entropy and a "
        "Laplacian, lowered round by round. Needs data with classes; nothing is trained."
    )
    references = "Ziko et al. 2020"
    url = "https://arxiv.org/abs/2006.15486"
    Config = ClusteringEnergyConfig
    purpose = "classify"
    follows_gradient = False
    draws: ClassVar[bool] = False
    headline: ClassVar[tuple[str, ...]] = (
        "few_shot/accuracy",
        "few_shot/prototype",
        "loss/total",
        "few_shot/rise",
    )
    figures: ClassVar[dict[str, Figure]] = {
        **{
            f"few_shot/{name}": Figure(f"Accuracy on queries, {words}", "share", better="higher")
            for name, words in VARIANTS.items()
        },
        "few_shot/rise": Figure(
            "Largest rise of the energy in a round", "nats", better="lower", help="Of any episode."
        ),
        "loss/distance": Figure("Distances to prototypes", "nats"),
        "loss/entropy": Figure("Negative entropy of the labels", "nats"),
        "loss/laplacian": Figure("Ties of neighbours", "nats"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "One label a class, queries balanced.", {}, Budget(steps=40), data=DIGITS
        ),
        "unbalanced": Preset(
            "Five labels a class and queries of Dirichlet sizes, where soft k-means fails.",
            {"shots": 5, "concentration": 2.0, "laplacian_weight": 2.0},
            Budget(steps=40),
            data=DIGITS,
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "own_events")
    config: ClusteringEnergyConfig

    @classmethod
    def no_energy(cls) -> str:
        return "The energy is one of the labels of queries; `classify` names other events."

    @classmethod
    def problems(cls, config: ClusteringEnergyConfig, data: Data) -> Iterable[tuple[str, str]]:
        if data.labels is None:
            yield "data.name", f"must come in classes, and {data.title!r} does not. Try `digits`."
            return
        least = rows_needed(config.ways, config.shots, config.queries, config.concentration)
        if (num := len(large_classes(data.labels, data.num_labels, least))) < config.ways:
            yield (
                "ways",
                f"must be at most {num}, the classes of {least} rows or more, got {config.ways}. "
                "Take fewer `queries` or `shots`, or balance them.",
            )

    def __init__(self, config: ClusteringEnergyConfig, task: Task) -> None:
        super().__init__(config, task)
        data = task.data
        assert data.labels is not None
        self.centre = data.train.flatten(1).double().mean(0)
        sizes = (config.ways, config.shots, config.queries)
        least = rows_needed(*sizes, config.concentration)
        self.episodes = episodes(
            data.labels,
            large_classes(data.labels, data.num_labels, least),
            config.num_episodes,
            sizes,
            config.concentration,
            self.generator,
        )
        self.num_given = config.ways * config.shots
        given = F.one_hot(self.episodes.truth[:, : self.num_given], config.ways).double()
        x = self._features(data.train)[self.episodes.rows]
        self.labels = LabelEnergy(x, given, config.num_neighbours, config.affinity == "dominant")
        self.shares, self.prototypes = self.labels.start(config.distance_weight)
        self.before = self._terms(self.now).sum(0)
        self.rise = torch.zeros_like(self.before[0])
        """largest rise in a round of any episode so far, in nats"""
        self.rounds = torch.zeros((), dtype=torch.int64)

    @property
    def now(self) -> Labelled:
        return Labelled(self.shares, self.prototypes)

    def _features(self, x: Tensor) -> Tensor:
        """(num, dim) of events (num, *event_shape), about the mean of the data."""
        centred = x.flatten(1).double() - self.centre
        return F.normalize(centred, dim=1) if self.config.normalised else centred

    def _terms(self, labelled: Labelled) -> Tensor:
        config = self.config
        return self.labels.terms(labelled, config.distance_weight, config.laplacian_weight)

    def _round(self, now: Labelled) -> Labelled:
        config = self.config
        moving = config.prototypes == "moving"
        return self.labels.round(now, config.distance_weight, config.laplacian_weight, moving)

    def step(self, progress: float) -> dict[str, Tensor]:
        slope = self.labels.slope(self.now, self.config.distance_weight)
        self.shares, self.prototypes = self._round(self.now)
        terms = self._terms(self.now)
        energy = terms.sum(0)
        self.rise = torch.maximum(self.rise, (energy - self.before).amax())
        self.before = energy
        self.rounds += 1
        return {
            "loss/total": energy.mean(),
            **{f"loss/{name}": term.mean() for name, term in zip(TERMS, terms, strict=True)},
            "few_shot/rise": self.rise,
            "optimiser/gradient_norm": slope.norm(dim=(1, 2)).mean(),
        }

    def after_turn(self, fields: frozenset[str]) -> None:
        self.before = self._terms(self.now).sum(0)

    @property
    def num_labels(self) -> int:
        return self.task.data.num_labels

    def class_log_probs(self, x: Tensor) -> Tensor:
        """By the prototypes of the first episode; classes that are not in it are never called."""
        cost = torch.cdist(self._features(x), self.prototypes[0]).square()
        logits = torch.full((len(x), self.num_labels), UNKNOWN, dtype=cost.dtype, device=x.device)
        index = self.episodes.classes[0].expand(len(x), -1)
        logits = logits.scatter(1, index, -self.config.distance_weight * cost)
        return logits.log_softmax(1).float()

    def accuracies(self) -> dict[str, float]:
        """Accuracy on queries now, and of every other way of naming them, by path."""
        scale, tie = self.config.distance_weight, self.config.laplacian_weight
        others = other_ways(self.labels, scale, tie, int(self.rounds))
        queries = slice(self.num_given, None)
        right = self.episodes.truth[:, queries]
        return {
            f"few_shot/{name}": float((z[:, queries].argmax(2) == right).double().mean())
            for name, z in {"accuracy": self.shares, **others}.items()
        }

    def observe(self, generator: torch.Generator) -> Iterator[Event]:
        figures = self.accuracies()
        yield from (Scalar(path, value) for path, value in figures.items())
        rows: list[list[str | float | int | None]] = [
            [words, figures[f"few_shot/{name}"]] for name, words in VARIANTS.items()
        ]
        yield Table("few_shot/ways", ["way of naming queries", "accuracy"], rows)
        yield from self._pictures()

    def _pictures(self) -> Iterator[Event]:
        """The first episode: its energy by round, and its events and prototypes in the plane."""
        ways = [self.labels.start(self.config.distance_weight)]
        for _ in range(int(self.rounds)):
            ways.append(self._round(ways[-1]))
        terms = torch.stack([self._terms(each)[:, 0] for each in ways], 1)
        y = pictures.float32(torch.cat([terms.sum(0, keepdim=True), terms]))
        rounds = np.arange(y.shape[1], dtype=np.float32)
        yield Curve("few_shot/rounds", rounds, y, ["energy", *TERMS], "round", "nats")
        x = self.labels.x[0]
        axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:2].T
        plane = (x - x.mean(0)) @ axes
        calls = {"start": ways[0].shares[0].argmax(1), "now": ways[-1].shares[0].argmax(1)}
        for name, called in {**calls, "truth": self.episodes.truth[0]}.items():
            yield Points(
                f"few_shot/{name}",
                pictures.float32(plane),
                "data",
                labels=called.cpu().numpy().astype(np.int32),
                axes=("principal component 1", "principal component 2"),
            )
        walked = torch.stack([(each.prototypes[0] - x.mean(0)) @ axes for each in ways])
        view = torch.stack([plane.amin(0), plane.amax(0)], 1).tolist()
        path = "few_shot/prototype_paths"
        yield Trajectory(path, pictures.float32(walked), "train_time", view=view)

    def final_figures(self, quality: Quality, generator: torch.Generator) -> dict[str, float]:
        return {**self.accuracies(), "few_shot/rise": float(self.rise)}
