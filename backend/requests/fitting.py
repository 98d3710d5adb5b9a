"""Checks of a method and its Config against the data, before anything is set up."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from backend.catalogue import given_problems
from backend.config import Config
from backend.data import Data
from backend.energies.discrete import read_as
from backend.energy import Energy
from backend.method import Method
from backend.system import discovery

Problems = list[tuple[str, str]]


class _Flat(Energy):
    """E(x) = 0: stands for a network that is not built yet."""

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return torch.zeros_like(x.flatten(1)[:, 0])


def problems(method: type[Method], config: Config, data: Data) -> Problems:
    """(field, sentence) for everything about a method and its Config that does not fit the data.

    Where the method cannot take such data at all, that alone is said.
    """
    lacking = given_problems(method, data)
    if lacking and method.needs:
        return lacking
    if reason := method.fits(data):
        return [("data.name", reason)]
    # where nothing is trained the parts move on what the data say, which the method alone knows
    parts = misfits(config, data) if method.trains else []
    return [*lacking, *parts, *method.problems(config, data)]


def _stand_in(config: BaseModel, data: Data) -> Energy:
    """An energy of the events of the data, of the kind that a Config's network will be."""
    network = networks_by_config().get(type(getattr(config, "energy", None)))
    if network is not None and data.num_values is not None:
        own: Energy | None = network.stand_in(data.event_shape, data.num_values)
        if own is not None:
            return own
    return read_as(_Flat(), data.event_shape, data.num_values)


def networks_by_config() -> dict[type, Any]:
    """Classes of network by their Config."""
    return {cls.Config: cls for cls in discovery.networks().values()}


def misfits(config: BaseModel, data: Data) -> Problems:
    """(field, sentence) for every part of a Config, however deep, that does not fit the data.

    Networks, distributions and initializers are asked about the shape of the events, samplers
    about an energy of such events.
    """
    from backend.energies.tilt_config import TiltConfig  # looks for distributions

    of_shape = {
        cls.Config: cls
        for classes in (discovery.networks(), discovery.distributions())
        for cls in classes.values()
    }
    distributions = {cls.Config for cls in discovery.distributions().values()}
    samplers = {cls.Config: cls for cls in discovery.samplers().values()}
    energy = _stand_in(config, data)
    reasons: Problems = []
    for name in type(config).model_fields:
        part = getattr(config, name)
        if not isinstance(part, BaseModel):
            continue
        if type(part) in samplers:
            reason = samplers[type(part)].fits(energy)
        elif type(part) in distributions and data.num_values is not None:
            reason = "is a density of real numbers, and these data hold whole ones."
        else:
            cls = of_shape.get(type(part), part)
            fits, fits_values = getattr(cls, "fits", None), getattr(cls, "fits_values", None)
            reason = fits(data.event_shape) if fits is not None else ""
            reason = reason or (fits_values(data.num_values) if fits_values is not None else "")
        if reason:
            reasons.append((f"{name}.kind", reason))
        if isinstance(part, TiltConfig) and (reason := part.misfit()):
            reasons.append((f"{name}.base.kind", reason))
        reasons += [(f"{name}.{field}", sentence) for field, sentence in misfits(part, data)]
    return reasons
