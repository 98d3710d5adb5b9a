"""Few-shot labelling by an energy: its value, its steps, its rises and what stands beside it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from sklearn.semi_supervised import LabelSpreading

from backend import catalogue
from backend.datasets.episodes import episodes
from backend.energies.label_clustering import LabelEnergy, Labelled
from backend.method import Task
from backend.methods.clustering_energy import ClusteringEnergy
from backend.randomness import generator_of
from backend.requests import fitting


def few_shot(seed: int = 0, steps: int = 0, **config: Any) -> ClusteringEnergy:
    data = catalogue.resolve_data({"name": "digits"}).load()
    settings = ClusteringEnergy.Config.model_validate(config)
    task = Task(data, torch.device("cpu"), generator_of("few_shot", seed))
    method = ClusteringEnergy(settings, task)
    for index in range(steps):
        method.step(index / steps)
    return method


def energy(dominant: bool = False) -> tuple[LabelEnergy, torch.Generator]:
    """Two episodes of eight events in the plane, three of them labelled."""
    generator = generator_of("labels", 1)
    x = torch.randn(2, 8, 2, generator=generator, dtype=torch.float64)
    return LabelEnergy(x, torch.eye(3).double().expand(2, -1, -1), 2, dominant), generator


def test_the_energy_is_the_sum_that_its_formula_says() -> None:
    labels, generator = energy()
    z = torch.rand(2, 8, 3, generator=generator, dtype=torch.float64).softmax(2)
    mu = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    for e in range(2):
        total = 0.0
        for i in range(8):
            for k in range(3):
                share = float(z[e, i, k])
                total += 5 * share * float((labels.x[e, i] - mu[e, k]).square().sum())
                total += share * math.log(share)
            for j in range(8):
                total -= 0.7 / 2 * float(labels.ties[e, i, j] * (z[e, i] @ z[e, j]))
        got = labels.terms(Labelled(z, mu), 5.0, 0.7).sum(0)[e]
        assert float(got) == pytest.approx(total, rel=1e-9)
    prototypes = mu.clone().requires_grad_()
    labels.terms(Labelled(z, prototypes), 5.0, 0.7).sum().backward()
    assert prototypes.grad is not None
    assert torch.allclose(labels.slope(Labelled(z, mu), 5.0), prototypes.grad)


def test_without_ties_a_round_finds_the_least_energy_of_labels() -> None:
    labels, _ = energy()
    mu = labels.means
    now = labels.round(labels.start(5.0), 5.0, 0.0, moving=False)
    # min over z of a·z + z·log z is −log Σ exp(−a)
    least = -(-labels.distances(mu, 5.0)).logsumexp(2)[:, 3:].sum(1)
    given = labels.distances(mu, 5.0)[:, :3].diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(labels.terms(now, 5.0, 0.0).sum(0), least + given)


def test_dominant_ties_keep_the_energy_from_rising_where_plain_ones_let_it_oscillate() -> None:
    strong = {"laplacian_weight": 4.0, "num_episodes": 20}
    assert few_shot(0, 20, **strong, affinity="plain").rise > 0.1
    assert few_shot(0, 20, **strong, affinity="dominant").rise <= 1e-9
    assert torch.linalg.eigvalsh(energy(dominant=True)[0].ties).amin() >= -1e-9


def test_label_spreading_is_that_of_scikit_learn() -> None:
    labels, _ = energy()
    classes = [0, 1, 2] + [-1] * 5
    ties = labels.plain[0].numpy()
    peer = LabelSpreading(kernel=lambda x, y: ties, alpha=0.8, max_iter=2000, tol=1e-12)
    peer.fit(labels.x[0].numpy(), classes)
    scores = labels.spread(0.8)[0]
    ours = scores / scores.sum(1, keepdim=True).clamp(min=1e-300)
    assert torch.allclose(ours, torch.from_numpy(peer.label_distributions_), atol=1e-6)


def test_episodes_take_their_rows_once_and_sizes_of_the_shares_that_are_asked_for() -> None:
    labels = torch.arange(4).repeat_interleave(100)
    classes = torch.tensor([0, 1, 3])
    drawn = episodes(labels, classes, 400, (2, 3, 10), 1.0, generator_of("episodes", 0))
    assert drawn.rows.shape == (400, 26) and all(len(set(r.tolist())) == 26 for r in drawn.rows)
    called = drawn.classes.gather(1, drawn.truth)
    assert torch.equal(labels[drawn.rows], called) and 2 not in drawn.classes
    assert torch.equal(drawn.truth[:, :6], torch.tensor([0, 0, 0, 1, 1, 1]).expand(400, -1))
    # two classes of concentration 1: every size from 0 to 20 is as likely as any other
    sizes = (drawn.truth[:, 6:] == 0).sum(1).bincount(minlength=21) / 400
    assert (sizes - 1 / 21).abs().amax() < 0.05
    even = episodes(labels, classes, 5, (2, 3, 10), 0.0, generator_of("episodes", 0))
    assert torch.equal((even.truth == 0).sum(1), torch.full((5,), 13))


def test_queries_help_one_another_and_unbalanced_ones_break_soft_k_means() -> None:
    even = few_shot(0, 20).accuracies()
    assert even["few_shot/accuracy"] >= even["few_shot/prototype"] + 0.05
    uneven = few_shot(0, 20, shots=5, concentration=2.0, laplacian_weight=2.0).accuracies()
    assert uneven["few_shot/accuracy"] >= uneven["few_shot/prototype"] + 0.02
    assert uneven["few_shot/soft_k_means"] <= uneven["few_shot/prototype"] - 0.04


def test_classes_of_other_events_are_called_by_the_prototypes_of_an_episode() -> None:
    method = few_shot(0, 20, ways=10, shots=5, num_episodes=2)
    data = method.task.data
    called = method.class_log_probs(data.held_out)
    assert torch.allclose(called.exp().sum(1), torch.ones(len(called)))
    assert (called.argmax(1) == data.held_out_labels).float().mean() > 0.75
    few = few_shot(0, 20, ways=5)
    assert set(few.class_log_probs(data.held_out).argmax(1).tolist()) <= set(
        few.episodes.classes[0].tolist()
    )


def test_too_few_rows_a_class_and_data_without_classes_are_refused() -> None:
    digits = catalogue.resolve_data({"name": "digits"}).load()
    config = ClusteringEnergy.Config(queries=100, concentration=1.0)
    sentence = dict(fitting.problems(ClusteringEnergy, config, digits))["ways"]
    assert sentence.startswith("must be at most 0, the classes of 501 rows or more, got 5.")
    ring = catalogue.resolve_data({"name": "ring"}).load()
    assert "data.name" in dict(fitting.problems(ClusteringEnergy, ClusteringEnergy.Config(), ring))
