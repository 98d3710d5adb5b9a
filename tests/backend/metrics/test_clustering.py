"""Figures of clusters beside scikit-learn, closed forms and all ways to match."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, mutual_info_score, normalized_mutual_info_score

from backend.metrics import clustering
from backend.randomness import generator_of

LABELS = torch.randint(4, (300,), generator=generator_of("labels", 0))
PERMUTED = torch.tensor([2, 0, 3, 1])


def sure(clusters: torch.Tensor, num: int) -> torch.Tensor:
    return (40.0 * torch.eye(num)[clusters]).log_softmax(1)


def test_agreement_is_that_of_scikit_learn_and_blind_to_names() -> None:
    noisy = torch.where(torch.arange(300) % 5 == 0, (LABELS + 1) % 4, LABELS)
    figures = clustering.agreement(PERMUTED[noisy], LABELS)
    pair = LABELS.numpy(), noisy.numpy()
    assert figures["nmi"] == pytest.approx(normalized_mutual_info_score(*pair))
    assert figures["ari"] == pytest.approx(adjusted_rand_score(*pair))
    assert 0.3 < figures["nmi"] < 0.9
    assert clustering.agreement(PERMUTED[LABELS], LABELS) == {"nmi": 1.0, "ari": 1.0}
    assert clustering.agreement(torch.zeros_like(LABELS), LABELS) == {"nmi": 0.0, "ari": 0.0}


def test_entropy_and_mutual_information() -> None:
    flat = torch.zeros(50, 4).log_softmax(1)
    assert clustering.entropy(flat) == pytest.approx(math.log(4))
    assert clustering.mutual_information(flat) == pytest.approx(0, abs=1e-9)
    certain = sure(LABELS, 4)
    assert clustering.entropy(certain) == pytest.approx(0, abs=1e-9)
    expected = mutual_info_score(LABELS.numpy(), LABELS.numpy())
    assert clustering.mutual_information(certain) == pytest.approx(expected)
    shares = LABELS.bincount() / len(LABELS)
    assert clustering.marginal(certain).numpy() == pytest.approx(shares.numpy())


@pytest.mark.parametrize("num_clusters", [3, 4, 5])
def test_the_match_is_the_best_of_all(num_clusters: int) -> None:
    clusters = torch.randint(num_clusters, (300,), generator=generator_of("clusters", 1))
    match = clustering.matched(sure(clusters, num_clusters), LABELS, 4)
    assert sorted(match.order.tolist()) == list(range(num_clusters))
    table = np.zeros((4, num_clusters), int)
    np.add.at(table, (LABELS.numpy(), clusters.numpy()), 1)
    assert (match.counts == table[:, match.order]).all()
    fewer = min(4, num_clusters)
    best = max(
        sum(table[label, cluster] for label, cluster in zip(labels, chosen, strict=True))
        for labels in itertools.permutations(range(4), fewer)
        for chosen in itertools.combinations(range(num_clusters), fewer)
    )
    assert match.accuracy == pytest.approx(best / 300)
