"""The digits classifier that images are compared with: trained anew, written to its place.

    python -m benchmarks.digits_classifier [--seed 0] [--out FILE] [--json]

A small convolutional network on the 1,257 training digits of the split of seed 0:
cross-entropy, Adam under a cosine schedule. Without --out it overwrites the file that
`backend.metrics.features` reads; its accuracies are written into it.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from backend.data import Data
from backend.datasets.digits import DigitsConfig, DigitsData
from backend.metrics.features import DIGITS_FILE, DigitsClassifier
from backend.randomness import generator_of
from benchmarks.report import Report

NUM_STEPS = 1500
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
LEAST_ACCURACY = 0.98


def train(data: Data, seed: int) -> DigitsClassifier:
    """A classifier of the training digits, in evaluation mode."""
    assert data.labels is not None
    generator = generator_of("digits classifier", seed)
    network = DigitsClassifier(generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for step in range(NUM_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / NUM_STEPS))
        places = data.indices(BATCH_SIZE, generator)
        loss = F.cross_entropy(network(data.train[places]), data.labels[places])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: DigitsClassifier, z: Tensor, labels: Tensor) -> float:
    """Share of the images z (num, 8, 8) that are labelled right."""
    return float((network(z).argmax(1) == labels).float().mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=DIGITS_FILE)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = DigitsData(DigitsConfig()).load()
    assert data.labels is not None and data.held_out_labels is not None
    network = train(data, options.seed)
    on_train = accuracy(network, data.train, data.labels)
    on_held_out = accuracy(network, data.held_out, data.held_out_labels)
    words = {"train_accuracy": f"{on_train:.3f}", "held_out_accuracy": f"{on_held_out:.3f}"}
    save_file(network.state_dict(), options.out, words | {"seed": str(options.seed)})
    report = Report("digits_classifier")
    report.add("digits", "basin", "training accuracy", "share", [on_train])
    report.add("digits", "basin", "test accuracy", "share", [on_held_out])
    report.claim_at_least("digits: test accuracy", on_held_out, LEAST_ACCURACY)
    report.show(options.json)
    return 0 if all(claim.holds == "holds" for claim in report.claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
