"""The settings of diffusion recovery likelihood."""

from __future__ import annotations

from typing import Literal

from backend.config import Config, option
from backend.energies import AnyConditionalNetwork
from backend.noise_ladder import Schedule
from backend.recovery.bases import BaseConfig
from backend.recovery.initializers import AnyInitializer
from backend.training import TrainConfig

MAX_LEVELS = 32


class RecoveryLikelihoodConfig(Config):
    energy: AnyConditionalNetwork = option(
        {"kind": "residual_mlp"}, "The network that is fitted, told the noise level.",
        group="Energy",
    )  # fmt: skip
    base: BaseConfig = option(
        {"kind": "flat"}, "What the network's log-density is added to, and how chains step on it.",
        group="Sampler",
    )  # fmt: skip
    initializer: AnyInitializer = option(
        {"kind": "none"}, "The network that guesses where chains should start, if any.",
        group="Initializer",
    )  # fmt: skip
    schedule: Schedule = option(
        "cosine", "How the noise of the levels is spaced: by a cosine or in a straight line of the "
        "log signal-to-noise ratio between its two ends, or by 1,000 steps of linear β.",
        group="Levels",
    )  # fmt: skip
    num_levels: int = option(
        6, "Levels of noise, each with a conditional of its own.", ge=2, le=MAX_LEVELS, main=True,
        group="Levels",
    )  # fmt: skip
    highest_log_snr: float = option(
        9.8, "Log signal-to-noise ratio at the level of least noise, which samples end at.",
        unit="nats", ge=-2, le=20, group="Levels",
    )  # fmt: skip
    lowest_log_snr: float = option(
        -5.1, "The same at the top of the ladder, where samples start from noise.",
        unit="nats", ge=-20, le=-2, group="Levels",
    )  # fmt: skip
    num_steps: int = option(
        12, "Langevin steps at a level, in training and in sampling.", ge=1, le=1000, main=True,
        group="Sampler",
    )  # fmt: skip
    loss_weight: Literal["noise", "equal"] = option(
        "noise", "Weight of a level in the loss: σ_0/σ_t, less where neighbours are far apart, or "
        "the same for all.", group="Training",
    )  # fmt: skip
    classes: Literal["none", "labels", "clusters"] = option(
        "none", "What the networks are told of each datum: nothing, its class, so that samples can "
        "be asked of each, or its cluster, found without labels.",
        main=True, group="Classes",
    )  # fmt: skip
    num_clusters: int = option(
        20, "Clusters that k-means finds in the data; samples are of them, as frequent as there.",
        ge=2, le=1000, group="Classes",
    )  # fmt: skip
    null_share: float = option(
        0.2, "Share of the data shown without its class: all classes together are learned too.",
        ge=0, le=1, group="Classes",
    )  # fmt: skip
    train: TrainConfig = option(TrainConfig(), "How the weights are fitted.", group="Training")

    def derived(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.schedule == "linear_beta":
            idle = "No effect: a linear β has ends of its own."
            found |= {"highest_log_snr": idle, "lowest_log_snr": idle}
        if self.classes == "none":
            found["null_share"] = "No effect: classes are not learned."
        if self.classes != "clusters":
            found["num_clusters"] = "No effect: clusters are not looked for."
        return found
