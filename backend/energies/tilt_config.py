"""Fields of networks that can correct a fitted distribution (`tilt`).

Importing this looks for every distribution there is; a worker does so in its jobs alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from backend.config import KindConfig, option, tagged_union
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

    base_power: float = option(
        1.0,
        "Power β of the base in the energy, the rest given to a wide Student's t of the data: "
        "−β log q − (1 − β) log t + f. Below 1, what fits badly in the base, such as Gaussians "
        "strung along a ring, is easier to correct.",
        gt=0,
        le=1,
        group="Base",
    )

    @property
    def has_base(self) -> bool:
        """True where there is a distribution to correct."""
        return not isinstance(self.base, NoBaseConfig)

    def derived(self) -> dict[str, str]:
        if self.has_base:
            return {}
        return dict.fromkeys(("tilt_bound", "base_power"), "No effect without a base.")

    def misfit(self) -> str:
        """Reason why the network cannot correct this base; "" when it can."""
        if not (self.has_base and getattr(self, "spectral_norm", False)):
            return ""
        return (
            "must be `none` beside `spectral_norm`, which keeps the last layer from starting at 0, "
            f"got `{self.base.kind}`. Turn `spectral_norm` off."
        )
