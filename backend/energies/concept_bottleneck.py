"""Energies of positions, concepts and classes together, and what is most probable under them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.energies import NetworkEnergy
from backend.metrics.concepts import ConceptAnswer
from backend.networks.layers import linear

MOST_CONCEPTS = 12
"""Concepts whose 2^K states are enumerated at most."""
POWERS = (0.0, 0.25, 0.5, 1.0)
"""Factors on log odds of the laws that states are drawn from, in equal parts."""


def states(num_concepts: int, device: torch.device) -> Tensor:
    """All 2^K states of K concepts (2^K, num_concepts), 0 or 1; the first concept changes first."""
    index = torch.arange(2**num_concepts, device=device)
    return ((index[:, None] >> torch.arange(num_concepts, device=device)) & 1).float()


class Weights(NamedTuple):
    """Factors on the three energies where they are added up."""

    of_class: float
    of_concepts: float
    of_both: float


class ConceptEnergies(nn.Module):
    """E_class(x, y) = w · relu(u + u ∘ v_y), u = A F(x); E_concept(x, c) = Σ_k w_k · relu(u' + u' ∘
    v_k), u' = A' F(x); E_both(c, y) = w'' · relu(u'' + u'' ∘ v_y), u'' = B [v_1 … v_K].

    v_y is the embedding of a class, v_k = c_k P_k + (1 − c_k) N_k of what a concept is, each made
    to have norm 1; F is the backbone. As no entry of such a vector is below −1, relu(u + u ∘ v) =
    relu(u) ∘ (1 + v), which makes all of them products of matrices, linear in a mixture of classes.
    Xu et al. 2024.
    """

    def __init__(
        self,
        backbone: NetworkEnergy,
        num_concepts: int,
        num_labels: int,
        generator: torch.Generator,
        *,
        is_conditional: bool,
    ) -> None:
        """backbone: has the width of the embeddings as its outputs; is_conditional: log Σ_y
        exp(−E_both(c, y)) is added to E_both, so that exp of minus it is p(y | c)."""
        super().__init__()
        width = backbone.num_outputs

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator, device=generator.device))

        def small(num: int) -> nn.Parameter:
            bound = width**-0.5
            draws = torch.rand((num, width), generator=generator, device=generator.device)
            return nn.Parameter(bound * (2 * draws - 1))

        self.backbone, self.is_conditional = backbone, is_conditional
        self.to_class = linear(width, width, generator, False)
        self.to_concepts = linear(width, width, generator, False)
        self.to_both = linear(num_concepts * width, width, generator, False)
        # as the layers are, else classes are soon known by heart
        self.class_weight, self.both_weight = small(1), small(1)
        self.concept_weight = small(num_concepts)
        self.classes = drawn(num_labels, width)
        self.absent, self.present = drawn(num_concepts, width), drawn(num_concepts, width)

    @property
    def num_concepts(self) -> int:
        return len(self.absent)

    def of_classes(self, features: Tensor) -> Tensor:
        """E_class(x, y) (batch, num_labels) of features F(x) (batch, width)."""
        return F.relu(self.to_class(features)) @ self._gains(self.class_weight, self.classes).T

    def of_concepts(self, features: Tensor) -> Tensor:
        """E_concept(x, c_k) (batch, num_concepts, 2) of c_k = 0 and 1."""
        gains = [self._gains(self.concept_weight, each) for each in (self.absent, self.present)]
        every = torch.stack(gains, 1).flatten(0, 1)
        return (F.relu(self.to_concepts(features)) @ every.T).unflatten(1, (-1, 2))

    def of_both(self, concepts: Tensor) -> Tensor:
        """E_both(c, y) (batch, num_labels) of concepts (batch, num_concepts) in [0, 1]."""
        absent, present = F.normalize(self.absent, dim=1), F.normalize(self.present, dim=1)
        mixed = absent + concepts[..., None] * (present - absent)
        energies = (
            F.relu(self.to_both(mixed.flatten(1))) @ self._gains(self.both_weight, self.classes).T
        )
        if self.is_conditional:
            energies = energies + (-energies).logsumexp(1, keepdim=True)
        return energies

    @staticmethod
    def _gains(weight: Tensor, embedding: Tensor) -> Tensor:
        return weight * (1 + F.normalize(embedding, dim=-1))

    def log_normaliser(self, drawn: DrawnStates | None = None) -> Tensor:
        """log Σ_{c, y} exp(−E_both(c, y)) over all states, 0-d; where states were drawn from a law
        q, log of the mean of Σ_y exp(−E_both(c, y)) / q(c), whose expectation is that sum's."""
        if drawn is None:
            every = states(self.num_concepts, self.classes.device)
            return (-self.of_both(every)).flatten().logsumexp(0)
        log_weights = (-self.of_both(drawn.concepts)).logsumexp(1) - drawn.log_probs
        return log_weights.logsumexp(0) - math.log(len(log_weights))


