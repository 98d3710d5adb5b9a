"""Context: a run at one moment, as its observers see it, with what they share drawn once.

Train-time samples are what training sees. Long-run samples are what the energy itself says: points
run from the noise box for `long_run_steps` of the method's own sampler (the default one where it
has none); images and wide events run on from train-time chains for `image_long_run_steps` more,
since uniform noise is too far away.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from backend import samplers
from backend.data import Data
from backend.energies.discrete import DiscreteEnergy
from backend.energy import Energy
from backend.errors import NotAvailable
from backend.events import Event
from backend.method import Method
from backend.metrics.density import Grid, energies
from backend.metrics.log_likelihood import (
    LogLikelihood,
    likelihood_of,
    log_likelihood,
    refusal,
    value_refusal,
)
from backend.metrics.quality import Quality
from backend.observe import alarms, pictures
from backend.observe.chains import Chains, Diagnostics, diagnose, run_chains
from backend.observe.held_out import Beside
from backend.observe.sizes import Sizes
from backend.randomness import generator_of
from backend.sampler import Sampler

if TYPE_CHECKING:
    from backend.samplers.discrete_log_z import Judged

BEGIN, WATCH, MEASURE, EVALUATE = range(4)
MOST_NARROW = 256
"""Coordinates of an event up to which thousands of long chains are run for its figures."""
COLD = 0.01
"""Temperature below which chains on images draw pictures, and no density is asked of the energy."""


class Walk(NamedTuple):
    """Chains as training runs them, on the energy as it stands."""

    chains: Chains
    role: str
    """`train_time`, or `long_run` of a method without chains, which walk from noise"""


class Subject:
    """A run that is observed, and what its observers share from its begin to its end."""

    def __init__(
        self, method: Method, data: Data, seed: int, sizes: Sizes, is_short: bool = False
    ) -> None:
        self.method, self.data, self.seed, self.sizes = method, data, seed, sizes
        self.is_short = is_short
        """True of a short try: its budget is far below what its preset is made for"""
        self.is_large = data.is_image or data.event_shape.numel() > MOST_NARROW
        """True where a gradient is dear: fewer samples, from chains that start near the data"""
        self.num_measured = sizes.image_num_measured if self.is_large else sizes.num_measured
        view = pictures.view_of(data)
        self.grid = None if view is None else Grid(view, data.num_values or sizes.field)
        """over the view of 2-D data, in the user's units"""
        self.beside = Beside(data, seed, method.noise_at_end)
        """what the held-out log-likelihood is compared with"""
        self.walk: Chains | None = None
        """the walking chains as they were last watched"""
        self.long_run: Tensor | None = None
        """long-run samples as they were last measured"""

    @property
    def device(self) -> torch.device:
        return self.data.train.device

    @property
    def sampler(self) -> Sampler:
        """The method's own as it stands, since its settings may follow a schedule."""
        return self.method.sampler() or self._default_sampler

    @cached_property
    def _default_sampler(self) -> Sampler:
        return samplers.default_sampler(self.data)

    @property
    def temperature(self) -> float:
        """T of exp(-E/T), which the sampler is after; 1 unless it says otherwise."""
        return float(getattr(self.sampler, "temperature", 1.0))

    @property
    def no_likelihood(self) -> str:
        """Reason why no held-out log-likelihood is measured; "" when one is."""
        if self.data.num_values is not None:
            if not isinstance(self.method.energy(), DiscreteEnergy):
                return "The energy is not one of whole numbers."
            return value_refusal(self.data)
        if self.data.is_image and self.temperature < COLD:
            return (
                f"Chains at T = {self.temperature:.2g} are after the lowest energies, not after a "
                "density of pixels."
            )
        return refusal(self.data)

    @cached_property
    def grid_points(self) -> Tensor | None:
        """Centres of the grid's cells (num, 2), in the user's units."""
        return None if self.grid is None else self.grid.points(self.device)

    @cached_property
    def data_radius(self) -> float:
        """Largest norm of a training position, standardised."""
        return float(self.data.train.flatten(1).norm(dim=1).max())

    @cached_property
    def quality(self) -> Quality:
        """Compares as many samples as `measure` takes."""
        return Quality(self.data, self.num_measured)

    @cached_property
    def floors(self) -> dict[str, float]:
        """Figures of fresh real data, at the number of samples that `measure` takes."""
        return self.quality.floors(generator_of("look", self.seed, 0, BEGIN, device=self.device))

    def cloud(self, path: str, z: Tensor, role: str, energy: Tensor | None = None) -> list[Event]:
        """Points or images of standardised z; nothing for events of other shapes."""
        sizes = self.sizes
        event = pictures.cloud(
            path, self.data, z, role, energy, num_dots=sizes.num_dots, num_cells=sizes.num_cells
        )
        return [] if event is None else [event]


