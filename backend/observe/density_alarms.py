"""Alarms about a density: sentences on where exp(−E) is wrong, with the figures that say so."""

from __future__ import annotations

import math

from torch import Tensor

from backend.events import Finding
from backend.metric_names import BASELINES
from backend.metrics.log_likelihood import LogLikelihood
from backend.observe.held_out import Beside, total_variation

GOOD = 0.05
"""Nats a point from the best baseline within which a density is as good as any here."""
LEAKED = 0.02
"""Share of the mass outside the data's range that is said."""
WRONG_MASSES = 0.1
"""Total variation between the masses of clusters that is said; costs at least 0.02 nats."""
ABOVE_FLOOR = 3.0
"""Times the floor that a distance of long-run samples is said at."""


def best_of(baselines: dict[str, float]) -> tuple[str, float]:
    """Name and mean log p of the best baseline, the truth not among them."""
    name = max((name for name in BASELINES if name in baselines), key=baselines.__getitem__)
    return name, baselines[name]


def plainest(baselines: dict[str, float]) -> str:
    """Name of the baseline below which an energy is no density."""
    return "independent" if "independent" in baselines else "gaussian"


def is_good(
    likelihood: LogLikelihood, baselines: dict[str, float], beside: Beside | None = None
) -> bool:
    """True within GOOD nats of the best baseline, or above it. Where `beside` compares them point
    by point, twice the standard error of their difference comes on top, up to GOOD again: few
    points of a heavy tail move means by that much."""
    name, best = best_of(baselines)
    error = 0.0 if beside is None else beside.error_beside(likelihood, name)
    return likelihood.value + min(2 * error, GOOD) > best - GOOD


def is_worse_than_gaussian(likelihood: LogLikelihood, baselines: dict[str, float]) -> bool:
    """True below one Gaussian, or independent sites of whole numbers, even where log Z may be
    larger than it was estimated."""
    gaussian = baselines.get(plainest(baselines), -math.inf)
    return not likelihood.at_most >= gaussian and not is_good(likelihood, baselines)


def no_density(
    likelihood: LogLikelihood, baselines: dict[str, float], generator: str = ""
) -> list[Finding]:
    """Held-out data less likely under the energy than under one Gaussian. `generator`: sentence of
    a method whose energy was never meant for a density."""
    if not is_worse_than_gaussian(likelihood, baselines):
        return []
    name, best = best_of(baselines)
    verb = "give" if "independent" in baselines else "gives"
    most = "at most " if likelihood.doubt else ""
    plain = plainest(baselines)
    also = "" if name == plain else f", {BASELINES[name]} {best:.2f}"
    return [
        Finding(
            "density",
            "warning" if generator else "alarm",
            f"This energy is no density. Held-out data have {most}{likelihood.at_most:.2f} nats a "
            f"point under exp(−E); {BASELINES[plain]} {verb} them {baselines[plain]:.2f}{also}. "
            + (generator or "Draws may look right all the same: trust no energy of this run."),
        )
    ]


def leaked(likelihood: LogLikelihood) -> list[Finding]:
    """Mass far from any data."""
    if not likelihood.mass_outside > LEAKED:
        return []
    return [
        Finding(
            "mass_outside",
            "warning",
            f"{likelihood.mass_outside:.0%} of the mass of exp(−E) lies outside the range of the "
            "data, where no training point is. An energy with a `base`, or noise that reaches "
            "there, mends this.",
        )
    ]


def wrong_masses(masses: Tensor, shares: Tensor, centres: Tensor) -> list[Finding]:
    """Clusters whose mass (num,) under exp(−E) is not their share (num,) of the data; centres
    (num, *event_shape) in the user's units."""
    variation = total_variation(masses, shares)
    if not variation > WRONG_MASSES:
        return []
    worst = int((masses - shares.to(masses)).abs().argmax())
    place = centres.flatten(1)[worst].tolist()
    where = f" at ({', '.join(f'{value:.3g}' for value in place)})" if len(place) <= 3 else ""
    return [
        Finding(
            "masses",
            "warning",
            f"Parts of the data have the wrong mass under exp(−E), in all {variation:.0%} of it. "
            f"Part {worst + 1}{where} holds {float(shares[worst]):.0%} of the data and "
            f"{float(masses[worst]):.0%} of the mass. Chains that do not cross between separate "
            "parts cannot learn their masses.",
        )
    ]


def off_the_model(masses: Tensor, samples: Tensor) -> list[Finding]:
    """Long-run samples whose shares (num,) of clusters are not the masses (num,) that exp(−E)
    gives them."""
    variation = total_variation(masses, samples)
    if not variation > WRONG_MASSES:
        return []
    return [
        Finding(
            "mixing",
            "warning",
            f"Long-run chains have not mixed: {variation:.0%} of them are in other parts of the "
            "data than the mass of exp(−E) is. Judge this energy by its log-likelihood, not by "
            "these samples.",
        )
    ]


def off_goal(kl: float, goal: float) -> list[Finding]:
    """A distance from the true density that is above its goal."""
    if not kl > goal:
        return []
    sentence = f"KL to the true density is {kl:.2g} nats; the goal is {goal:g}."
    return [Finding("kl", "warning", f"The density is off its goal. {sentence}")]


def off_floor(distance: float, floor: float) -> list[Finding]:
    """Long-run samples far from held-out data, against fresh real data."""
    if not distance > ABOVE_FLOOR * floor:
        return []
    return [
        Finding(
            "distance",
            "warning",
            f"Long-run samples are not the data. Their energy distance to held-out data is "
            f"{distance:.2g}; fresh real data have {floor:.2g}.",
        )
    ]
