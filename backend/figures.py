"""What each scalar path means: its title, unit, axis and which way is better.

A chart is a path and its companions: `quality/energy_distance/long_run`, `/train_time` and the
reference lines `/floor`, `/goal` and `/clip` belong to the chart `quality/energy_distance`.
"""

from __future__ import annotations

from dataclasses import dataclass

COMPANIONS = ("long_run", "train_time", "floor", "goal", "clip")
"""Last path segments that name a series of a chart, not a chart of its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How a scalar is named and drawn."""

    title: str
    unit: str = ""
    log: bool = False
    better: str = ""
    """lower, higher, or "" where neither is better"""
    help: str = ""


def chart_of(path: str) -> str:
    """The chart a path is drawn in.

    >>> chart_of("quality/energy_distance/floor")
    'quality/energy_distance'
    """
    head, _, tail = path.rpartition("/")
    return head if tail in COMPANIONS else path


FIGURES: dict[str, Figure] = {
    "loss/total": Figure("Loss", help="What the optimiser minimises; not a quality measure."),
    "energy/data": Figure("Mean energy of data", "nats"),
    "energy/model": Figure("Mean energy of train-time samples", "nats"),
    "energy/gap": Figure(
        "Energy gap, data − samples", "nats", help="Healthy training oscillates around 0."
    ),
    "energy/max": Figure("Largest |E| in the batch", "nats", log=True),
    "optimiser/gradient_norm": Figure("Gradient norm", log=True),
    "optimiser/learning_rate": Figure("Learning rate", log=True),
    "sampler/acceptance_rate": Figure("Acceptance rate", better=""),
    "sampler/gradient_to_noise": Figure(
        "Sampler gradient against noise",
        log=True,
        help="Length of the drift over the length of the noise in one step: far below 1 is a "
        "random walk, far above 1 is plain descent.",
    ),
    "sampler/radius": Figure("Chain radius", "data sd"),
    "sampler/r_hat": Figure("Split R-hat", better="lower"),
    "sampler/bulk_ess": Figure("Bulk effective sample size", better="higher"),
    "quality/grid_kl": Figure("KL to the true density", "nats", log=True, better="lower"),
    "quality/energy_distance": Figure(
        "Energy distance to held-out data", "squared, data sd", log=True, better="lower"
    ),
    "quality/mmd": Figure("MMD² to held-out data", log=True, better="lower"),
    "quality/sliced_wasserstein": Figure(
        "Sliced Wasserstein-2 to held-out data", "data sd", log=True, better="lower"
    ),
    "quality/mode_share": Figure("Share within 2 sd of a mode"),
    "quality/frechet_pca": Figure(
        "Fréchet distance", "20-d PCA of pixels", log=True, better="lower"
    ),
    "quality/out_of_range": Figure("Pixels out of range", "share", better="lower"),
}