class DrawnStates(NamedTuple):
    """Concepts and how probable each row is under the law that they were drawn from."""

    concepts: Tensor
    """(num, num_concepts), 0 or 1"""
    log_probs: Tensor
    """(num,)"""


class StateLaw:
    """q(c) = mean over t of Σ_y q(y) Π_k q_t(c_k | y), a law of concepts that reaches every state.

    q(y) and q_1(c_k | y) are shares in training data, one of each outcome added; the log odds of
    q_t are t times those of q_1, so that q_0 is even. An energy that has learned nothing has its
    mass where q_0 draws, one that has learned the data where q_1 does: no weight exp(−E) / q is
    ever far above the mean, at either end or on the way.
    """

    def __init__(self, concepts: Tensor, labels: Tensor, num_labels: int) -> None:
        """concepts (batch, num_concepts), 0 or 1, and labels (batch,) of training rows."""
        of_class = F.one_hot(labels, num_labels).to(concepts.dtype)
        rows = of_class.sum(0)
        present = of_class.T @ concepts
        self.log_odds = ((present + 1) / (rows[:, None] - present + 1)).log()
        """(num_labels, num_concepts)"""
        self.shares = (rows + 1) / (rows.sum() + num_labels)
        """(num_labels,)"""

    def draw(self, num: int, generator: torch.Generator) -> DrawnStates:
        device = self.shares.device
        labels = self.shares.multinomial(num, replacement=True, generator=generator)
        powers = torch.randint(len(POWERS), (num,), generator=generator, device=device)
        odds = self.log_odds[labels] * torch.tensor(POWERS, device=device)[powers, None]
        concepts = torch.bernoulli(odds.sigmoid(), generator=generator)
        return DrawnStates(concepts, self.log_probs(concepts))

    def log_probs(self, concepts: Tensor) -> Tensor:
        """log q(c) (batch,) of concepts (batch, num_concepts), 0 or 1."""
        parts = []
        for power in POWERS:
            odds = power * self.log_odds
            parts.append(concepts @ odds.T - F.softplus(odds).sum(1) + self.shares.log())
        return torch.cat(parts, 1).logsumexp(1) - math.log(len(POWERS))


