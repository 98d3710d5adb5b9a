"""Proposals: a method for some data by a rule, before any was tried on them.

`jobs/bakeoffs.py` tries several. Plain data in and out; imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SMALL_IMAGE = 16
"""Pixels a side up to which a small convolutional energy is proposed."""


@dataclass(frozen=True)
class Kind:
    """Kind of data, as far as the choice of a method depends on it."""

    event_shape: tuple[int, ...]
    num_train: int = 0
    is_image: bool = False
    is_discrete: bool = False
    gives: tuple[str, ...] = ()
    """names of what is known of each row beside x, which some methods need"""
    has_future: bool = False
    """whether x follows its context by a law that is known"""
    acts: bool = False
    """whether x is a plan that an environment can be acted in with"""

    @property
    def dim(self) -> int:
        """Count the coordinates of an event."""
        return math.prod(self.event_shape)


@dataclass(frozen=True)
class Contestant:
    """A method with the preset that is taken of it."""

    method: str
    preset: str = "default"


@dataclass(frozen=True)
class Proposal:
    """A method for some data, and the reason in a sentence."""

    contestant: Contestant
    reason: str


EXACT = Contestant("exact_likelihood")
CONTRASTIVE = Contestant("noise_contrastive")
COMPOSITIONAL = Contestant("compositional_likelihood")
PERSISTENT = Contestant("contrastive_divergence", "persistent")
DENOISING = Contestant("denoising_score_matching")
SLICED = Contestant("sliced_score_matching")
POINTS = (EXACT, CONTRASTIVE, PERSISTENT, COMPOSITIONAL, DENOISING, SLICED)
"""methods of points of real numbers that learn a density"""
LEARNT_FROM = {
    "concepts": (
        Contestant("concept_bottleneck"),
        "Each row has a class and concepts: one energy explains the class by them.",
    ),
    "triple": (
        Contestant("gedi_symbols"),
        "Rows come in threes whose sum is known: symbols are found from that alone.",
    ),
    "pairs": (
        Contestant("associative_layers"),
        "Each row is what the last keys of a list of pairs recall: a memory is written with them.",
    ),
    "task": (
        Contestant("sequential_bayes"),
        "Rows come in tasks, one after the other: see what the second makes of the first.",
    ),
}
"""By what is known of each row beside x, other than a context: who learns from it, and why"""
MOST_COORDINATES = 256
"""beyond it held-out nats are not measured"""


def contestants(kind: Kind) -> tuple[Contestant, ...]:
    """List the methods that are sensible for such data, the proposed one first; one where held-out
    nats judge nothing."""
    first = proposal(kind).contestant
    is_judged = not (kind.is_image or kind.is_discrete or kind.gives)
    if not is_judged or kind.dim > MOST_COORDINATES:
        return (first,)
    others = POINTS if kind.dim <= 2 else POINTS[1:]
    return (first, *(other for other in others if other != first))


def proposal(kind: Kind) -> Proposal:
    """Propose a method by the data's kind, dimension and size alone."""
    if "context" in kind.gives:
        return _for_contexts(kind)
    for name, (contestant, reason) in LEARNT_FROM.items():
        if name in kind.gives:
            return Proposal(contestant, reason)
    if kind.is_discrete:
        return _for_whole_numbers(kind)
    if kind.is_image:
        return _for_images(kind)
    if kind.dim <= 2:
        return Proposal(
            EXACT,
            f"{_coordinates(kind)}: the normaliser is a sum over a grid, so no chains are needed "
            "and the likelihood is exact.",
        )
    return Proposal(
        CONTRASTIVE,
        f"{_coordinates(kind)} are too many for a grid; told apart from noise fitted to the data, "
        "the energy comes with its normaliser.",
    )


def _for_contexts(kind: Kind) -> Proposal:
    if kind.is_discrete:
        return Proposal(
            Contestant("energy_text"), "Each row goes on a text: predict its characters one by one."
        )
    if kind.acts:
        return Proposal(
            Contestant("energy_world_model", "policy"),
            "Each row is a plan from a state: an energy of plans keeps every way there is.",
        )
    if kind.has_future:
        return Proposal(
            Contestant("energy_world_model", "frames" if kind.is_image else "default"),
            "Each row follows a state: an energy of what follows keeps every branch.",
        )
    if kind.is_image and _side(kind) > SMALL_IMAGE:
        return Proposal(
            Contestant("energy_transformer", "shapes"),
            "Each image has a context: predict it from that, by squares of four pixels.",
        )
    return Proposal(
        Contestant("energy_transformer", "perceptron"),
        "Each row has a context: predict it from that.",
    )


def _for_whole_numbers(kind: Kind) -> Proposal:
    if 0 < kind.num_train <= kind.dim:
        return Proposal(
            Contestant("associative_memory"),
            f"{kind.num_train} patterns of {kind.dim} coordinates are too few to learn a law from: "
            "a memory stores them.",
        )
    return Proposal(
        Contestant("contrastive_divergence", "discrete"),
        "Whole numbers: chains that change one site at a time.",
    )


def _side(kind: Kind) -> int:
    """Count the pixels of the longer side of an image."""
    return max(kind.event_shape[-2:] if len(kind.event_shape) < 3 else kind.event_shape[:2])


def _for_images(kind: Kind) -> Proposal:
    side = _side(kind)
    if side <= SMALL_IMAGE:
        return Proposal(
            Contestant("contrastive_divergence", "images"),
            "Small images: persistent chains on a convolutional energy, minutes on a CPU.",
        )
    if side <= 28 and len(kind.event_shape) < 3:
        return Proposal(
            Contestant("recovery_likelihood", "images_28"),
            "Grey images of this size: recovery from several levels of noise, on a GPU.",
        )
    return Proposal(
        Contestant("contrastive_divergence", "images_32"),
        "Images of this size: persistent chains on a wide ResNet, on a GPU.",
    )


def _coordinates(kind: Kind) -> str:
    words = {1: "One coordinate", 2: "Two coordinates"}
    return words.get(kind.dim, f"{kind.dim} coordinates")


def kind_of(described: Mapping[str, Any], dataset: Mapping[str, Any]) -> Kind:
    """Read the kind off a check's `data` and the catalogue's entry of the data set."""
    return Kind(
        event_shape=tuple(described.get("event_shape", ())),
        num_train=int(described.get("num_train", 0)),
        is_image=bool(described.get("is_image", False)),
        is_discrete=bool(described.get("is_discrete", dataset.get("discrete", False))),
        gives=tuple(described.get("gives", dataset.get("gives", ()))),
        has_future=bool(described.get("has_future", False)),
        acts=bool(described.get("acts", False)),
    )
