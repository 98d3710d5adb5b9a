"""Settings of contrastive divergence, by what they are for."""

from __future__ import annotations

from typing import Any

from backend.method import Preset
from backend.spec import Budget

STEADY: dict[str, Any] = {
    "sampler": {"kind": "langevin", "gradient_clip": 30.0},
    "data_noise_end": 0.1,
    "train": {"schedule": "cosine", "ema_decay": 0.995},
}
"""Settings that keep chains on hard edges: on moons and checkerboards the energy otherwise grows
sharper than the sampler's step can follow, and runs away. Averaging the weights takes out the
noise of the last updates."""


WEIGHTED: dict[str, Any] = {
    "chains": "weighted",
    "energy": {
        "kind": "mlp",
        "waves": 4,
        "base": {"kind": "mixture", "num_components": 20, "scale": 1.0, "wide_share": 0.02},
    },
    "sampler": {"kind": "mala", "step_size": 0.003},
    "num_steps": 2,
    "buffer_size": 512,
    "data_noise": 0.0,
    "energy_l2": 0.0,
    "train": {
        "schedule": "cosine",
        "batch_size": 512,
        "learning_rate": 4e-3,
        "beta1": 0.5,
        "ema_decay": 0.99,
    },
}
"""Weighted chains on a mixture of Gaussians: where walkers seldom come the base is right, and what
it has wrong the network's waves mend. With a rate of 1e-2, a warm-up and an average of .98 one run
on heavy tails ended at KL .09 in place of .02; which of the three did it was not tried."""


IMAGES_32: dict[str, Any] = {
    "chains": "persistent",
    "energy": {
        "kind": "wide_resnet",
        "features": 128,
        "multipliers": "1,2,2",
        "num_blocks": 2,
        "spectral_norm": True,
        "wall": 6.3,
        "channels_last": True,
    },
    "sampler": {"kind": "langevin", "step_size": 40, "noise_scale": 1.12e-3, "gradient_clip": 5e-3},
    "num_steps": 60,
    "data_noise": 0.0025,
    "data_noise_end": 0.0025,
    "energy_l2": 1.0,
    "train": {"learning_rate": 1e-4, "schedule": "constant", "batch_size": 128, "ema_decay": 0.999},
}
"""Settings of Du & Mordatch 2019 for pixels in [0, 1], here in ±1: steps of 10, noise of 0.005,
gradients clamped at 0.01. With wall² near the step size, the wall brings a pixel that has left back
to the edge in one step, as their clamp does."""


BITS: dict[str, Any] = {
    "chains": "persistent",
    "buffer_size": 1000,
    "reinit_rate": 0.0,
    "data_noise": 0.0,
    "energy_l2": 0.0,
    "train": {
        "schedule": "cosine",
        "batch_size": 100,
        "beta2": 0.99,
        "gradient_clip": 0.0,
    },
}
"""Settings of chains of whole numbers that live on: of 1,000, an update moves a tenth."""


PRESETS: dict[str, Preset] = {
    "default": Preset(
        "Chains of 20 Langevin steps from the data of each update. Masses of modes apart and "
        "tails are left to chance: KL .3 on unequal modes, .2 on two shells.",
        STEADY,
        Budget(steps=3000),
    ),
    "persistent": Preset(
        "512 chains that live on and carry weights, from a mixture of Gaussians that the "
        "network corrects: a density of the plane, with log Z at every step; in ten dimensions "
        "worse than its mixture. Long chains from noise stay where they fall: take draws.",
        WEIGHTED,
        Budget(steps=2000),
    ),
    "plain_persistent": Preset(
        "Chains that live on in a buffer of 10,000, all alike. Modes that they do not cross "
        "get masses that nothing checks: KL 3 on two shells and on unequal modes.",
        {"chains": "persistent", **STEADY},
        Budget(steps=3000),
    ),
    "short_run": Preset(
        "Chains of 20 steps, each from fresh noise: good samples at 20 steps from an energy "
        "that is no density, as its long-run samples show.",
        {"chains": "noise"},
        Budget(steps=3000),
    ),
    "discrete": Preset(
        "Persistent chains that change one site at a time, guided by gradients, for bits and "
        "other whole numbers.",
        {
            "chains": "persistent",
            "energy": {"kind": "mlp", "depth": 1, "activation": "softplus"},
            "sampler": {"kind": "gibbs_with_gradients"},
            "num_steps": 10,
            "buffer_size": 1000,
            "data_noise": 0.0,
            "energy_l2": 0.0,
            "train": {"schedule": "cosine", "ema_decay": 0.99},
        },
        Budget(steps=1000),
        data={"name": "ising"},
    ),
    "rbm": Preset(
        "A restricted Boltzmann machine of 14 hidden bits by persistent chains of block Gibbs: its "
        "likelihood is exact all along. 64 hidden bits fit digits better by two nats.",
        {
            **BITS,
            "energy": {"kind": "rbm"},
            "sampler": {"kind": "block_gibbs"},
            "num_steps": 1,
        },
        Budget(steps=3000),
        data={"name": "binary_digits"},
    ),
    "rbm_from_data": Preset(
        "The same by chains of one step from the data of each update, CD-1.",
        {
            **BITS,
            "chains": "data",
            "energy": {"kind": "rbm"},
            "sampler": {"kind": "block_gibbs"},
            "num_steps": 1,
        },
        Budget(steps=3000),
        data={"name": "binary_digits"},
    ),
    "bits": Preset(
        "A perceptron over bits by persistent chains of Gibbs with gradients, 20 flips an update; "
        "log Z is annealed both ways.",
        {
            **BITS,
            "energy": {"kind": "mlp", "width": 128, "depth": 2, "straight": True},
            "sampler": {"kind": "gibbs_with_gradients"},
            "num_steps": 20,
            "train": {**BITS["train"], "learning_rate": 1e-3, "ema_decay": 0.99},
        },
        Budget(steps=3000),
        data={"name": "binary_digits"},
    ),
    "images": Preset(
        "Persistent chains on a small convolutional energy with averaged weights, for images "
        "of 8×8 pixels or so.",
        {
            "chains": "persistent",
            "energy": {"kind": "conv", "wall": 0.03},
            "sampler": {"kind": "langevin", "step_size": 0.0007},
            "num_steps": 40,
            "buffer_size": 5000,
            "reinit_rate": 0.01,
            "data_noise": 0.2,
            "data_noise_end": 0.2,
            "energy_l2": 0.001,
            "train": {"learning_rate": 1e-3, "batch_size": 64, "ema_decay": 0.995},
        },
        Budget(steps=1600),
        data={"name": "digits"},
    ),
    "images_32": Preset(
        "Persistent chains far below T = 1 on a wide ResNet with spectral norm, as Du & "
        "Mordatch 2019 fit CIFAR-10, for 32×32 images or so on a GPU.",
        IMAGES_32,
        Budget(steps=100_000),
        data={"name": "cifar_10"},
        wants_gpu=True,
    ),
}
