"""Outcomes of predictions where the law of what follows is known, and order of energies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from backend.data import Data, Rows
from backend.metric_names import Figure

FIGURES: dict[str, Figure] = {
    "outcome/on_branch": Figure(
        "Predictions on a branch",
        "share of forks",
        better="higher",
        help="Within a fifth of the branches' distance of one. Their mean, which has the least "
        "squared error, is on neither.",
    ),
    "outcome/left": Figure(
        "On the left branch", "share", help="Of predictions on a branch; a half of the data are."
    ),
    "outcome/straight_error": Figure(
        "Distance where no fork is", "units of the data", better="lower"
    ),
    "outcome/right": Figure("Right next states", "share", better="higher"),
    "outcome/distance": Figure(
        "Distance from the true next state", "units of the data", better="lower"
    ),
    "outcome/success": Figure(
        "Plans that arrive", "share", better="higher", help="Without touching the obstacle."
    ),
    "outcome/round": Figure(
        "Plans that go round the obstacle",
        "share",
        better="higher",
        help="And arrive, from where both ways are open: before it, as episodes start.",
    ),
    "outcome/over": Figure(
        "Ways over the obstacle",
        "share",
        help="Of plans that go round it; a half of the data are.",
    ),
    "outcome/demonstrated": Figure("Plans near a demonstrated way", "share", better="higher"),
    "rank/branch_mean": Figure(
        "Both branches below their mean",
        "share of forks",
        better="higher",
        help="By the energy, in the same context. Energies of different contexts do not compare.",
    ),
    "rank/way_mean": Figure(
        "Both ways below their mean",
        "share",
        better="higher",
        help="By the energy of plans, from the same state.",
    ),
    "rank/another": Figure(
        "Truth below another's future",
        "share",
        better="higher",
        help="By the energy, in the same context; what may follow here too is left out.",
    ),
    "rank/shuffled_time": Figure(
        "Truth below a step back in time",
        "share",
        better="higher",
        help="By the energy, in the same context.",
    ),
}

EnergyOf = Callable[[Tensor, dict[str, Tensor]], Tensor | None]
"""Energies (num,) of standardised x beside what is given."""


def of_predictions(data: Data, rows: Rows, predicted: Tensor) -> dict[str, float]:
    """Means of the law's outcomes of standardised predictions (num, *event_shape), by path.

    Empty where no law is known. An outcome that no row has is left out.
    """
    if data.future is None:
        return {}
    context = rows.given["context"]
    by_name = data.future.outcomes(context, data.restore(predicted))
    return {
        f"outcome/{name}": float(values.nanmean())
        for name, values in by_name.items()
        if bool(values.isfinite().any())
    }


def of_energies(
    data: Data, rows: Rows, energy: EnergyOf, generator: torch.Generator
) -> dict[str, float]:
    """Shares of contexts in which all that may follow has less energy than what cannot, by path.

    Each comparison is within one context, so that what the context adds to its energies is gone.
    Empty where no law or no energy is known.
    """
    if data.future is None:
        return {}
    context = rows.given["context"]
    figures = {}
    for name, rivals in data.future.rivals(context, data.restore(rows.x), generator).items():
        asked = rivals.false.flatten(1).isfinite().all(1)
        if not bool(asked.any()):
            continue
        beside = {"context": context[asked]}
        low = energy(data.standardise(rivals.false[asked]), beside)
        if low is None:
            return {}
        num = rivals.possible.shape[1]
        each = [
            energy(data.standardise(rivals.possible[asked][:, index]), beside)
            for index in range(num)
        ]
        highest = torch.stack([value for value in each if value is not None]).amax(0)
        figures[f"rank/{name}"] = float((highest < low).double().mean())
    return figures
