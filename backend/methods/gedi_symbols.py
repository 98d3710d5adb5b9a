"""Symbols from a constraint alone: digits whose triples add up, and nothing else is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import option
from backend.datasets.digits import sums
from backend.events import Event, Scalar
from backend.method import Preset, Task
from backend.methods.clustering import ClusteringConfig, ClusteringMethod
from backend.metric_names import Figure
from backend.objectives.clustering import ramp, unsatisfied
from backend.spec import Budget

NUM_SYMBOLS = 10
TRIPLE = "triple"
MOST = 1000
"""Held-out triples that are looked at, at most."""


class GediSymbolsConfig(ClusteringConfig):
    constraint_weight: float = option(
        1.0,
        "Weight of the symbols of a triple adding up.",
        ge=0,
        le=1000,
        main=True,
        group="Objective",
        turnable=True,
    )
    prior: Literal["uniform", "triples"] = option(
        "uniform",
        "How frequent symbols are expected to be: all alike, or as in triples that add up.",
        group="Objective",
    )
    warm_up_share: float = option(
        0.5,
        "Share of the budget that trains constraint and prior alone. Invariance and energy before "
        "names are right hold on to wrong ones.",
        ge=0,
        le=1,
        group="Objective",
    )
    ramp_share: float = option(
        0.3,
        "Share of the budget over which invariance and energy rise to their weights after that.",
        ge=0,
        le=1,
        group="Objective",
    )

    def derived(self) -> dict[str, str]:
        return super().derived() | self.idle_ramp(self.invariance_weight, self.energy_weight)


SYMBOLS: dict[str, Any] = {
    "energy": {"kind": "mlp", "width": 256, "depth": 2},
    "spare": 246,
    "prototypes": "axes",
    "energy_weight": 1.0,
    "invariance_weight": 2.0,
    "prior_weight": 20.0,
    "copy_noise": 0.3,
    "train": {
        "batch_size": 40,
        "learning_rate": 0.01,
        "schedule": "steps",
        "beta1": 0.0,
        "gradient_clip": 1.0,
    },
}
"""With few spare coordinates every cosine is large at first: digits are sure of a name, and of a
wrong one, before the constraint has had its say."""


class GediSymbols(ClusteringMethod):
    """Least c (−log Σ_{a+b=s} p(a | x₁) p(b | x₂) p(s | x₃)) + the terms of `gedi`.

    p(y | x) = softmax f(x) of ten symbols. All that is known of three digits is that the first two
    add up to the third: naming every digit 0 says so too, which the prior forbids, and so does
    nothing else. Clusters without their names are what invariance and energy find; the constraint
    names them. Sansone & Manhaeve 2025; the constraint is a semantic loss, Manhaeve et al. 2018.
    """

    id = "gedi_symbols"
    title = "Symbols from sums (GEDI)"
    summary = (
        "Learns to read digits from triples of them that add up, with no digit's name given: a "
        "constraint in place of labels, and what keeps it from a shortcut."
    )
    references = "Sansone & Manhaeve 2025; Manhaeve et al. 2018"
    url = "https://arxiv.org/abs/2212.13425"
    Config = GediSymbolsConfig
    learns_from: ClassVar[tuple[str, ...]] = (TRIPLE,)
    headline: ClassVar[tuple[str, ...]] = (
        "classification/accuracy",
        "symbols/constraint",
        "clusters/nmi",
        "clusters/largest",
        "clusters/entropy",
        "loss/prior",
        "energy/gap",
    )
    figures: ClassVar[dict[str, Figure]] = {
        **ClusteringMethod.figures,
        "loss/constraint": Figure("−log p that a triple adds up, in training", "nats"),
        "symbols/constraint": Figure(
            "−log p that a triple adds up, held out",
            "nats",
            better="lower",
            help="0 with one cluster of everything is a shortcut: 0 + 0 = 0. High with clusters "
            "that agree with the classes, they have each other's names.",
        ),
    }
    observers: ClassVar[tuple[str, ...]] = (
        "data",
        "walking_chains",
        "energy_histogram",
        "samples",
        "clusters",
        "classification",
        "robustness",
        "own_events",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Constraint and prior name the digits; invariance and energy follow once they have.",
            SYMBOLS,
            Budget(steps=1500),
            data={"name": "digit_sums"},
        ),
    }
    config: GediSymbolsConfig

    def __init__(self, config: GediSymbolsConfig, task: Task) -> None:
        super().__init__(config, NUM_SYMBOLS, task)
        self.allowed = sums(NUM_SYMBOLS).to(task.device)
        if config.prior == "triples":
            counts = self.allowed.flatten().bincount(minlength=NUM_SYMBOLS)
            self.expected = counts / counts.sum()

    def weights(self, progress: float) -> dict[str, float]:
        config = self.config
        risen = ramp(progress, config.warm_up_share, config.ramp_share)
        return {
            "energy": risen * config.energy_weight,
            "invariance": risen * config.invariance_weight,
            "prior": config.prior_weight,
            "constraint": config.constraint_weight,
        }

    def groups(self, num: int) -> Tensor:
        data = self.task.data
        return data.rows(data.indices(num, self.generator)).given[TRIPLE]

    def own_terms(self, log_probs: Tensor) -> dict[str, Tensor]:
        return {"constraint": unsatisfied(log_probs, self.allowed).mean()}

    def class_log_probs(self, x: Tensor) -> Tensor:
        return self.cluster_log_probs(x)

    @torch.no_grad()
    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Negative log-probability that held-out triples add up."""
        triples = self.task.data.held_out_given[TRIPLE][:MOST]
        log_probs = self.cluster_log_probs(triples.flatten(0, 1)).unflatten(0, triples.shape[:2])
        yield Scalar("symbols/constraint", float(unsatisfied(log_probs, self.allowed).mean()))
