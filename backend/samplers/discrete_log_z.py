"""Judgement of exp(−E) over whole numbers: by enumeration where that can be had, and by annealed
importance sampling from independent sites, both ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from backend.data import Data
from backend.energies.discrete import MOST_STATES, DiscreteEnergy, Enumeration, Law
from backend.energies.independent import IndependentSites
from backend.energy import Energy
from backend.metrics.annealing import NUM_GROUPS, Annealing
from backend.metrics.log_likelihood import disagreement, few
from backend.metrics.sites import site_log_probs
from backend.metrics.weighted_points import WeightedPoints
from backend.sampler import Sampler
from backend.samplers.block_gibbs import BlockGibbs, BlockGibbsConfig
from backend.samplers.discrete import discrete
from backend.samplers.gibbs_with_gradients import GibbsWithGradients, GibbsWithGradientsConfig

NUM_CHAINS = 304
"""A multiple of NUM_GROUPS."""
APART = 0.3
"""Nats that both ways may lie apart, beside their errors, and be believed."""
NUM_POINTS = 1000
"""Exact draws that stand for a law that is known."""


class DiscreteAnnealing(Annealing):
    """From independent sites to exp(−E/T) by even levels of β, one step at each: of block Gibbs
    where blocks are known, else of Gibbs with gradients.

    Levels are those of `DiscreteEnergy.towards`: of an RBM these are RBMs again (Salakhutdinov &
    Murray 2008).
    """

    def __init__(
        self,
        base: IndependentSites,
        energy: DiscreteEnergy,
        temperature: float = 1.0,
        *,
        num_levels: int = 1000,
    ) -> None:
        super().__init__(base, energy, temperature, num_levels=num_levels)
        self.betas = [index / num_levels for index in range(num_levels + 1)]
        block = BlockGibbs(BlockGibbsConfig())
        by_block = not block.fits(energy.towards(base, 0.5, temperature))
        self.kernel: Sampler = block if by_block else GibbsWithGradients(GibbsWithGradientsConfig())

    def _level(self, index: int) -> DiscreteEnergy:
        base, energy = self.base, discrete(self.energy)
        assert isinstance(base, IndependentSites)
        return energy.towards(base, self.betas[index], self.temperature)

    @torch.no_grad()
    def _gain(self, x: Tensor, index: int) -> Tensor:
        gain = self._level(index - 1)(x).double() - self._level(index)(x).double()
        return gain.nan_to_num(nan=-torch.inf)

    def _move(self, x: Tensor, index: int, generator: torch.Generator) -> tuple[Tensor, float]:
        level = self._level(index)
        state = self.kernel.init(x, level, generator)
        state, info = self.kernel.step(state, level, generator)
        return state.position, float(info.acceptance_rate.mean())


class Annealed(NamedTuple):
    """log Σ exp(−E/T) by annealing, with standard errors; nats."""

    points: WeightedPoints
    """of the forward pass, whose log Z falls short on average"""
    reverse: float
    """from the model's own draws, too high on average; nan without any"""
    reverse_error: float

    @property
    def forward(self) -> float:
        return self.points.log_z

    @property
    def middle(self) -> float:
        """Between both ways where there are two."""
        return self.forward if math.isnan(self.reverse) else 0.5 * (self.forward + self.reverse)


def annealed(
    energy: Energy,
    data: Data,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    num_levels: int = 1000,
    num_chains: int = NUM_CHAINS,
    draws: Tensor | None = None,
) -> Annealed:
    """log Z of an energy of the values of `data`, forward from independent sites fitted to its
    training part and, where there are NUM_GROUPS `draws` of the model (num, *event_shape) or more,
    back from them. Neal 2001; Grosse et al. 2015."""
    base = IndependentSites(site_log_probs(data)).to(data.train.device)
    way = DiscreteAnnealing(base, discrete(energy), temperature, num_levels=num_levels)
    points = way.forward(generator, num_chains)
    reverse = reverse_error = math.nan
    if draws is not None and len(draws) >= NUM_GROUPS:
        reverse, reverse_error = way.reverse(draws[:num_chains], generator)
    return Annealed(points, reverse, reverse_error)


def exact_law(energy: Energy, temperature: float = 1.0) -> Law | None:
    """The law exp(−E/T)/Z by enumeration, of states or of hidden bits; None where it cannot be had.

    The one place that says whether a learned law is known exactly.
    """
    if not isinstance(energy, DiscreteEnergy):
        return None
    if temperature == 1:
        return energy.law()
    few_states = energy.num_values**energy.num_sites <= MOST_STATES
    return Enumeration(energy, temperature) if few_states else None


def l1_distance(law: Law | None, truth: Law | None) -> float | None:
    """Σ |p − q| over all states, between 0 and 2, of two laws that list them; None of others."""
    if not (isinstance(law, Enumeration) and isinstance(truth, Enumeration)):
        return None
    return float((law.probabilities - truth.probabilities).abs().sum())


class Judged(NamedTuple):
    """Normaliser of exp(−E/T), and the way it came from."""

    points: WeightedPoints
    """stand for the model; their weights sum to Z"""
    way: str
    """`enumeration`, `enumeration of the hidden states` or `annealing`"""
    doubt: str
    """a sentence on why log Z is not known; "" where it is"""
    law: Law | None
    """the law itself, where it is known exactly"""
    annealed: Annealed
    """by annealing, beside an exact way or alone"""


def judged(
    energy: Energy,
    data: Data,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    num_levels: int = 1000,
    draws: Callable[[], Tensor | None] = lambda: None,
) -> Judged:
    """log Z of an energy of the values of `data`: exactly, beside annealing forward, else between
    annealing both ways, which is not believed where these disagree or `draws()` gives none of the
    model to come back from."""
    law = exact_law(energy, temperature)
    both = annealed(
        energy,
        data,
        generator,
        temperature=temperature,
        num_levels=num_levels,
        draws=None if law is not None else draws(),
    )
    if law is not None:
        positions = law.draw(NUM_POINTS, generator)
        logs = torch.full((NUM_POINTS,), law.log_z - math.log(NUM_POINTS), dtype=torch.float64)
        points = WeightedPoints(positions, logs.to(positions.device), 0.0)
        return Judged(points, law.source, "", law, both)
    points = both.points
    if math.isnan(both.reverse):
        doubt = "There are no draws of the model to anneal from in reverse."
        return Judged(points, "annealing", doubt, None, both)
    doubt = few(points, "Annealed importance sampling") or disagreement(
        points, both.reverse, both.reverse_error, APART
    )
    apart = both.middle - both.forward
    error = math.hypot(apart, points.error, both.reverse_error)
    points = WeightedPoints(points.positions, points.log_weights + apart, error)
    return Judged(points, "annealing", doubt, None, both)
