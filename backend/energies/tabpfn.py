"""One energy a class, read off TabPFN where it is installed with its weights."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.energy import Energy

PACKAGE = "tabpfn"
OTHERWISE = "or choose `kernel`, which needs neither"


def weights_file(name: str) -> Path:
    """The file of TabPFN's own weights folder, where it is or would be."""
    return Path(importlib.import_module(f"{PACKAGE}.model_loading").get_cache_dir()) / name


def missing(weights: str) -> str:
    """A sentence on what TabPFN lacks here; "" where package and weights are there.

    Its package would fetch the weights at the first fit. So it is never asked to fit without them.
    """
    if find_spec(PACKAGE) is None:
        return (
            f"needs the package `{PACKAGE}`, which is not installed. Run `pip install {PACKAGE}` "
            f"where the workers run, {OTHERWISE}."
        )
    path = weights_file(weights)
    if not path.is_file():
        return (
            f"needs the weights {path.name!r} in {path.parent}, and they are not there. Basin "
            f"downloads none by itself: put them there by hand, {OTHERWISE}."
        )
    return ""


class TabPFNClasses(Energy):
    """E_c(x) = −log(exp f₀ + exp f₁), f the logits of TabPFN given the rows of class c as 0 and the
    corners as 1, in context: one member, features as they are, nothing fitted.

    It is a graph from x to the energy; the weights are no part of a run's state. Hollmann et al.
    2025; Margeloiu et al. 2024.
    """

    def __init__(self, rows: Sequence[Tensor], negatives: Tensor, weights: Path) -> None:
        """rows: (num, dim) of each class; negatives: (num, dim) of all of them."""
        super().__init__()
        classifier = importlib.import_module(PACKAGE).TabPFNClassifier
        self.fitted: list[Any] = []
        for part in rows:
            y = torch.cat([part.new_zeros(len(part)), part.new_ones(len(negatives))])
            member = classifier(
                n_estimators=1,
                model_path=str(weights),
                device=str(part.device),
                random_state=0,
                differentiable_input=True,
            )
            member.fit_with_differentiable_input(torch.cat([part, negatives]), y.long())
            self.fitted.append(member)

    def logits(self, x: Tensor) -> Tensor:
        """f (batch, num_classes, 2) of positions x (batch, dim). Raises ValueError where TabPFN
        answers in another shape."""
        of_classes = [
            each.forward(x, use_inference_mode=True, return_logits=True) for each in self.fitted
        ]
        for logits in of_classes:
            if logits.shape != (len(x), 2):
                shape = tuple(logits.shape)
                raise ValueError(f"TabPFN gave logits {shape} for {len(x)} rows of two classes.")
        return torch.stack(of_classes, 1)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch, num_classes) of positions x (batch, dim)."""
        return -self.logits(x).logsumexp(2)
