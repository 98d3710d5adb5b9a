"""Ising and Potts models on square lattices."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from backend.config import KindConfig, option
from backend.datasets.discrete import DiscreteConfig, DiscreteTarget
from backend.energies.discrete import DiscreteEnergy
from backend.energies.lattices import (
    MOST_IN_A_ROW,
    Ising,
    Potts,
    kaufman_log_z,
    transfer_log_z,
)
from backend.truth import Truth


class LatticeConfig(DiscreteConfig):
    """Fields of every lattice."""

    rows: int = option(4, "Rows of the lattice.", ge=1, le=32, main=True)
    columns: int = option(4, "Columns of the lattice.", ge=2, le=32, main=True)
    periodic: bool = option(True, "Joins opposite ends of each side longer than 2.")


class IsingConfig(LatticeConfig):
    kind: Literal["ising"] = "ising"
    coupling: float = option(
        0.2, "J: how strongly neighbours favour the same spin.", unit="nats", ge=-2, le=2, main=True
    )
    field: float = option(
        0.2, "h: how strongly spins favour +1.", unit="nats", ge=-5, le=5, main=True
    )

    def derived(self) -> dict[str, str]:
        critical = 0.5 * math.log(1 + math.sqrt(2))
        return {
            "coupling": f"J is {self.coupling / critical:.2g} of the critical {critical:.4g}, "
            "above which a large lattice without a field orders."
        }


class IsingData(DiscreteTarget):
    """E = -J Σ_<ij> s_i s_j - h Σ s_i, s = 2x - 1; enumerated up to 2^18 events.

    Larger without a field: moments by symmetry, and Kaufman's log Z where both sides wrap and
    J > 0; the events are of a long run of cluster moves, or of block Gibbs where J < 0. In a field
    log Z is a transfer matrix's, where both sides wrap and one has at most MOST_IN_A_ROW spins, and
    the moments are those of the run.
    """

    Config: ClassVar[type[KindConfig]] = IsingConfig
    title: ClassVar[str] = "Ising lattice"
    summary: ClassVar[str] = "Spins that favour their neighbours' sign: critical at J = 0.44."

    @property
    def num_values(self) -> int:
        return 2

    def target(self) -> DiscreteEnergy:
        c = self.config
        return Ising(c.rows, c.columns, c.coupling, c.field, c.periodic)

    def truth(self, energy: DiscreteEnergy) -> Truth | None:
        config = self.config
        wraps = config.periodic and min(config.rows, config.columns) > 2
        if config.field != 0:
            if not wraps or min(config.rows, config.columns) > MOST_IN_A_ROW:
                return None
            exact = transfer_log_z(config.rows, config.columns, config.coupling, config.field)
            return Truth("a transfer matrix", log_z=exact)
        log_z = mean_energy = None
        if config.coupling > 0 and wraps:
            with torch.enable_grad():
                coupling = torch.tensor(config.coupling, dtype=torch.float64, requires_grad=True)
                of_coupling = kaufman_log_z(config.rows, config.columns, coupling)
                (slope,) = torch.autograd.grad(of_coupling, coupling)
            log_z, mean_energy = float(of_coupling.detach()), -config.coupling * float(slope)
        return _by_symmetry(energy, log_z, mean_energy)


class PottsConfig(LatticeConfig):
    kind: Literal["potts"] = "potts"
    rows: int = option(3, "Rows of the lattice.", ge=1, le=32, main=True)
    columns: int = option(3, "Columns of the lattice.", ge=2, le=32, main=True)
    num_values: int = option(3, "q: values of a site.", ge=2, le=16, main=True)
    coupling: float = option(
        0.7,
        "J: how strongly neighbours favour the same value.",
        unit="nats",
        ge=-4,
        le=4,
        main=True,
    )
    field: float = option(
        0.0, "h: how strongly sites favour the value 0.", unit="nats", ge=-10, le=10
    )

    def derived(self) -> dict[str, str]:
        critical = math.log(1 + math.sqrt(self.num_values))
        return {
            "coupling": f"J is {self.coupling / critical:.2g} of the critical {critical:.4g}, "
            "above which a large lattice without a field orders."
        }


class PottsData(DiscreteTarget):
    """E = -J Σ_<ij> [x_i = x_j] - h Σ [x_i = 0]; enumerated up to 2^18 events.

    Larger without a field: moments by symmetry; the events are of a long run of cluster moves, or
    of block Gibbs where J < 0.
    """

    Config: ClassVar[type[KindConfig]] = PottsConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Potts lattice"
    summary: ClassVar[str] = "Sites of q colours that favour their neighbours' colour."

    @property
    def num_values(self) -> int:
        return int(self.config.num_values)

    def target(self) -> DiscreteEnergy:
        c = self.config
        return Potts(c.rows, c.columns, c.num_values, c.coupling, c.field, c.periodic)

    def truth(self, energy: DiscreteEnergy) -> Truth | None:
        return None if self.config.field != 0 else _by_symmetry(energy)


def _by_symmetry(
    energy: DiscreteEnergy, log_z: float | None = None, mean_energy: float | None = None
) -> Truth:
    """Without a field every value of a site is equally likely."""
    q, shape = energy.num_values, energy.event_shape
    mean = torch.full(shape, (q - 1) / 2, dtype=torch.float64)
    variance = torch.full(shape, (q * q - 1) / 12, dtype=torch.float64)
    return Truth("closed form", mean, variance, log_z, mean_energy=mean_energy)
