"""The statistics of a sampler's draws so far, and how far they are from the truth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.data import Data
from backend.energies.discrete import DiscreteEnergy, Enumeration, enumerated
from backend.energies.state_shares import StateShares
from backend.metrics.errors_to_truth import distances
from backend.metrics.modes import nearest_mode
from backend.metrics.running_moments import Hamiltonians, RunningMoments, ThinnedDraws
from backend.randomness import generator_of
from backend.sampler import Info, Sampler, State
from backend.samplers import Pass
from backend.truth import Truth

DRAWS = 256
"""Draws of a chain kept for R-hat and effective sample sizes, over the whole run."""
NUM_DIAGNOSED = 32
"""Chains of which they are kept."""
MAX_FIGURES = 8
"""Coordinates, or random projections where there are more, that diagnostics look at."""
COUNTED = ("divergences", "round_trips")
"""Figures of a step that are numbers of events: their sum since the beginning is what counts."""


def figures_of(state: State) -> Tensor:
    """Figures of the first chains for diagnostics, (chains, 1 + figures): the energy, then every
    coordinate, or MAX_FIGURES fixed random projections where there are more."""
    position = state.position[:NUM_DIAGNOSED].flatten(1)
    if position.shape[1] > MAX_FIGURES:
        shape = (position.shape[1], MAX_FIGURES)
        generator = generator_of("projections")
        position = position @ torch.randn(shape, generator=generator).to(position)
    return torch.cat([state.energy[:NUM_DIAGNOSED, None].to(position), position], 1)


class DrawStatistics:
    """Running moments, thinned draws, E-BFMI, and distances from the truth, on the device.

    `take` looks at every step of samplers that need it; `point` closes a point of the curves, at
    which the draws of a sampler that stays at the target are counted. The draws of one that anneals
    are counted as each pass ends.
    """

    def __init__(self, data: Data, has_truth: bool, kernel: Sampler, state: State) -> None:
        self.data, self.has_truth, self.kernel = data, has_truth, kernel
        self.num_chains = len(state.position)
        self.passed = Pass(state.position)
        self.hamiltonians: Hamiltonians | None = None
        self._has_hamiltonian = "hamiltonian" in state.extra
        self.errors: dict[str, Tensor] = {}
        self.begin()

    @property
    def truth(self) -> Truth | None:
        """Truth about the distribution that is sampled; None where nothing is known."""
        return self.data.truth if self.has_truth else None

    @property
    def law(self) -> Enumeration | None:
        """All states of the distribution that is sampled at T = 1; None where there are too many,
        and of samplers that anneal, whose draws carry weights."""
        known = self.data.density or self.data.target
        if not self.has_truth or self.kernel.anneals or not isinstance(known, DiscreteEnergy):
            return None
        return enumerated(known)

    @property
    def modes(self) -> Tensor | None:
        """Modes (num_modes, dim) in the user's units, where their weights are known."""
        known = self.truth is not None and self.truth.mode_weights is not None
        return self.data.modes if known else None

    def begin(self) -> None:
        """Forget all draws: those of a warm-up, or of another temperature, do not count."""
        device = self.data.train.device
        num_modes = 0 if self.modes is None else len(self.modes)
        known = None if self.truth is None else self.truth.functions
        num_functions = 0 if known is None else len(known.names)
        self.moments = RunningMoments(self.data.event_shape, num_modes, device, num_functions)
        self.draws = ThinnedDraws(DRAWS)
        self.shares = None if self.law is None else StateShares(self.law, device)
        if self._has_hamiltonian:
            self.hamiltonians = Hamiltonians(self.num_chains, device)
        self._starts: list[Tensor] = []
        """Hamiltonians at the starts of the trajectories since the last point"""
        self.counts: dict[str, Tensor] = {}
        self.num_points = 0
        self._next_errors = 1.0
        if not self.errors:
            self.errors = self._distances()

    @property
    def follows_steps(self) -> bool:
        """True where `take` must see every step; for others a point of the curves is enough."""
        return self.kernel.anneals or self.hamiltonians is not None

    def take(self, state: State, info: Info, counts: bool = True) -> None:
        """Look at one step of the sampler; of a warm-up, only where its chains stand `counts`."""
        if counts and self.hamiltonians is not None:
            self._starts.append(state.extra["hamiltonian"])
        if self.kernel.anneals:
            assert info.complete is not None
            x = state.position
            if counts:
                self.moments.add_weighted(
                    x,
                    state.energy,
                    self._nearest(x),
                    info.log_weights,
                    info.complete,
                    self._values(x),
                )
            self.passed.take(x, info)

    def point(self, state: State, infos: Sequence[Info], counts: bool = True) -> dict[str, Tensor]:
        """Count the draws of this moment; what the steps since the last one told, and the
        distances from the truth, 0-d by path: not a number while draws do not `count`."""
        if not counts:
            return {**self._of_kernel(infos), **self.errors}
        if not self.kernel.anneals:
            x = state.position
            self.moments.add(x, state.energy, self._nearest(x), self._values(x))
            self.draws.offer(figures_of(state) if self.draws.wants() else None)
            if self.shares is not None:
                self.shares.add(x)
        if self.hamiltonians is not None and self._starts:
            self.hamiltonians.add(self._starts)
            self._starts = []
        self.num_points += 1
        # on the logarithmic axes they are drawn on, more than this would not be seen
        if self.num_points >= self._next_errors:
            self._next_errors = max(self.num_points + 1.0, 1.1 * self.num_points)
            self.errors = self._distances()
        return {**self._of_kernel(infos), **self.errors}

    def _of_kernel(self, infos: Sequence[Info]) -> dict[str, Tensor]:
        """Figures of the kernel itself: counts summed, the rest averaged over the steps."""
        figures = {}
        for name in infos[-1].figures:
            values = torch.stack([each.figures[name].float() for each in infos])
            if name in COUNTED:
                self.counts[name] = self.counts.get(name, 0.0) + values.sum()
                figures[f"sampler/{name}"] = self.counts[name]
            else:
                figures[f"sampler/{name}"] = values[-1] if self.kernel.anneals else values.mean()
        return figures

    def _nearest(self, position: Tensor) -> Tensor | None:
        return None if self.modes is None else nearest_mode(self.data.restore(position), self.modes)

    def _values(self, position: Tensor) -> Tensor | None:
        """Functions of the draws (chains, functions), where their means are known."""
        known = None if self.truth is None else self.truth.functions
        return None if known is None else known.of(self.data.restore(position))

    def _distances(self) -> dict[str, Tensor]:
        if self.truth is None:
            return {}
        figures = distances(self.moments, self.truth, self.data, self.num_chains)
        if not self.kernel.weighs:
            figures.pop("error/log_z", None)
        if self.kernel.temperature != 1.0:  # the truth is that of T = 1
            return {path: torch.full_like(value, torch.nan) for path, value in figures.items()}
        return figures
