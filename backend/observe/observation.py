"""Looking at a run: everything a page shows that the training itself does not say.

One class for every method with an energy. It reads the method's energy, runs chains of its own and
compares their samples with held-out data; it never touches training: all draws come from
generators made of (seed, step), and modules are put back into the mode they were in.

Train-time samples are what training sees. Long-run samples are what the energy itself says: points
run from the noise box for `long_run_steps` of the method's own sampler (Langevin at T = 1 where it
has none); images run on from train-time chains for `image_long_run_steps` more, since uniform
noise is too far away.

Events, by path (points in 2-D; images where events are images; the rest always):

    begin     samples/data, landscape/truth, quality/*/floor and (digits) /class_gaussian, .../goal
    watch     landscape/model, chains/walk, energy/histogram, quality/grid_kl,
              samples/train_time (images)
    measure   quality/*/train_time and /long_run, quality/grid_kl, sampler/*/long_run,
              log_z/*, parameter/error, samples/train_time (points), samples/long_run,
              chains/diagnostics, alarm/*
    evaluate  as measure with more samples, quality/final, and figures of the method's own
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from backend import catalogue
from backend.data import Data
from backend.energies import NetworkEnergy
from backend.energy import Energy, InUnits
from backend.events import Event, Scalar, Table, Trajectory
from backend.method import Method
from backend.metrics.density import Grid, energies
from backend.metrics.log_z_grid import ESTIMATE, log_z_figures
from backend.metrics.quality import GridTruth, Quality
from backend.observe import alarms, pictures, tables
from backend.observe.chains import Chains, Diagnostics, diagnose, run_chains
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.sampler import Sampler

Array = npt.NDArray[Any]
Samples = dict[str, Tensor]

DEFAULT_STEP_SIZE = 0.005
"""Langevin step, in squared data sd, for methods that have no sampler."""
GRID_KL_GOAL = 0.05
BASELINE = "class_gaussian"
"""Last path segment of the figures of one Gaussian a class."""

BEGIN, WATCH, MEASURE, EVALUATE = range(4)


class Look(NamedTuple):
    """One look: the energy as it stands and a generator of the look's own."""

    energy: Energy
    """of standardised positions"""
    generator: torch.Generator