def enumerated(
    energies: ConceptEnergies, x: Tensor, weights: Weights, known: Tensor | None = None
) -> ConceptAnswer:
    """Marginals of p(c, y | x, known) ∝ exp(−Σ weight E), every state of the concepts counted.

    x (batch, *event_shape); known (batch, num_concepts): 0 or 1, NaN where a concept is not known.
    E is a sum of terms in (x, y), (x, c) and (c, y), so that a sum over c is a product of matrices.
    """
    features = energies.backbone(x)
    every = states(energies.num_concepts, x.device).double()
    by_label = -weights.of_class * energies.of_classes(features).double()
    by_concept = -weights.of_concepts * energies.of_concepts(features).double()
    by_state = by_concept[..., 0].sum(1, keepdim=True) + by_concept.diff(dim=2)[..., 0] @ every.T
    if known is not None:
        is_known = known.isfinite()
        sign = torch.where(is_known, 1 - 2 * known, 0.0).double()
        others = torch.where(is_known, known, 0.0).double().sum(1, keepdim=True) + sign @ every.T
        by_state = by_state.masked_fill(others > 0.5, -torch.inf)
    of_both = -weights.of_both * energies.of_both(every.float()).double()
    by_state = (by_state - by_state.amax(1, keepdim=True)).exp()
    mass = (of_both - of_both.amax()).exp()
    share = (by_label - by_label.amax(1, keepdim=True)).exp()
    labels = share * (by_state @ mass)
    total = labels.sum(1, keepdim=True)
    of_present = by_state @ (every[:, :, None] * mass[:, None]).flatten(1)
    present = share[:, None] * of_present.unflatten(1, (energies.num_concepts, -1))
    return ConceptAnswer((labels / total).log().float(), (present / total[..., None]).float())


def descended(
    energies: ConceptEnergies,
    x: Tensor,
    weights: Weights,
    known: Tensor | None = None,
    *,
    num_steps: int,
    step_size: float,
    is_cut: bool,
) -> tuple[ConceptAnswer, Tensor]:
    """Concepts and class by Adam on their logits, down Σ weight E at their probabilities less the
    entropies of these: a mean field. Also the energies before each step and after the last
    (num_steps + 1, batch), entropies left out.

    Concepts start at what E_concept alone says, classes alike; known ones, as in `enumerated`, are
    held. It is biased: the answer is of concepts and class that are independent, and between the
    states the energy of both may lie lower than at any. is_cut: as it was released, E_both sees
    concepts cut at one half, so that it moves none, and there are no entropies: probabilities say
    how far the logits came.
    """
    with torch.no_grad():
        features = energies.backbone(x)
        by_label = weights.of_class * energies.of_classes(features)
        by_concept = weights.of_concepts * energies.of_concepts(features)
        odds = -by_concept.diff(dim=2)[..., 0]
    held = torch.zeros_like(odds, dtype=torch.bool) if known is None else known.isfinite()
    value = torch.zeros_like(odds) if known is None else known.nan_to_num()

    def energy_of(of_concepts: Tensor, log_labels: Tensor) -> Tensor:
        concepts = torch.where(held, value, of_concepts.sigmoid())
        seen = (concepts > 0.5).to(x.dtype).detach() if is_cut else concepts
        both = by_label + weights.of_both * energies.of_both(seen)
        alone = by_concept[..., 0] * (1 - concepts) + by_concept[..., 1] * concepts
        return alone.sum(1) + (log_labels.exp() * both).sum(1)

    trace = []
    with torch.enable_grad():
        of_concepts = odds.clone().requires_grad_()
        of_labels = torch.zeros_like(by_label).requires_grad_()
        adam = torch.optim.Adam([of_concepts, of_labels], lr=step_size)
        for _ in range(num_steps):
            log_labels = of_labels.log_softmax(1)
            energy = energy_of(of_concepts, log_labels)
            trace.append(energy.detach())
            if not is_cut:
                entropy = torch.where(held, 0, _entropy(of_concepts)).sum(1)
                energy = energy - entropy + (log_labels.exp() * log_labels).sum(1)
            of_concepts.grad, of_labels.grad = torch.autograd.grad(
                energy.sum(), [of_concepts, of_labels]
            )
            adam.step()
    with torch.no_grad():
        log_labels = of_labels.log_softmax(1)
        trace.append(energy_of(of_concepts, log_labels))
        concepts = torch.where(held, value, of_concepts.sigmoid())
    present = concepts[..., None] * log_labels.exp()[:, None]
    return ConceptAnswer(log_labels, present), torch.stack(trace)


def _entropy(logits: Tensor) -> Tensor:
    """Entropy of coins that show 1 with probability sigmoid(logits), nats."""
    return F.softplus(logits) - logits * logits.sigmoid()
