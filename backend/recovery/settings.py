"""The settings of diffusion recovery likelihood, and those that its presets share."""

from __future__ import annotations

from typing import Any, Literal

from backend.config import Config, option
from backend.energies import AnyConditionalNetwork
from backend.recovery.bases import BaseConfig
from backend.recovery.initializers import AnyInitializer
from backend.recovery.noise_schedule import Schedule
from backend.training import TrainConfig

MAX_LEVELS = 32


class RecoveryLikelihoodConfig(Config):
    energy: AnyConditionalNetwork = option(
        {"kind": "residual_mlp"},
        "The network that is fitted, told the noise level.",
        group="Energy",
    )
    base: BaseConfig = option(
        {"kind": "flat"},
        "What the network's log-density is added to, and how chains step on it.",
        group="Sampler",
    )
    initializer: AnyInitializer = option(
        {"kind": "none"},
        "The network that guesses where chains should start, if any.",
        group="Initializer",
    )
    schedule: Schedule = option(
        "cosine",
        "How the noise of the levels is spaced: by a cosine or in a straight line of the "
        "log signal-to-noise ratio between its two ends, or by 1,000 steps of linear β.",
        group="Levels",
    )
    num_levels: int = option(
        6,
        "Levels of noise, each with a conditional of its own.",
        ge=2,
        le=MAX_LEVELS,
        main=True,
        group="Levels",
    )
    highest_log_snr: float = option(
        9.8,
        "Log signal-to-noise ratio at the level of least noise, which samples end at.",
        unit="nats",
        ge=-2,
        le=20,
        group="Levels",
    )
    lowest_log_snr: float = option(
        -5.1,
        "The same at the top of the ladder, where samples start from noise.",
        unit="nats",
        ge=-20,
        le=-2,
        group="Levels",
    )
    num_steps: int = option(
        12,
        "Langevin steps at a level, in training and in sampling.",
        ge=1,
        le=1000,
        main=True,
        group="Sampler",
        turnable=True,
    )
    loss_weight: Literal["noise", "equal"] = option(
        "noise",
        "Weight of a level in the loss: σ_0/σ_t, less where neighbours are far apart, or "
        "the same for all.",
        group="Training",
    )
    classes: Literal["none", "labels", "clusters"] = option(
        "none",
        "What the networks are told of each datum: nothing, its class, so that samples can "
        "be asked of each, or its cluster, found without labels.",
        main=True,
        group="Classes",
    )
    num_clusters: int = option(
        20,
        "Clusters that k-means finds in the data; samples are of them, as frequent as there.",
        ge=2,
        le=1000,
        group="Classes",
    )
    null_share: float = option(
        0.2,
        "Share of the data shown without its class: all classes together are learned too.",
        ge=0,
        le=1,
        group="Classes",
        turnable=True,
    )
    train: TrainConfig = option(TrainConfig(), "How the weights are fitted.", group="Training")

    def derived(self) -> dict[str, str]:
        notes: dict[str, str] = {}
        if self.schedule == "linear_beta":
            idle = "No effect: a linear β has ends of its own."
            notes |= {"highest_log_snr": idle, "lowest_log_snr": idle}
        if self.classes == "none":
            notes["null_share"] = "No effect: classes are not learned."
        if self.classes != "clusters":
            notes["num_clusters"] = "No effect: clusters are not looked for."
        return notes


POINTS: dict[str, Any] = {
    "train": {"ema_decay": 0.999, "batch_size": 192, "schedule": "cosine"},
}
DIGITS: dict[str, Any] = {
    "energy": {"kind": "residual_mlp", "width": 256, "start_scale": 0.01},
    "base": {"kind": "gaussian"},
    "schedule": "linear_log_snr",
    "num_levels": 5,
    "highest_log_snr": 4.0,
    "lowest_log_snr": -3.0,
    "num_steps": 10,
    "loss_weight": "equal",
    "classes": "labels",
    "train": {
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "batch_size": 192,
        "ema_decay": 0.998,
        "schedule": "cosine",
    },
}


COOPERATIVE_DIGITS: dict[str, Any] = {
    **DIGITS,
    "initializer": {"kind": "residual_mlp", "width": 256, "learning_rate": 2e-3},
}


def image_settings(features: int, multipliers: str, num_blocks: int) -> dict[str, Any]:
    """The published settings (Zhu et al. 2024), but for the step: f here is over σ_t², not over the
    step's own square, and its scale is learned."""
    wide = {"features": features, "multipliers": multipliers, "num_blocks": num_blocks}
    return {
        "energy": {
            "kind": "wide_resnet",
            **wide,
            "spectral_norm": True,
            "wall": 0,
            "channels_last": True,
        },
        "initializer": {
            "kind": "unet",
            "features": features // 2,
            "multipliers": multipliers,
            "num_blocks": 2,
            "learning_rate": 1e-5,
        },
        "num_steps": 15,
        "train": {
            "learning_rate": 1e-4,
            "schedule": "constant",
            "warm_up_share": 0.02,
            "beta1": 0.9,
            "batch_size": 256,
            "ema_decay": 0.9999,
        },
    }
