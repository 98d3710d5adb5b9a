"""The user's own energy of whole numbers, written in Python.

A file such as

    event_shape, num_values = (12,), 2

    def energy(x):                      # torch, x (batch, *event_shape) of 0, 1, ... num_values - 1
        return -(x[:, 1:] == x[:, :-1]).sum(1)

It is loaded and trusted as `energy_file` is; `x` is float32.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.datasets.discrete import DiscreteConfig, DiscreteTarget
from backend.datasets.energy_file import NUM_TRIED, EnergyFile, FileEnergy
from backend.energies.discrete import Embedded
from backend.errors import BadInput
from backend.randomness import generator_of

MOST_VALUES = 64
"""Values of a site."""
MOST_SITES = 1024


class DiscreteEnergyFileConfig(DiscreteConfig):
    kind: Literal["discrete_energy_file"] = "discrete_energy_file"
    path: str = option(
        ...,
        "A Python file with `event_shape`, `num_values` and a torch function `energy(x)` of whole "
        "numbers; it is run. From the browser, the name of a file in the folder `energies` of "
        "BASIN_HOME.",
        main=True,
        min_length=1,
    )


class WholeFileEnergy(FileEnergy):
    """A function of a file that is given float32, whatever the precision of the sums over it."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.function(x.float()).to(x.dtype)


class DiscreteEnergyFileData(DiscreteTarget):
    """Any energy of whole numbers; enumerated up to 2^18 events, a long Gibbs run otherwise."""

    Config: ClassVar[type[KindConfig]] = DiscreteEnergyFileConfig
    title: ClassVar[str] = "Your own energy of whole numbers"
    summary: ClassVar[str] = "A Python file with a torch function energy(x) of whole numbers."

    @cached_property
    def file(self) -> EnergyFile:
        """The file, run once."""
        try:
            path = Path(self.config.path).expanduser()
        except RuntimeError as error:  # a user that there is not
            reason = f"{self.config.path!r} names no file: {str(error).rstrip('.')}."
            raise BadInput.at("data.path", reason) from error
        file = EnergyFile(path)
        if (num := file.event_shape.numel()) > MOST_SITES:
            raise file.bad(f"`event_shape` must hold at most {MOST_SITES:,} values, got {num:,}.")
        return file

    @property
    def num_values(self) -> int:
        value = getattr(self.file.module, "num_values", None)
        if type(value) is not int or not 2 <= value <= MOST_VALUES:
            raise self.file.bad(
                f"`num_values` must be a whole number from 2 to {MOST_VALUES}, got {value!r}. An "
                "energy of real numbers is an `energy_file`."
            )
        return value

    def target(self) -> Embedded:
        file, num_values = self.file, self.num_values
        shape = (NUM_TRIED, *file.event_shape)
        tried = torch.randint(num_values, shape, generator=generator_of("data", "tried"))
        energy = WholeFileEnergy(file.energy)
        file.check_energy(energy, tried.float())
        return Embedded(energy, file.event_shape, num_values)
