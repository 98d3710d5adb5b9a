"""Gibbs sampling, one site at a time."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energies.discrete import at_site
from backend.energy import Energy
from backend.sampler import Info, State, temperature_option
from backend.samplers.discrete import (
    DiscreteSampler,
    always,
    discrete,
    drawn,
    told,
    uniform,
)


class GibbsConfig(KindConfig):
    kind: Literal["gibbs"] = "gibbs"
    title: ClassVar[str] = "Gibbs, site by site"
    summary: ClassVar[str] = "Draws one site anew given all others: exact, nothing to tune."

    sites: int = option(
        1,
        "Sites drawn anew in a step; 0 for as many as the event has.",
        ge=0,
        le=65_536,
        main=True,
        group="Sampler",
    )
    scan: Literal["random", "systematic"] = option(
        "random",
        "Which site is next: any, each chain its own, or one after the other.",
        group="Sampler",
    )
    temperature: float = temperature_option()

    def derived(self) -> dict[str, str]:
        if self.sites == 0:
            return {"sites": "A step is a sweep: as many draws as the event has sites."}
        return {"sites": f"A step changes at most {self.sites} of the event's sites."}


class Gibbs(DiscreteSampler):
    """x_i ~ p(x_i | x_rest) ∝ exp(-E/T), for one site i after another.

    The energies of the q values come from the gradient when the energy is multilinear, from the
    neighbours alone on lattices, and from q evaluations otherwise; the energy of the whole is
    evaluated once more at the end. The site of a systematic scan is carried in `extra["site"]`.
    Geman & Geman 1984.
    """

    Config: ClassVar[type[KindConfig]] = GibbsConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Geman & Geman 1984"
    config: GibbsConfig

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        return state.carrying(site=torch.zeros((), dtype=torch.int64, device=position.device))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        target, x = discrete(energy), state.position
        num = self.config.sites or target.num_sites
        sites, following = self._sites(state, num, target.num_sites, generator)
        chances = uniform(sites.shape, state.energy, generator)
        x = x.clone()
        flat = x.flatten(1)  # a view of x: sites are written in place, as nothing else has it yet
        for index, (site, chance) in enumerate(zip(sites, chances, strict=True)):
            if index == 0 and target.multilinear:
                energies = at_site(state.gradient, site)
                value = self.fused(_given, energy, energies, chance, self.temperature)
            else:
                value = self.fused(_drawn, energy, x, site, chance, self.temperature)
            flat.scatter_(1, site[:, None], value[:, None].to(x.dtype))
        paid = num - 1 if target.multilinear else num
        outcome = always(target, x)
        after, info = told(state, outcome, paid * target.site_evaluations + 1)
        return after.carrying(site=following), info

    def _sites(
        self, state: State, num: int, num_sites: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Sites (num, chains) to draw anew, and where a systematic scan goes on."""
        x, site = state.position, state.extra["site"]
        if self.config.scan == "random":
            shape = (num, len(x))
            return torch.randint(num_sites, shape, generator=generator, device=x.device), site
        order = (site + torch.arange(num, device=x.device)) % num_sites
        return order[:, None].expand(num, len(x)), (site + num) % num_sites


def _given(energy: Energy, energies: Tensor, chance: Tensor, temperature: float) -> Tensor:
    return drawn(-energies / temperature, chance)


def _drawn(energy: Energy, x: Tensor, site: Tensor, chance: Tensor, temperature: float) -> Tensor:
    return drawn(-discrete(energy).site_energies(x, site) / temperature, chance)
