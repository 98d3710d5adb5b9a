"""Targets from statistical physics, unnormalised: field theory on a lattice, and clusters."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, Draw, noise_box
from backend.datasets import long_run
from backend.energies.physics import WIDEST, Chain, LennardJones, Pair, Phi4, half_width
from backend.energy import Energy
from backend.errors import BadInput
from backend.randomness import generator_of
from backend.truth import Expectations, Truth


def _data(
    dataset: Dataset, target: Energy, truth: Truth, parts: tuple[Tensor, Tensor], draw: Draw | None
) -> Data:
    """Draws (num, *event_shape) around 0, all coordinates scaled alike: none is set apart."""
    assert truth.variance is not None
    scale = truth.variance.mean().sqrt().float()
    train, held_out = (part.float() / scale for part in parts)
    low, high = noise_box(train)
    return Data(
        name=dataset.Config.model_fields["kind"].default,
        title=dataset.title,
        train=train,
        held_out=held_out,
        mean=torch.zeros(()),
        scale=scale,
        noise_low=low,
        noise_high=high,
        target=target,
        truth=truth,
        draw=draw,
    )


class Phi4Config(KindConfig):
    kind: Literal["phi4"] = "phi4"
    dims: int = option(1, "Dimensions of the lattice; in one all is known.", ge=1, le=2, main=True)
    length: int = option(
        8, "Sites along a side, up to 24 in two dimensions.", ge=2, le=64, main=True
    )
    mass_squared: float = option(
        -4.0,
        "m², the curvature of the potential at φ = 0; below 0 it has two wells.",
        ge=-10,
        le=100,
        main=True,
    )
    coupling: float = option(6.975, "λ, the strength of φ⁴.", ge=0, le=1000)
    num: int = option(4000, "Training configurations.", ge=100, le=10_000)
    num_held_out: int = option(2000, "Held-out configurations.", ge=100, le=10_000)
    seed: int = option(0, "Seeds the draw of the data; the run has its own.", ge=0, le=2**31 - 1)


class Phi4Data(Dataset):
    """Exact draws and truth in one dimension; in two a run of HMC made when it is loaded.

    That run's chains start at random signs, since the law knows no sign and single chains may
    never change theirs. With the default settings in two dimensions the truth is of a long run.
    """

    is_target: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = Phi4Config
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Lattice φ⁴"
    summary: ClassVar[str] = "A field on a periodic lattice: neighbours agree, and wells compete."
    config: Any

    def target(self) -> Phi4:
        config = self.config
        return Phi4(config.dims, config.length, config.mass_squared, config.coupling)

    def load(self) -> Data:
        config, target = self.config, self.target()
        width = half_width(config.mass_squared, config.coupling)
        if not width <= WIDEST:
            raise BadInput.at(
                "data.mass_squared",
                f"must hold the field: with coupling {config.coupling:g} the potential at "
                f"{config.mass_squared:g} is too flat. Raise one of the two.",
            )
        if config.dims == 2:
            return self._by_run(target, width)
        chain = Chain(target)
        train, held_out = (
            chain.draw(num, generator_of("data", config.seed, index))
            for index, num in enumerate((config.num, config.num_held_out))
        )
        return _data(self, target, chain.truth(), (train, held_out), chain.draw)

    def _by_run(self, target: Phi4, width: float) -> Data:
        config = self.config
        if config.length > MAX_SIDE:
            raise BadInput.at(
                "data.length",
                f"must be ≤ {MAX_SIDE} in two dimensions, got {config.length}.",
            )
        run = phi4_run(target, width, config.num + config.num_held_out, config.seed)
        functions = Expectations(target.names, target.functions, torch.zeros(3))
        settings = config.model_dump(include=set(PHI4_SETTINGS))
        truth = long_run.bundled_truth("phi4", settings, functions)
        if truth is None:
            truth = long_run.truth_of(run, target, functions, symmetric=True)[0]
        sign = _signs(len(run.flat), target, generator_of("signs", config.seed))
        train, held_out = (sign * run.flat).split([config.num, len(sign) - config.num])
        return _data(self, target, truth, (train, held_out[: config.num_held_out]), None)


MAX_SIDE = 24
PHI4_SETTINGS = ("dims", "length", "mass_squared", "coupling")
RUN_VALUES = 65_536
"""Sites that the chains of a short run hold in all, which keeps loading to a second or two."""


def _signs(num: int, target: Phi4, generator: torch.Generator) -> Tensor:
    """Random signs (num, 1, ...) that broadcast over fields."""
    coin = torch.randint(2, (num,), generator=generator).float()
    return (2 * coin - 1).reshape(-1, *[1] * len(target.event_shape))


def phi4_run(target: Phi4, width: float, num: int, seed: int) -> long_run.LongRun:
    """At least `num` draws from chains that start at fields both rough and flat."""
    generator = generator_of("short run", seed)
    sites = math.prod(target.event_shape)
    chains = max(16, min(num // 4, RUN_VALUES // sites))
    start = torch.randn((chains, *target.event_shape), generator=generator)
    start = 0.1 * width * _signs(chains, target, generator) * (1 + 0.5 * start)
    return long_run.hmc_run(
        target,
        start,
        generator,
        num_warm_up=40,
        num_draws=max(4, math.ceil(num / chains)),
        num_leapfrog=8,
        spacing=1 if sites > 256 else 2,
        step_size=0.15,
    )


class LennardJonesConfig(KindConfig):
    kind: Literal["lennard_jones"] = "lennard_jones"
    num_particles: int = option(13, "Particles.", ge=2, le=38, main=True)
    temperature: float = option(
        0.5,
        "Temperature of the cluster; 13 particles melt at about 0.3.",
        unit="ε",
        ge=0.1,
        le=10,
        main=True,
    )
    confinement: float = option(
        0.5,
        "Stiffness of the trap that keeps particles from leaving.",
        unit="ε/σ²",
        ge=0.01,
        le=10,
    )
    seed: int = option(0, "Seeds the draw of the data; the run has its own.", ge=0, le=2**31 - 1)


class LennardJonesData(Dataset):
    """Two particles are solved; of thirteen, by default, a long run comes with Basin.

    Other numbers get a short run when they are loaded, whose R-hat the truth's source tells.
    Each configuration of a run is shown in several random orientations and orders of its
    particles, which the law cannot tell apart. Distances are in σ.
    """

    is_target: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = LennardJonesConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Lennard-Jones cluster"
    summary: ClassVar[str] = "Particles that attract and must not touch: a rough, stiff energy."
    config: Any

    def target(self) -> LennardJones:
        config = self.config
        return LennardJones(config.num_particles, config.temperature, config.confinement)

    def load(self) -> Data:
        config, target = self.config, self.target()
        if config.num_particles == 2:
            pair = Pair(target)
            train, held_out = (
                pair.draw(NUM_IMAGES, generator_of("data", config.seed, index)) for index in (0, 1)
            )
            return _data(self, target, pair.truth(), (train, held_out), pair.draw)
        functions = Expectations(target.names, target.functions, torch.zeros(3))
        settings = config.model_dump(include=set(LENNARD_JONES_SETTINGS))
        truth = long_run.bundled_truth("lennard_jones", settings, functions)
        if truth is not None:
            x = long_run.bundled_draws("lennard_jones")
        else:
            run = lennard_jones_run(target, config.seed)
            truth, _ = long_run.truth_of(run, target, functions, symmetric=True)
            x = run.flat
        train, held_out = (
            images(part, NUM_IMAGES, generator_of("data", config.seed, index))
            for index, part in enumerate(long_run.halves(x, generator_of("data", config.seed)))
        )
        return _data(self, target, truth, (train, held_out), None)


NUM_IMAGES = 3000
LENNARD_JONES_SETTINGS = ("num_particles", "temperature", "confinement")


def images(x: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """`num` configurations, those of x (any, n, 3) in turn, turned, mirrored and reordered."""
    x = x.repeat(math.ceil(num / len(x)), 1, 1)[:num]
    order = torch.rand(x.shape[:2], generator=generator).argsort(1)
    x = x.gather(1, order[:, :, None].expand_as(x))
    orthogonal, upper = torch.linalg.qr(torch.randn((num, 3, 3), generator=generator))
    signs = upper.diagonal(dim1=1, dim2=2).sign()
    return x @ (orthogonal * signs[:, None, :])


def lattice_start(num: int, chains: int, spacing: float, generator: torch.Generator) -> Tensor:
    """Particles (chains, num, 3) on a cubic lattice around 0, jittered: none too near another."""
    side = math.ceil(num ** (1 / 3))
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    sites = torch.cartesian_prod(axis, axis, axis)
    chosen = sites[sites.square().sum(1).argsort(stable=True)[:num]]
    noise = torch.randn((chains, num, 3), generator=generator, dtype=torch.float64)
    return spacing * chosen + 0.05 * noise


def lennard_jones_run(target: LennardJones, seed: int) -> long_run.LongRun:
    """Some 1,000 draws of short chains that start on a lattice."""
    generator = generator_of("short run", seed)
    num = target.event_shape[0]
    start = lattice_start(num, 32, 1.2, generator).float()
    return long_run.hmc_run(
        target,
        start,
        generator,
        num_warm_up=60,
        num_draws=30,
        num_leapfrog=10,
        spacing=2,
        step_size=0.01,
    )
