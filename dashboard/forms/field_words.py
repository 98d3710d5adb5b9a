"""Words for the names of fields and presets, where those of the code are short for something."""

from __future__ import annotations

import re

FIELDS = {
    "num": "Points to train on",
    "num_held_out": "Points held out",
    "num_modes": "Modes",
    "num_chains": "Chains",
    "sd": "Standard deviation",
    "noise_sd": "Standard deviation of the noise",
    "radial_sd": "Standard deviation along the arm",
    "tangential_sd": "Standard deviation across the arm",
    "prior_sd": "Standard deviation of the prior",
    "dim": "Dimensions",
    "reinit_rate": "Share restarted from noise",
    "buffer_size": "Chains kept",
    "energy_l2": "Weight of squared energies",
    "ema_decay": "Decay of averaged weights",
    "beta1": "Decay of the mean gradient (β₁)",
    "beta2": "Decay of squared gradients (β₂)",
    "batch_size": "Batch",
    "width": "Network width",
    "depth": "Network depth",
    "standardise": "Standardise columns",
    "held_out": "Share held out",
    "key": "Array of the .npz",
    "adapt": "Adapt the step size",
    "gradient_clip": "Longest gradient",
    "waves": "Waves of the input",
    "waves_up_to": "Waves up to so many coordinates",
    "tilt_bound": "Bound of the correction",
    "wide_share": "Share of the wide part",
    "base_power": "Power of the base",
    "micro_batches": "Parts of a batch",
}
_PRESET_SIZE = re.compile(r"^images_(\d+)$")


def field(name: str) -> str:
    """Name a field in words.

    >>> field("sd"), field("num_leapfrog"), field("learning_rate")
    ('Standard deviation', 'Number of leapfrog', 'Learning rate')
    """
    if name in FIELDS:
        return FIELDS[name]
    words = re.sub("^num_", "number of ", name).replace("_", " ")
    return f"{words[0].upper()}{words[1:]}"


def preset(name: str) -> str:
    """Name a preset in words.

    >>> preset("short_run"), preset("images_32"), preset("default")
    ('short run', 'images 32×32', 'default')
    """
    if size := _PRESET_SIZE.match(name):
        return f"images {size[1]}×{size[1]}"
    return name.replace("_", " ")
