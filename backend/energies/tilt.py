"""Tilt: an energy as a network's correction of a distribution fitted to the data."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import KindConfig
from backend.data import Data
from backend.distributions import Distribution, build_distribution
from backend.distributions.wide import WideStudent

CLOSE_BASE: dict[str, Any] = {
    "kind": "mixture",
    "num_components": 20,
    "scale": 1.0,
    "wide_share": 0.05,
}
"""A Config of a base for points: near the data, and over nothing does their density grow large."""
TILTED: dict[str, Any] = {
    "kind": "mlp",
    "waves": 4,
    "waves_up_to": 3,
    "base": CLOSE_BASE,
    "base_power": 0.8,
}
"""A Config of an energy of points that corrects it: with waves in the plane, for edges and detail
that Gaussians miss, and without them in ten dimensions, where they fit single points."""


class Tilt(nn.Module):
    """−β log q(x) − (1 − β) log t(x) + f(x), f = softplus(g + B) − softplus(B) of an output g.

    f is g where g is well above −B, B the bound, and never below −B. By Hölder's inequality
    ∫ q^β t^(1−β) is at most 1, so log Z is at most B; no tail is heavier than e^B times those of q
    and t, a Student's t about all data.
    """

    def __init__(self, base: Distribution, bound: float, power: float, data: Data) -> None:
        super().__init__()
        self.base, self.bound, self.power = base, bound, power
        self.wide = WideStudent(data) if power < 1 else None

    def forward(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Energies (batch, num_outputs) of positions x (batch, *event_shape) and outputs g."""
        log_base = self.base.log_prob(x)
        if self.wide is not None:
            log_wide = self.wide.log_prob(x.flatten(1))
            log_base = log_wide + self.power * (log_base - log_wide)
        return self.correction(outputs) - log_base[:, None]

    def correction(self, outputs: Tensor) -> Tensor:
        """f of g, like it."""
        bound = torch.full_like(outputs[:1, :1], self.bound)
        return F.softplus(outputs + bound) - F.softplus(bound)


def build_tilt(config: KindConfig, data: Data, generator: torch.Generator) -> Tilt | None:
    """The tilt that a network's Config asks for, its base fitted to the data; None without one."""
    from backend.energies.tilt_config import TiltConfig  # looks for distributions

    if not isinstance(config, TiltConfig) or not config.has_base:
        return None
    base = build_distribution(config.base, data, generator)
    return Tilt(base, config.tilt_bound, config.base_power, data)


def base_or_fitted(
    tilt: Tilt | None,
    energy: KindConfig,
    config: KindConfig,
    data: Data,
    generator: torch.Generator,
) -> Distribution:
    """The distribution of a Config: the base of an energy's tilt where that is the same, else
    fitted to the data."""
    if tilt is not None and getattr(energy, "base", None) == config:
        return tilt.base
    return build_distribution(config, data, generator)
