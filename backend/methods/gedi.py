"""Clusters and a density in one objective: generative and discriminative training (GEDI)."""

from __future__ import annotations

from typing import Any, ClassVar

from backend.config import option
from backend.method import Preset, Task
from backend.methods.clustering import ClusteringConfig, ClusteringMethod
from backend.objectives.clustering import ramp
from backend.spec import Budget


class GediConfig(ClusteringConfig):
    num_clusters: int = option(
        2, "Clusters that events are put into.", ge=2, le=1000, main=True, group="Energy"
    )
    warm_up_share: float = option(
        0.2,
        "Share of the budget that trains the energy alone, before invariance and prior count. "
        "Without it they settle on a split that the density has had no say in.",
        ge=0,
        le=1,
        group="Objective",
    )
    ramp_share: float = option(
        0.2,
        "Share of the budget over which invariance and prior rise to their weights after that.",
        ge=0,
        le=1,
        group="Objective",
    )

    def derived(self) -> dict[str, str]:
        return super().derived() | self.idle_ramp(self.invariance_weight, self.prior_weight)


DIGITS: dict[str, Any] = {
    "num_clusters": 10,
    "energy": {"kind": "mlp", "width": 256, "depth": 2},
    "copy_noise": 0.3,
}


class Gedi(ClusteringMethod):
    """Least g (mean E(x) − mean E(x_model)) + i CE(p(y | x), p(y | x′)) + u CE(π, mean p(y | x)).

    p(y | x) = softmax f(x) of clusters y and E(x) = −log Σ_y exp f_y(x), f the logits of a cosine
    head; x_model from Langevin chains of E, x′ a noisy copy of x, π uniform. In place of a bound on
    log p(x, y): the first term is the likelihood, the second keeps clusters apart where there are
    few data between them, the third keeps them from running empty. No labels, teachers or stopped
    gradients. Sansone & Manhaeve 2025, whose augmentations and weights are others.
    """

    id = "gedi"
    title = "Clusters and a density (GEDI)"
    summary = (
        "Finds clusters and an energy of the inputs with one network and no labels: parts that "
        "little data lie between."
    )
    references = "Sansone & Manhaeve 2025"
    url = "https://arxiv.org/abs/2212.13425"
    Config = GediConfig
    headline: ClassVar[tuple[str, ...]] = (
        "clusters/nmi",
        "clusters/largest",
        "clusters/entropy",
        "outliers/auroc",
        "energy/gap",
        "loss/invariance",
        "loss/prior",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset(
            "Two clusters of points: moons, circles and whatever else is in two parts.",
            {},
            Budget(steps=2500),
            data={"name": "moons"},
        ),
        "digits": Preset(
            "Ten clusters of 8×8 digits.", DIGITS, Budget(steps=2000), data={"name": "digits"}
        ),
    }
    config: GediConfig

    def __init__(self, config: GediConfig, task: Task) -> None:
        super().__init__(config, config.num_clusters, task)

    def weights(self, progress: float) -> dict[str, float]:
        config = self.config
        risen = ramp(progress, config.warm_up_share, config.ramp_share)
        return {
            "energy": config.energy_weight,
            "invariance": risen * config.invariance_weight,
            "prior": risen * config.prior_weight,
        }
