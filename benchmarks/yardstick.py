"""Meaning of figures of 8×8 digits: real digits, Gaussians and noise on the measuring stick.

    python -m benchmarks.yardstick [--seeds 3] [--json]

Reference: the 540 digits held out of the split of seed 0. "features" are the 16 of the classifier
that comes with Basin, "pixels" the 20 leading principal components. Distances fall with the number
of samples, so it stands beside each. Sets that are drawn are drawn anew for every seed; their
draws that are asked for by label have the labels of the reference.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import torch
from torch import Tensor

from backend.data import Data
from backend.datasets.digits import DigitsConfig, DigitsData
from backend.metrics.baselines import class_gaussian, pixel_resampled, single_gaussian
from backend.metrics.features import FeatureSpace, feature_space
from backend.metrics.images import FrechetPCA, frechet, kernel_distance
from backend.metrics.neighbours import overlap
from backend.metrics.quality import label_accuracy, label_spread
from backend.randomness import generator_of
from benchmarks.report import Report

NUM = 500
"""Samples that runs are judged by, here the first so many training digits."""
METRICS = {
    "Fréchet, features": "",
    "Fréchet, pixels": "",
    "kernel, features": "",
    "kernel, pixels": "",
    "precision": "share",
    "recall": "share",
    "density": "",
    "coverage": "share",
    "labelled as asked": "share",
    "spread within a class": "sd",
}
CASES = {
    "test": "real: the 540 test digits themselves",
    "train": "real: all 1,257 training digits",
    "floor": "real: the first 500 training digits",
    "halves": "real: one half of the test digits, 270",
    "class": "one Gaussian a class, 540",
    "single": "one Gaussian, 540",
    "pixels": "every pixel resampled, 540",
    "noise": "uniform noise, 540",
}


def of_labels(z: Tensor, labels: Tensor, space: FeatureSpace) -> dict[str, float]:
    """Figures by the classifier of images z (num, 8, 8) with these labels (num,)."""
    accuracy = label_accuracy(z, labels, space)
    return {"labelled as asked": accuracy, "spread within a class": label_spread(z, labels, space)}


def measure(
    z: Tensor, reference: Tensor, labels: Tensor | None, space: FeatureSpace, pca: FrechetPCA
) -> dict[str, float]:
    """Figures of images z (num, 8, 8) against a reference; two of them need labels (num,)."""
    features, known = space.features(z), space.features(reference)
    num = min(len(z), len(reference))
    among = overlap(features[:num], known[:num])
    values = [frechet(features, known), pca.distance(z, reference)]
    values += [kernel_distance(features, known), kernel_distance(z, reference), *among]
    figures = dict(zip(METRICS, values, strict=False))
    return figures if labels is None else figures | of_labels(z, labels, space)


def sets(data: Data, seed: int) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Images and, where they have them, labels of every set that is drawn."""
    asked = data.held_out_labels
    assert asked is not None
    num = len(asked)

    def drawn(name: str) -> torch.Generator:
        return generator_of("yardstick", name, seed)

    return {
        "class": (class_gaussian(data, asked, drawn("class")), asked),
        "single": (single_gaussian(data, num, drawn("single")), None),
        "pixels": (pixel_resampled(data, num, drawn("pixels")), None),
        "noise": (data.noise(num, drawn("noise")), None),
    }


def halves(data: Data, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two halves of the test digits, drawn, and the labels of the first."""
    assert data.held_out_labels is not None
    order = torch.randperm(len(data.held_out), generator=generator_of("yardstick", "halves", seed))
    first, second = order.chunk(2)
    return data.held_out[first], data.held_out[second], data.held_out_labels[first]


def fill(report: Report, data: Data, seeds: int) -> dict[str, dict[str, float]]:
    """Add every figure to the report; returns medians by case and metric."""
    space = feature_space("digits")
    assert space is not None and data.labels is not None and data.held_out_labels is not None
    pca, reference = FrechetPCA(data.train), data.held_out
    figures: dict[str, list[dict[str, float]]] = {
        "test": [of_labels(reference, data.held_out_labels, space)],
        "train": [measure(data.train, reference, data.labels, space, pca)],
        "floor": [measure(data.train[:NUM], reference, data.labels[:NUM], space, pca)],
        "halves": [],
    }
    for seed in range(seeds):
        one, other, labels = halves(data, seed)
        figures["halves"].append(measure(one, other, labels, space, pca))
        for case, (z, asked) in sets(data, seed).items():
            figures.setdefault(case, []).append(measure(z, reference, asked, space, pca))
    medians: dict[str, dict[str, float]] = {}
    for case, rows in figures.items():
        for metric in rows[0]:
            row = report.add(
                CASES[case], "data", metric, METRICS[metric], [each[metric] for each in rows]
            )
            medians.setdefault(case, {})[metric] = row.median
    return medians


def judge(report: Report, medians: dict[str, dict[str, float]]) -> None:
    """Claims that must hold of the measuring stick for it to measure."""

    def value(case: str, metric: str) -> float:
        return medians[case][metric]

    report.claim_at_most("floor in features, n = 500", value("floor", "Fréchet, features"), 0.10)
    report.claim_at_most(
        "one Gaussian a class over the floor, in features",
        value("class", "Fréchet, features") / value("floor", "Fréchet, features"),
        2.0,
    )
    report.claim_at_least(
        "one Gaussian a class: labelled as asked", value("class", "labelled as asked"), 0.97
    )
    order = ("floor", "single", "pixels")
    for metric in ("Fréchet, features", "Fréchet, pixels"):
        for better, worse in pairwise(order):
            text = f"{CASES[worse]} over {CASES[better]}: {metric}"
            report.claim_at_least(text, value(worse, metric) / value(better, metric), 2.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="draws of every set that is drawn")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}.")
    torch.set_num_threads(1)
    report = Report("yardstick")
    judge(report, fill(report, DigitsData(DigitsConfig()).load(), options.seeds))
    report.show(options.json)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