class Context:
    """A subject at one step. Samples and chains are drawn when an observer first asks for them,
    and are the same for all; draws from `generator` follow one another in the observers' order."""

    def __init__(self, subject: Subject, energy: Energy | None, step: int, tier: int) -> None:
        self.subject, self.step, self.tier = subject, step, tier
        self._energy = energy
        self.figures: dict[str, float] = {}
        """by path: the Scalars of this moment that observers have said so far"""

    @cached_property
    def generator(self) -> torch.Generator:
        """The generator of what is shared; draws from it follow one another."""
        return self.own_generator()

    def own_generator(self, *key: str | int) -> torch.Generator:
        """A generator of seed, step, tier and a key that no other observer takes: what is drawn
        from it moves nobody else's draws."""
        subject = self.subject
        return generator_of("look", subject.seed, self.step, self.tier, *key, device=subject.device)

    @property
    def is_final(self) -> bool:
        """True when the run is over and this is its evaluation."""
        return self.tier == EVALUATE

    @property
    def share_spent(self) -> float:
        """Share of the budget that was used by this moment, 0 to 1."""
        return 1.0 if self.is_final else self.subject.method.share_spent

    @property
    def has_energy(self) -> bool:
        return self._energy is not None

    @property
    def energy(self) -> Energy:
        """The trained energy of standardised positions, in evaluation mode. Raises NotAvailable."""
        if self._energy is None:
            raise NotAvailable(f"{self.subject.method.title} has no energy to observe.")
        return self._energy

    def energies(self, z: Tensor) -> Tensor | None:
        """Energies (num,) of standardised z (num, *event_shape); None without an energy."""
        return None if self._energy is None else energies(self._energy, z)

    # ------------------------------------------------------------------ the density

    @cached_property
    def log_likelihood(self) -> LogLikelihood:
        """Of held-out data under exp(−E/T); the final one looks where the long-run chains ended,
        too. Before it that of images is known from above alone: short chains and short annealing
        agree where they both miss mass. Raises ValueError where `refusal` says why there is
        none."""
        subject, sizes = self.subject, self.subject.sizes
        images, beside = subject.data.is_image, subject.beside
        if subject.data.num_values is not None:
            known = self.normalised
            return likelihood_of(
                self.energy,
                subject.data,
                subject.temperature,
                known.points,
                known.way,
                known.doubt,
            )
        num = sizes.num_nodes_evaluated if self.is_final else sizes.num_nodes
        if images:
            num = sizes.image_num_annealed_evaluated if self.is_final else sizes.image_num_annealed
        return log_likelihood(
            self.energy,
            beside.data,
            # the same draws at every step: a curve moves by what is learned alone
            generator_of("log_likelihood", subject.seed, device=subject.device),
            temperature=subject.temperature,
            num=num,
            draws=self.long_run.position if self.is_final else None,
            drift=self.long_run.drift if self.is_final and images else (0.0, 0.0),
        )

    @cached_property
    def normalised(self) -> Judged:
        """log Z of an energy of whole numbers: exactly, else by annealing from independent sites
        and back from the long-run chains or, while training, from train-time samples."""
        # imports samplers, which no process that others are forked from may have imported
        from backend.samplers.discrete_log_z import judged

        subject, levels = self.subject, self.subject.sizes
        return judged(
            self.energy,
            subject.data,
            generator_of("log_likelihood", subject.seed, device=subject.device),
            temperature=subject.temperature,
            num_levels=levels.num_levels_evaluated if self.is_final else levels.num_levels,
            draws=lambda: self.long_run.position if self.is_final else self.train_time,
        )

    # ------------------------------------------------------------------ samples

    @cached_property
    def quality(self) -> Quality:
        """Compares this moment's samples with held-out data; the final one goes deeper."""
        subject = self.subject
        if not self.is_final:
            return subject.quality
        sizes = subject.sizes
        num = sizes.image_num_evaluated if subject.is_large else sizes.num_evaluated
        return Quality(subject.data, num, in_depth=True)

    @property
    def num_samples(self) -> int:
        return self.quality.num if self.is_final else self.subject.num_measured

    @cached_property
    def train_time(self) -> Tensor | None:
        """Samples as training sees them (num_samples, *event_shape), standardised; None where it
        draws none."""
        return self.train_time_samples(self.num_samples)

    def train_time_samples(self, num: int) -> Tensor | None:
        samples = self.subject.method.train_time_samples(num, self.generator)
        return None if samples is None else samples.detach()

    @cached_property
    def samples(self) -> dict[str, Tensor]:
        """`train_time` and `long_run` samples, those of them that there are."""
        by_role = {"train_time": self.train_time}
        if self.has_energy:
            by_role["long_run"] = self.long_run.position
        return {role: z for role, z in by_role.items() if z is not None}

    # ------------------------------------------------------------------ chains

    @cached_property
    def long_run(self) -> Chains:
        """num_samples long chains on the energy, of which the second half is diagnosed."""
        subject, data, sizes = self.subject, self.subject.data, self.subject.sizes
        if subject.is_large and self.train_time is not None:
            start = self.train_time[: self.num_samples]
        else:
            _ = self.train_time  # drawn first, whoever asks
            start = data.noise(self.num_samples, self.generator)
        num_steps = sizes.image_long_run_steps if subject.is_large else sizes.long_run_steps
        if subject.is_large and not self.is_final:
            num_steps = sizes.image_measured_steps
        half = max(num_steps // 2, 1)
        chains = run_chains(
            subject.sampler,
            self.energy,
            start,
            num_steps,
            self.generator,
            keep_last=half,
            keep_every=max(half // sizes.num_draws, 1),
            keep_chains=sizes.num_diagnosed,
        )
        subject.long_run = chains.position
        return chains

    @cached_property
    def health(self) -> Diagnostics:
        """R-hat and effective sample sizes of the long-run chains."""
        return diagnose(self.long_run)

    @cached_property
    def walk(self) -> Walk:
        """Chains as training runs them, on the energy as it stands.

        Persistent chains go on from where they were last watched; others start anew and run as
        many steps as an update of training does. A method without chains gets chains from noise.
        """
        subject, data, sizes = self.subject, self.subject.data, self.subject.sizes
        num = sizes.num_cells if data.is_image else sizes.num_walkers
        start = subject.method.start(num, self.generator)
        positions = data.noise(num, self.generator) if start is None else start.positions
        num_steps = sizes.trail
        if start is not None and not start.persistent:
            num_steps = max(start.num_steps, 1)
        elif subject.walk is not None and subject.method.trains:
            walkers = subject.walk.position
            norms = walkers.flatten(1).norm(dim=1)
            gone = ~(norms <= alarms.RUNAWAY * subject.data_radius)
            mask = gone.reshape(-1, *[1] * (positions.dim() - 1))
            positions = torch.where(mask, positions, walkers)
        chains = run_chains(
            subject.sampler,
            self.energy,
            positions,
            num_steps,
            self.generator,
            keep_last=sizes.trail,
        )
        subject.walk = chains
        return Walk(chains, "long_run" if start is None else "train_time")
