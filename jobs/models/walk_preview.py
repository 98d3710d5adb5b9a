"""Walk of a method's sampler on the law of its data, to see steps to scale before a launch."""

from __future__ import annotations

import torch

from backend.energy import InUnits
from backend.observe.chains import run_chains
from backend.observe.pictures import in_units
from backend.randomness import generator_of
from jobs.models.method_setup import Prepared

NUM_STEPS = 40
_NUM_CHAINS = 8
"""Chains that a sampler of many has; one of them is drawn."""


def walk(prepared: Prepared) -> list[list[float]]:
    """List the positions (steps + 1, 2) of one chain from a held-out point, in the user's units.

    Empty for data beyond the plane or without a known density, and where no sampler walks on it.
    """
    data, sampler = prepared.data, prepared.method.sampler()
    density = data.density
    if sampler is None or density is None or data.event_shape != (2,):
        return []
    if data.num_values is not None or sampler.discrete:
        return []
    energy = InUnits(density, -data.mean / data.scale, 1 / data.scale)
    if type(sampler).fits(energy):
        return []
    start = data.held_out[:_NUM_CHAINS]
    generator = generator_of("walk", 0, device=start.device)
    chains = run_chains(
        sampler, energy, start, NUM_STEPS, generator, keep_last=NUM_STEPS, keep_chains=1
    )
    path = data.restore(torch.stack(chains.path)[:, 0])
    return in_units(path).tolist() if bool(path.isfinite().all()) else []