class Observation:
    """Watches one method on its data. `data` is on the method's device."""

    def __init__(self, method: Method, data: Data, seed: int, sizes: Sizes | None = None) -> None:
        self.method, self.data, self.seed = method, data, seed
        self.sizes = sizes or Sizes()
        self._default_sampler = None if method.sampler() else default_sampler(data)
        images = data.is_image
        self.num_measured = self.sizes.image_num_measured if images else self.sizes.num_measured
        self.quality = Quality(data, self.num_measured)
        self.truth = GridTruth.of(data)
        # Cheap enough for every look; on densities as smooth as these a grid of cells below one
        # standard deviation is exact to many digits.
        self.coarse_truth = GridTruth.of(data, self.sizes.coarse)
        self.alarms = alarms.Alarms()
        view = pictures.view_of(data)
        self.grid = None if view is None else Grid(view, self.sizes.field)
        self.grid_points = None if self.grid is None else self.grid.points(data.train.device)
        self._walkers: Tensor | None = None
        self._walk: Chains | None = None
        self._long_run: Tensor | None = None
        self._data_radius = float(data.train.flatten(1).norm(dim=1).max())

    @property
    def sampler(self) -> Sampler:
        """The method's own as it stands, since its settings may follow a schedule."""
        sampler = self.method.sampler() or self._default_sampler
        assert sampler is not None
        return sampler

    @property
    def temperature(self) -> float:
        """T of exp(-E/T), which the sampler is after; 1 unless it says otherwise."""
        return float(getattr(self.sampler, "temperature", 1.0))

    @cached_property
    def floors(self) -> dict[str, float]:
        """Figures of fresh real data, at the number of samples that `measure` takes."""
        device = self.data.train.device
        return self.quality.floors(generator_of("look", self.seed, 0, BEGIN, device=device))

    def _baselines(self, quality: Quality, step: int, tier: int) -> dict[str, float]:
        key = "look", self.seed, step, tier, BASELINE
        return quality.baselines(generator_of(*key, device=self.data.train.device))

    # ------------------------------------------------------------------ the four looks

    def begin(self) -> list[Event]:
        """What never changes: data, floors, goals, the true landscape."""
        found: list[Event | None] = [self._cloud("samples/data", self.data.train, "data")]
        found += [Scalar(f"quality/{name}/floor", value) for name, value in self.floors.items()]
        baselines = self._baselines(self.quality, 0, BEGIN)
        found += [Scalar(f"quality/{name}/{BASELINE}", value) for name, value in baselines.items()]
        if self.truth is not None:
            found.append(Scalar("quality/grid_kl/goal", GRID_KL_GOAL))
        if self.data.density is not None and self.grid is not None:
            assert self.grid_points is not None
            density = self.data.density
            found.append(
                pictures.landscape("landscape/truth", density, self.grid, self.grid_points, 1.0)
            )
        return [event for event in found if event is not None]

    def watch(self, step: int) -> list[Event]:
        """The moving picture: landscape, walking chains, energy histogram."""
        with self._look(step, WATCH) as look:
            walk, role = self._take_walk(look)
            found: list[Event | None] = []
            if self.grid is not None:
                found += [self._landscape(look), self._trajectory(walk, role)]
            ends, end_energies = walk.position, walk.state.energy
            if self.data.is_image:
                found.append(self._moving_images(look, role, ends, end_energies))
            found.append(self._histogram(look, role, end_energies))
            if self.coarse_truth is not None:
                kl = self.coarse_truth.kl(look.energy, self.temperature)
                found.append(Scalar("quality/grid_kl", kl))
            return [event for event in found if event is not None]

    def _moving_images(
        self, look: Look, role: str, ends: Tensor, end_energies: Tensor
    ) -> Event | None:
        """The chains that training walks or, of a method that draws in a way of its own, fresh
        samples; chains from noise only where there is nothing else."""
        fresh = None if role == "train_time" else self._train_time(look, self.sizes.num_cells)
        if fresh is None:
            return self._cloud(f"samples/{role}", ends, role, end_energies)
        return self._cloud("samples/train_time", fresh, "train_time", energies(look.energy, fresh))

    def measure(self, step: int) -> list[Event]:
        """Quality of train-time and long-run samples, chain diagnostics, alarms."""
        with self._look(step, MEASURE) as look:
            train_time = self._train_time(look, self.num_measured)
            steps = self.sizes.image_measured_steps if self.data.is_image else None
            chains = self._run_long(look, self.num_measured, train_time, steps)
            self._long_run = chains.position
            samples = _present(train_time=train_time, long_run=chains.position)
            figures = self._figures(look, self.quality, samples)
            health = diagnose(chains)
            figures |= _sampler_figures(chains, health)
            said = {path: value for path, value in figures.items() if path != ESTIMATE}
            found: list[Event] = [Scalar(path, value) for path, value in said.items()]
            found += self._clouds(look, samples)
            found.append(self._diagnostics(chains, health, figures))
            found += self.alarms.say(self._findings(step, look, chains, health, figures))
            found += self.method.observe(look.generator)
            return found

    def evaluate(self, step: int) -> tuple[dict[str, float], list[Event], dict[str, Array]]:
        """The final word: many samples against as many held-out ones, with floors at that number.

        Returns figures by path, events, and the samples in the user's units by role.
        """
        sizes, images = self.sizes, self.data.is_image
        num = sizes.image_num_evaluated if images else sizes.num_evaluated
        with self._look(step, EVALUATE) as look:
            quality = Quality(self.data, num, in_depth=True)
            train_time = self._train_time(look, quality.num)
            chains = self._run_long(look, quality.num, train_time, None)
            self._long_run = chains.position
            samples = _present(train_time=train_time, long_run=chains.position)
            figures = self._figures(look, quality, samples)
            health = diagnose(chains)
            figures |= _sampler_figures(chains, health)
            floors = quality.floors(look.generator)
            baselines = self._baselines(quality, step, EVALUATE)
            found: list[Event] = [
                *self._clouds(look, samples),
                self._diagnostics(chains, health, figures),
                tables.final(figures, floors, quality.num, baselines),
                *self.alarms.say(self._findings(step, look, chains, health, figures), final=True),
                *self.method.observe(look.generator),
            ]
            for tail, beside in (("floor", floors), (BASELINE, baselines)):
                figures |= {f"quality/{name}/{tail}": value for name, value in beside.items()}
            figures |= self.method.final_figures(quality, look.generator)
            arrays = {role: pictures.float32(self.data.restore(z)) for role, z in samples.items()}
            arrays["long_run_energy"] = pictures.float32(chains.state.energy)
            return figures, found, arrays

    # ------------------------------------------------------------------ chains

    @contextmanager
    def _look(self, step: int, tier: int) -> Iterator[Look]:
        """The energy in evaluation mode and a generator of (seed, step, tier); then all as before.

        No graph is built except where a gradient in x is asked for.
        """
        energy = self.method.energy()
        modules = [part for top in (*self.method.modules(), energy) for part in top.modules()]
        modes = [(module, module.training) for module in modules]
        generator = generator_of("look", self.seed, step, tier, device=self.data.train.device)
        paid = self.method.gradient_evaluations
        try:
            for module, _ in modes:
                module.training = False
            with torch.no_grad():
                yield Look(energy, generator)
        finally:
            for module, training in modes:
                module.training = training
            self.method.gradient_evaluations = paid

    def _take_walk(self, look: Look) -> tuple[Chains, str]:
        """Chains as training runs them, on the energy as it stands, and their role.

        Persistent chains go on from where the last look left them; others start anew and run as
        many steps as an update of training does. A method without chains gets chains from noise.
        """
        sizes = self.sizes
        num = sizes.num_cells if self.data.is_image else sizes.num_walkers
        start = self.method.start(num, look.generator)
        positions = self.data.noise(num, look.generator) if start is None else start.positions
        num_steps = sizes.trail
        if start is not None and not start.persistent:
            num_steps = max(start.num_steps, 1)
        elif self._walkers is not None and self.method.trains:
            norms = self._walkers.flatten(1).norm(dim=1)
            gone = ~(norms <= alarms.RUNAWAY * self._data_radius)
            mask = gone.reshape(-1, *[1] * (positions.dim() - 1))
            positions = torch.where(mask, positions, self._walkers)
        walk = run_chains(
            self.sampler, look.energy, positions, num_steps, look.generator, keep_last=sizes.trail
        )
        self._walkers, self._walk = walk.position, walk
        return walk, "long_run" if start is None else "train_time"

    def _train_time(self, look: Look, num: int) -> Tensor | None:
        samples = self.method.train_time_samples(num, look.generator)
        return None if samples is None else samples.detach()

    def _run_long(
        self, look: Look, num: int, train_time: Tensor | None, num_steps: int | None
    ) -> Chains:
        sizes = self.sizes
        if self.data.is_image and train_time is not None:
            start = train_time[:num]
        else:
            start = self.data.noise(num, look.generator)
        default = sizes.image_long_run_steps if self.data.is_image else sizes.long_run_steps
        num_steps = num_steps or default
        half = max(num_steps // 2, 1)
        return run_chains(
            self.sampler,
            look.energy,
            start,
            num_steps,
            look.generator,
            keep_last=half,
            keep_every=max(half // sizes.num_draws, 1),
            keep_chains=sizes.num_diagnosed,
        )

    # ------------------------------------------------------------------ figures

    def _figures(self, look: Look, quality: Quality, samples: Samples) -> dict[str, float]:
        """Quality by path, of each role's samples, and the KL to the truth where it is known."""
        figures = {
            f"quality/{name}/{role}": value
            for role, z in samples.items()
            for name, value in quality.of(z).items()
        }
        if self.truth is not None:
            figures["quality/grid_kl"] = self.truth.kl(look.energy, self.temperature)
        if isinstance(look.energy, NetworkEnergy):
            figures |= {k: float(v) for k, v in look.energy.errors(self.data).items()}
        estimate = self.method.log_z()
        if estimate is not None:
            figures |= log_z_figures(estimate, look.energy, self.data, self.sizes.normaliser)
        return figures

    def _findings(
        self, step: int, look: Look, chains: Chains, health: Diagnostics, figures: dict[str, float]
    ) -> list[alarms.Finding]:
        """Everything that is wrong now."""
        data, num = self.data, self.sizes.num_energies
        held_out = float(energies(look.energy, data.held_out[:num]).mean())
        noise = float(energies(look.energy, data.noise(num, look.generator)).mean())
        found = alarms.runaway(chains.position, self._data_radius)
        found += alarms.upside_down(held_out, noise)
        path = "quality/energy_distance/"
        long_run = figures[path + "long_run"]
        found += self.alarms.relapse(long_run, step)
        if path + "train_time" in figures:
            floor = self.floors.get("energy_distance", 0.0)
            found += alarms.flattery(figures[path + "train_time"], long_run, floor)
        if data.modes is not None and bool(chains.position.isfinite().all()):
            found += alarms.missed_modes(data.restore(chains.position), data.modes)
        # Chains of a trained energy need not cross between modes; their energies must settle.
        what, value = ("their energy", health.r_hat_energy)
        if not self.method.trains:
            what, value = "their worst coordinate", health.r_hat
        found += alarms.unmixed(value, what)
        moved = (chains.path[-1] - chains.path[0]).flatten(1).norm(dim=1).mean()
        found += alarms.stuck(chains.acceptance_rate, float(moved))
        found += self.method.findings(look.generator)
        return found

    def _diagnostics(self, chains: Chains, health: Diagnostics, figures: dict[str, float]) -> Table:
        return tables.diagnostics(
            self._walk,
            chains,
            health,
            figures,
            self.floors,
            exact=self.sampler.exact,
            data_radius=self._data_radius,
        )

    # ------------------------------------------------------------------ pictures

    def _landscape(self, look: Look) -> Event:
        assert self.grid is not None and self.grid_points is not None
        energy = InUnits(look.energy, self.data.mean, self.data.scale)
        return pictures.landscape(
            "landscape/model", energy, self.grid, self.grid_points, self.temperature
        )

    def _trajectory(self, walk: Chains, role: str) -> Trajectory:
        kept = slice(self.sizes.num_trails)
        accepted = torch.stack(walk.accepted[-(len(walk.path) - 1) :], 0)[:, kept]
        return Trajectory(
            "chains/walk",
            pictures.float32(self.data.restore(torch.stack(walk.path)[:, kept])),
            role,
            pictures.float32(torch.stack(walk.energies)[:, kept]),
            accepted.to(torch.uint8).cpu().numpy() if self.sampler.exact else None,
        )

    def _histogram(self, look: Look, role: str, walked: Tensor) -> Event:
        data, num = self.data, self.sizes.num_energies
        sets = {"data": energies(look.energy, data.held_out[:num]), role: walked}
        if self._long_run is not None:
            sets["long_run"] = energies(look.energy, self._long_run[:num])
        sets["noise"] = energies(look.energy, data.noise(num, look.generator))
        return pictures.histogram("energy/histogram", sets, self.sizes.num_bins)

    def _cloud(self, path: str, z: Tensor, role: str, energy: Tensor | None = None) -> Event | None:
        sizes = self.sizes
        return pictures.cloud(
            path, self.data, z, role, energy, num_dots=sizes.num_dots, num_cells=sizes.num_cells
        )

    def _clouds(self, look: Look, samples: Samples) -> list[Event]:
        """Points or images of the samples; image grids of train-time chains come from `watch`."""
        found = [
            self._cloud(f"samples/{role}", z, role, energies(look.energy, z))
            for role, z in samples.items()
            if not (self.data.is_image and role == "train_time")
        ]
        return [event for event in found if event is not None]


def default_sampler(data: Data) -> Sampler:
    """The sampler of methods that have none: unadjusted Langevin at T = 1 with a small step, or
    Gibbs sampling, a sweep a step, where events are discrete."""
    if data.num_values is not None:
        cls = catalogue.samplers()["gibbs"]
        return cls(cls.Config(sites=0))
    cls = catalogue.samplers()["langevin"]
    return cls(cls.Config(step_size=DEFAULT_STEP_SIZE))


def _present(**samples: Tensor | None) -> Samples:
    return {role: z for role, z in samples.items() if z is not None}


def _sampler_figures(chains: Chains, health: Diagnostics) -> dict[str, float]:
    return {
        "sampler/acceptance_rate/long_run": chains.acceptance_rate,
        "sampler/gradient_to_noise/long_run": chains.gradient_to_noise,
        "sampler/radius/long_run": chains.radius,
        "sampler/r_hat/long_run": health.r_hat,
        "sampler/bulk_ess/long_run": health.bulk_ess,
    }
