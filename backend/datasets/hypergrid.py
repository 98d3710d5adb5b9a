"""The hypergrid: corners of high reward, far apart."""

from __future__ import annotations

from typing import ClassVar, Literal

from backend.config import KindConfig, option
from backend.datasets.discrete import DiscreteConfig, DiscreteTarget
from backend.energies.discrete import MOST_STATES
from backend.energies.hypergrid import Hypergrid
from backend.errors import BadInput


class HypergridConfig(DiscreteConfig):
    kind: Literal["hypergrid"] = "hypergrid"
    side: int = option(8, "Values of each coordinate.", ge=3, le=512, main=True)
    dimension: int = option(
        2, "Coordinates; there is a peak in each corner.", ge=1, le=8, main=True
    )
    base: float = option(
        0.1,
        "R0, the reward everywhere: the smaller, the harder the way from corner to corner.",
        gt=0,
        le=10,
        log=True,
        main=True,
    )
    outer: float = option(0.5, "R1, the reward on the corners' plateaus.", ge=0, le=100)
    peak: float = option(2.0, "R2, the reward on the peaks.", ge=0, le=100)


class HypergridData(DiscreteTarget):
    """p(x) ∝ R(x), every state enumerated. Bengio et al. 2021."""

    Config: ClassVar[type[KindConfig]] = HypergridConfig
    title: ClassVar[str] = "Hypergrid"
    summary: ClassVar[str] = "A grid with a peak in every corner and little between them."
    config: HypergridConfig

    @property
    def num_values(self) -> int:
        return self.config.side

    def target(self) -> Hypergrid:
        config = self.config
        if config.side**config.dimension > MOST_STATES:
            raise BadInput.at(
                "data.side",
                f"must give at most {MOST_STATES:,} states with dimension {config.dimension}, "
                f"since all are enumerated; got {config.side} values a coordinate.",
            )
        return Hypergrid(config.side, config.dimension, config.base, config.outer, config.peak)
