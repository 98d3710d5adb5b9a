"""Tilt: an energy as a network's correction of a distribution fitted to the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import KindConfig, option, tagged_union
from backend.data import Data
from backend.distributions import Distribution, build_distribution
from backend.system import discovery


class NoBaseConfig(KindConfig):
    kind: Literal["none"] = "none"
    title: ClassVar[str] = "None"
    summary: ClassVar[str] = "The network is the whole energy."


if TYPE_CHECKING:
    AnyBase = KindConfig
else:
    AnyBase = tagged_union(
        [NoBaseConfig, *(cls.Config for cls in discovery.distributions().values())]
    )


class TiltConfig(KindConfig):
    """Fields of every network that can correct a fitted distribution."""

    base: AnyBase = option(
        {"kind": "none"},
        "The distribution that the network corrects, fitted to the data when the run starts: the "
        "energy is −log q(x) + f(x), and f starts at 0.",
        group="Base",
    )
    tilt_bound: float = option(
        10.0,
        "The most by which f can lower the energy; it can raise it as far as it likes. So tails "
        "stay under the base's and log Z is finite.",
        unit="nats",
        gt=0,
        le=1e6,
        log=True,
        group="Base",
    )

    @property
    def has_base(self) -> bool:
        """True where there is a distribution to correct."""
        return not isinstance(self.base, NoBaseConfig)

    def derived(self) -> dict[str, str]:
        return {} if self.has_base else {"tilt_bound": "No effect without a base."}

    def misfit(self) -> str:
        """Reason why the network cannot correct this base; "" when it can."""
        if not (self.has_base and getattr(self, "spectral_norm", False)):
            return ""
        return (
            "must be `none` beside `spectral_norm`, which keeps the last layer from starting at 0, "
            f"got `{self.base.kind}`. Turn `spectral_norm` off."
        )


class Tilt(nn.Module):
    """−log q(x) + f(x), f = softplus(g + B) − softplus(B) of a network's output g, B the bound.

    f is g where g is well above −B, and never below −B: log ∫ q e^{−f} is at most B, e^{−f} is a
    bounded weight of draws from q, and no tail is heavier than e^B times that of q.
    """

    def __init__(self, base: Distribution, bound: float) -> None:
        super().__init__()
        self.base, self.bound = base, bound

    def forward(self, x: Tensor, outputs: Tensor) -> Tensor:
        """Energies (batch, num_outputs) of positions x (batch, *event_shape) and outputs g."""
        return self.correction(outputs) - self.base.log_prob(x)[:, None]

    def correction(self, outputs: Tensor) -> Tensor:
        """f of g, like it."""
        bound = torch.full_like(outputs[:1, :1], self.bound)
        return F.softplus(outputs + bound) - F.softplus(bound)


def build_tilt(config: KindConfig, data: Data, generator: torch.Generator) -> Tilt | None:
    """The tilt that a network's Config asks for, its base fitted to the data; None without one."""
    if not isinstance(config, TiltConfig) or not config.has_base:
        return None
    return Tilt(build_distribution(config.base, data, generator), config.tilt_bound)
