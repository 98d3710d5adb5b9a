"""Worth of made rows: balanced accuracy of five classifiers with them and without."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NUM_NEIGHBOURS = 5
"""Of a row within its class, between which SMOTE interpolates."""


def smote(x: Tensor, labels: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Rows (num, dim) of classes `wanted` (num,): each on the line from a row of x (n, dim) of that
    class to one of its five nearest in the class. Chawla et al. 2002."""
    made = x.new_empty((len(wanted), x.shape[1]))
    for label in wanted.unique().tolist():
        rows, of = x[labels == label], wanted == label
        num = int(of.sum())
        begin = torch.randint(len(rows), (num,), generator=generator, device=x.device)
        apart = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
        num_neighbours = min(NUM_NEIGHBOURS, len(rows) - 1)
        if not num_neighbours:
            made[of] = rows[begin]
            continue
        nearest = apart.topk(num_neighbours, largest=False).indices
        which = torch.randint(num_neighbours, (num,), generator=generator, device=x.device)
        end = rows[nearest[begin, which]]
        share = torch.rand((num, 1), generator=generator, device=x.device)
        made[of] = rows[begin] + share * (end - rows[begin])
    return made


def jittered(
    x: Tensor, labels: Tensor, wanted: Tensor, noise_sd: float, generator: torch.Generator
) -> Tensor:
    """Rows (num, dim) of classes `wanted` (num,): rows of x (n, dim) of that class with noise."""
    made = x.new_empty((len(wanted), x.shape[1]))
    for label in wanted.unique().tolist():
        rows, of = x[labels == label], wanted == label
        chosen = torch.randint(len(rows), (int(of.sum()),), generator=generator, device=x.device)
        made[of] = rows[chosen]
    return made + noise_sd * torch.randn(made.shape, generator=generator, device=x.device)


class Rows(NamedTuple):
    """Labelled rows as scikit-learn takes them."""

    x: npt.NDArray[Any]
    """(num, dim), standardised"""
    labels: npt.NDArray[Any]
    """(num,)"""

    @classmethod
    def of(cls, x: Tensor, labels: Tensor) -> Rows:
        return cls(x.cpu().double().numpy(), labels.cpu().numpy())

    def with_more(self, others: Iterable[Rows]) -> Rows:
        parts = [self, *others]
        return Rows(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )


def balanced_accuracies(train: Rows, test: Rows, seed: int) -> dict[str, float]:
    """Mean over classes of the share of test rows that is told right, in percent, by classifier:
    logistic regression, nearest neighbours, a forest, a tree and a perceptron."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.tree import DecisionTreeClassifier

    classifiers: dict[str, Any] = {
        "logistic": LogisticRegression(max_iter=1000),
        "neighbours": KNeighborsClassifier(min(5, len(train.x))),
        "forest": RandomForestClassifier(100, random_state=seed),
        "tree": DecisionTreeClassifier(random_state=seed),
        "perceptron": MLPClassifier((64,), solver="lbfgs", max_iter=200, random_state=seed),
    }
    accuracies = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the perceptron's end before convergence
        for name, classifier in classifiers.items():
            called = classifier.fit(train.x, train.labels).predict(test.x)
            accuracies[name] = 100 * float(balanced_accuracy_score(test.labels, called))
    return accuracies


class Gain(NamedTuple):
    """Mean of paired differences and its standard error, in points."""

    mean: float
    error: float
    """nan for one pair"""


def gain(values: list[float], without: list[float]) -> Gain:
    """Gain of some values over others of the same splits.

    >>> gain([92.0, 94.0], [91.0, 91.0])
    Gain(mean=2.0, error=1.0)
    """
    differences = np.array(values) - np.array(without)
    num = len(differences)
    error = differences.std(ddof=1) / num**0.5 if num > 1 else np.nan
    return Gain(float(differences.mean()), float(error))
