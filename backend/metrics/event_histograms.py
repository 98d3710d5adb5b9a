"""Histograms of whole events: how the energies and the mean values of draws are distributed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.data import Data
from backend.metric_names import Figure

NUM_BINS = 25

FIGURES: dict[str, Figure] = {
    "quality/energy_tv": Figure(
        "Distance of histograms of the energy", "total variation", better="lower"
    ),
    "quality/mean_value_tv": Figure(
        "Distance of histograms of the mean value",
        "total variation",
        better="lower",
        help="Of a lattice of spins: of its magnetisation.",
    ),
    "quality/mean_value": Figure("Mean value of a site"),
}


def histogram_distances(
    data: Data, drawn: Tensor, log_target: Callable[[Tensor], Tensor | None]
) -> dict[str, float]:
    """Distances of draws' histograms from the held-out events', and of training events' from
    theirs: the floor.

    drawn (num, sites) or (num, *event_shape); `log_target` gives log-probabilities (num,) up to a
    constant of events (num, sites), or None where they are not known.
    """
    held_out, train = data.held_out.flatten(1), data.train.flatten(1)
    drawn = drawn.flatten(1)
    num = min(len(drawn), len(held_out), len(train))
    sets = [x[:num] for x in (held_out, drawn, train)]
    figures = {"quality/mean_value": float(drawn.mean())}
    figures["quality/mean_value/truth"] = float(torch.cat([held_out, train]).mean())
    values = {"mean_value": [x.sum(1) for x in sets]}
    f = [each for x in sets if (each := log_target(x)) is not None]
    if f:
        values["energy"] = f
    for name, (true, own, other) in values.items():
        edges = _edges(name, [true, own, other])
        figures[f"quality/{name}_tv"] = total_variation(true, own, edges)
        figures[f"quality/{name}_tv/floor"] = total_variation(true, other, edges)
    return figures


def total_variation(left: Tensor, right: Tensor, edges: Tensor) -> float:
    """½ Σ |share − share| over the bins between rising edges, of values (num,) each.

    >>> edges = torch.tensor([0.0, 1.0, 2.0])
    >>> total_variation(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 1.5]), edges)
    0.5
    """
    shares = [np.histogram(x.double().cpu(), edges)[0] / len(x) for x in (left, right)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


def _edges(name: str, sets: list[Tensor]) -> Tensor:
    """One bin for each sum of values; NUM_BINS of energies."""
    together = torch.cat(sets).double()
    together = together[together.isfinite()]
    low, high = float(together.min()), float(together.max())
    if name == "mean_value":
        return torch.arange(low - 0.5, high + 1.0, dtype=torch.float64)
    return torch.linspace(low, max(high, low + 1e-6), NUM_BINS + 1, dtype=torch.float64)
