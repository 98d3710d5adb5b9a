"""Sampling without training: chains on a known density, or on the energy of a trained run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend import samplers
from backend.config import Config, option
from backend.data import Data
from backend.energy import Energy, InUnits
from backend.errors import BadInput
from backend.method import Method, Preset, Start, Task
from backend.sampler import Sampler
from backend.samplers import AnySampler
from backend.spec import Budget


class SamplingConfig(Config):
    energy_of: str = option(
        "", "Id of a trained run whose energy is sampled; empty samples the true density of the "
        "data, where it is known.", max_length=80, main=True, group="Energy",
    )  # fmt: skip
    sampler: AnySampler = option(
        {"kind": "langevin"}, "The sampler that is watched.", group="Sampler"
    )
    chains: Literal["noise", "data"] = option(
        "noise", "Where the chains start.", main=True, group="Chains"
    )
    num_chains: int = option(
        512, "Chains run side by side.", ge=2, le=65_536, main=True, group="Chains"
    )
    num_steps: int = option(
        1, "Sampler steps of every chain between two points of the curves.", ge=1, le=10_000,
        group="Chains",
    )  # fmt: skip


class Sampling(Method):
    """Runs one sampler on one energy and shows how far its chains are from the data's law."""

    id = "sampling"
    title = "Sampling"
    summary = (
        "No training: runs a sampler on a density that is known, or on the energy of a trained "
        "run, and measures its samples against the truth."
    )
    references = "Roberts & Tweedie 1996; Neal 2011"
    url = "https://arxiv.org/abs/1206.1901"
    Config = SamplingConfig
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("Unadjusted Langevin from noise.", {}, Budget(steps=1000)),
        "mala": Preset(
            "Langevin with a Metropolis test: no bias at any step size.",
            {"sampler": {"kind": "mala"}},
            Budget(steps=1000),
        ),
        "hmc": Preset(
            "Hamiltonian trajectories: far moves, each of several gradients.",
            {"sampler": {"kind": "hmc"}},
            Budget(steps=200),
        ),
    }
    headline = (
        "quality/energy_distance",
        "energy/model",
        "sampler/acceptance_rate",
        "sampler/radius",
    )
    trains = False
    config: SamplingConfig

    def __init__(self, config: SamplingConfig, task: Task) -> None:
        super().__init__(config, task)
        self.kernel = samplers.build(config.sampler)
        self.target = _target(config, task)
        start = self.start(config.num_chains, self.generator).positions
        self.state = self.kernel.init(start, self.target, self.generator)
        self.gradient_evaluations = 1

    @classmethod
    def problems(cls, config: SamplingConfig, data: Data) -> Iterable[tuple[str, str]]:
        if config.energy_of:
            return
        if data.density is None:
            yield (
                "energy_of",
                f"is needed: the density of {data.title!r} is not known. Name a trained run, or "
                "choose data with a known density such as `ring`.",
            )
        elif not getattr(data.density, "differentiable", True):
            yield (
                "sampler.kind",
                f"follows the gradient, and the density of {data.title!r} has none: it jumps at "
                "edges. Choose other data, or name a trained run in `energy_of`.",
            )

    def step(self, progress: float) -> dict[str, Tensor]:
        walk = samplers.run(
            self.kernel, self.state, self.target, self.generator, self.config.num_steps
        )
        self.state = walk.state
        self.gradient_evaluations += walk.gradient_evaluations
        position, energy = self.state.position, self.state.energy
        metrics = {
            "energy/model": energy.mean(),
            "energy/max": energy.abs().amax(),
            "sampler/radius": position.flatten(1).norm(dim=1).amax(),
        }
        if self.kernel.exact:
            metrics["sampler/acceptance_rate"] = walk.acceptance_rate
        return metrics

    def energy(self) -> Energy:
        return self.target

    def sampler(self) -> Sampler:
        return self.kernel

    def start(self, num: int, generator: torch.Generator) -> Start:
        data = self.task.data
        if self.config.chains == "data":
            return Start(data.batch(num, generator), True, self.config.num_steps)
        return Start(data.noise(num, generator), True, self.config.num_steps)

    def train_time_samples(self, num: int, generator: torch.Generator) -> Tensor:
        """The chains where they stand; `num` of them, drawn again where there are too few."""
        position, have = self.state.position, self.config.num_chains
        device = position.device
        if num <= have:
            return position[torch.randperm(have, generator=generator, device=device)[:num]]
        return position[torch.randint(have, (num,), generator=generator, device=device)]


def _target(config: SamplingConfig, task: Task) -> Energy:
    """The energy to sample, of standardised positions of the task's data. Raises BadInput."""
    data = task.data
    if config.energy_of:
        field = "config.energy_of"
        if task.load_energy is None:
            raise BadInput.at(field, "cannot be used here: no runs can be loaded.")
        energy = task.load_energy(config.energy_of)
    else:
        field = "data.name"
        if data.density is None:
            raise BadInput.at(field, "has no known density to sample.")
        energy = data.density
    # z → restore(z), where the energy is of positions in the user's units
    target = InUnits(energy, -data.mean / data.scale, 1 / data.scale).to(task.device)
    try:
        with torch.no_grad():
            shape = target(data.held_out[:2]).shape
    except RuntimeError as error:
        raise _misfit(field, data) from error
    if shape != (2,):
        raise _misfit(field, data)
    return target.requires_grad_(False)


def _misfit(field: str, data: Data) -> BadInput:
    shape = tuple(data.event_shape)
    return BadInput.at(field, f"takes other positions than those of {data.title!r}, {shape}.")
