"""Retrieval from associative memories: storage, recall, capacity, and what theory says of it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from backend.energies.associative import AssociativeEnergy, ModernHopfieldEnergy
from backend.method import Method

Update = Literal["asynchronous", "parallel"]
Storage = Literal["patterns", "supervised", "unsupervised"]
RETRIEVED = 0.95
"""Overlap with the pattern above which it counts as retrieved."""
MOST_SWEEPS = 30
HOT_SWEEPS = 12
"""Sweeps at a temperature, where nothing comes to rest."""
MOST_AT_ONCE = 2**20
"""Overlaps that are held at once where many memories are looked at side by side."""
MOST_CUES = 64
"""Patterns of one memory that are recalled, at most."""


class Memory(NamedTuple):
    """Rule by which a memory stores bits."""

    power: int | None
    """n of the energy; None is the exponential memory"""
    storage: Storage = "patterns"
    num_examples: int = 1
    """M noisy examples of each pattern, of which alone a Hebbian memory knows it"""
    quality: float = 1.0
    """r: each bit of an example is right with probability (1 + r) / 2"""

    def vectors(self, patterns: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors that are stored (..., A, N) of patterns (..., K, N) of −1 and 1.

        supervised: the mean of the M examples over √Γ, Γ = r² + (1 − r²) / M, which gives entries
        of mean square 1. unsupervised: every example (K M in all) over M^(1/n), so that the energy
        is a mean over examples. Agliari et al. 2022.
        """
        if self.storage == "patterns":
            return patterns
        num, quality = self.num_examples, self.quality
        shape = (*patterns.shape[:-1], num, patterns.shape[-1])
        uniform = torch.rand(shape, generator=generator, device=patterns.device)
        right = torch.where(uniform < (1 + quality) / 2, 1.0, -1.0)
        examples = patterns.unsqueeze(-2) * right
        if self.storage == "supervised":
            return examples.mean(-2) / math.sqrt(quality**2 + (1 - quality**2) / num)
        scale = 1.0 if self.power is None else num ** (-1 / self.power)
        return scale * examples.flatten(-3, -2)

    def energy(self, patterns: Tensor, generator: torch.Generator) -> AssociativeEnergy:
        """The energy that stores patterns (..., K, N)."""
        vectors = self.vectors(patterns, generator)
        return AssociativeEnergy(vectors, self.power, patterns.shape[-1:])


class RetrievingMethod(Method):
    """Base of methods that store patterns and recall them: what abilities ask of one.

    A state is (N,) numbers: spins −1 and 1, or standardised ones of a memory of real numbers.
    """

    config: Any
    """its `temperature`, `update` and `turned` are those of retrieval"""
    patterns: Tensor
    """(K, N) the states stored"""
    law: AssociativeEnergy | ModernHopfieldEnergy

    @property
    @abstractmethod
    def kind(self) -> Memory | None:
        """Rule by which it stores bits; None where it stores real numbers."""

    @abstractmethod
    def states_of(self, x: Tensor) -> Tensor:
        """States (num, N) of standardised x (num, *event_shape)."""

    @abstractmethod
    def positions_of(self, states: Tensor) -> Tensor:
        """Standardised positions (num, *event_shape) of states (num, N)."""

    def damaged(self, states: Tensor, turned: float, generator: torch.Generator) -> Tensor:
        """States with each bit turned by that chance, or with noise of that standard deviation."""
        if isinstance(self.law, AssociativeEnergy):
            return turned_spins(states, turned, generator)
        noise = torch.randn(states.shape, generator=generator, device=states.device)
        return states + turned * noise

    def swept(self, states: Tensor, generator: torch.Generator) -> Tensor:
        """States (num, N) after one sweep of updates."""
        if isinstance(self.law, ModernHopfieldEnergy):
            return self.law.retrieved(states)
        return swept(self.law, states, self.config.temperature, generator, self.config.update)

    def energies(self, states: Tensor) -> Tensor:
        """Energies (num,) of states (num, N)."""
        of = self.law if isinstance(self.law, ModernHopfieldEnergy) else self.law.of_spins
        return of(states)

    @staticmethod
    def similar(one: Tensor, other: Tensor) -> Tensor:
        """Overlaps of states (..., N) with others: cosines, which of spins are Σ s s′ / N."""
        return torch.cosine_similarity(one, other, dim=-1)


def random_spins(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent −1 and 1."""
    return 2.0 * torch.randint(2, shape, generator=generator, device=generator.device) - 1


def turned_spins(spins: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Spins of which each is turned with probability `share`."""
    uniform = torch.rand(spins.shape, generator=generator, device=spins.device)
    return torch.where(uniform < share, -spins, spins)


def swept(
    energy: AssociativeEnergy,
    spins: Tensor,
    temperature: float,
    generator: torch.Generator,
    update: Update,
) -> Tensor:
    """Spins (..., batch, N) after one sweep of updates, one by one or all at once."""
    if update == "parallel":
        return energy.parallel(spins, temperature, generator)
    return energy.asynchronous(spins, temperature, generator)


def settled(
    energy: AssociativeEnergy,
    spins: Tensor,
    temperature: float,
    generator: torch.Generator,
    update: Update = "asynchronous",
    most: int = MOST_SWEEPS,
) -> Tensor:
    """Spins (..., batch, N) after `most` sweeps, or once a sweep at temperature 0 changes none."""
    for _ in range(most):
        after = swept(energy, spins, temperature, generator, update)
        if not temperature and torch.equal(after, spins):
            break
        spins = after
    return spins


class Cell(NamedTuple):
    """Fate of cues at one load and one noise."""

    overlap: float
    """mean overlap with the pattern at rest"""
    retrieved: float
    """share whose overlap is above RETRIEVED"""


def recalled(
    memory: Memory,
    size: int,
    num_patterns: int,
    turned: float,
    temperature: float,
    num: int,
    generator: torch.Generator,
    update: Update = "asynchronous",
) -> Cell:
    """Recall at least `num` patterns of memories of `num_patterns` random patterns of `size` bits,
    as many memories as it takes, from cues with a share of the bits `turned`."""
    cues = min(num_patterns, MOST_CUES)
    stored = num_patterns * (memory.num_examples if memory.storage != "patterns" else 1)
    at_once = max(1, min(math.ceil(num / cues), MOST_AT_ONCE // (cues * stored)))
    overlaps: list[Tensor] = []
    while len(overlaps) * at_once * cues < num:
        patterns = random_spins((at_once, num_patterns, size), generator)
        energy = memory.energy(patterns, generator)
        asked = patterns[:, :cues]
        start = turned_spins(asked, turned, generator)
        most = HOT_SWEEPS if temperature else MOST_SWEEPS
        rest = settled(energy, start, temperature, generator, update, most)
        overlaps.append((rest * asked).mean(-1).flatten())
    every = torch.cat(overlaps)
    return Cell(float(every.mean()), float((every > RETRIEVED).float().mean()))


def capacity(retrieved: Callable[[int], float], start: int, share: float = 0.9) -> int:
    """The largest load at which `retrieved(load)` is `share` or more, to 2 %; 0 where none is.

    Doubles from `start` until it fails, then halves the interval between.

    >>> capacity(lambda load: 1.0 if load <= 37 else 0.5, 4)
    37
    """
    low, high = 0, max(start, 1)
    while retrieved(high) >= share:
        low, high = high, 2 * high
    while high - low > max(1, 0.02 * low):
        middle = (low + high) // 2
        low, high = (middle, high) if retrieved(middle) >= share else (low, middle)
    return low


def crosstalk_load(size: int, power: int, turned: float = 0.0) -> float:
    """Patterns up to which one update leaves no bit wrong, by signal and Gaussian crosstalk.

    K = N^(n−1) (1 − 2p)^(2n−2) / (2 (2n − 3)!! log N). Krotov & Hopfield 2016.

    >>> round(crosstalk_load(64, 2), 1), round(crosstalk_load(64, 3))
    (7.7, 164)
    """
    odd = math.prod(range(1, 2 * power - 2, 2))
    signal = (1 - 2 * turned) ** (2 * power - 2)
    return size ** (power - 1) * signal / (2 * odd * math.log(size))


def critical_load(temperature: float) -> float:
    """α_c(T) = K/N up to which Hopfield's memory (n = 2) has states near its patterns.

    From the mean-field equations m = ∫Dz tanh β(m + √(αr) z), q = ∫Dz tanh², r = q / (1 − C)²,
    C = β (1 − q). With k = √(αr) / m given, m solves one equation, and α = (k m (1 − C))² / q; α_c
    is its largest value over k. 0 from T = 1 on. Amit, Gutfreund & Sompolinsky 1985.

    >>> round(critical_load(0.0), 3), critical_load(1.0)
    (0.138, 0.0)
    """
    from scipy.optimize import minimize_scalar

    if temperature >= 1:
        return 0.0
    ks = np.linspace(0.04, 1.5, 38)
    loads = [_load_at(float(k), temperature) for k in ks]
    best = int(np.argmax(loads))
    around = (float(ks[max(best - 1, 0)]), float(ks[min(best + 1, len(ks) - 1)]))
    best_of = minimize_scalar(lambda k: -_load_at(k, temperature), bounds=around, method="bounded")
    return float(max(-best_of.fun, loads[best], 0.0))


_Z = np.linspace(-6, 6, 1201)
_DENSITY = np.exp(-(_Z**2) / 2) / math.sqrt(2 * math.pi) * (_Z[1] - _Z[0])


def _load_at(k: float, temperature: float) -> float:
    """α at which k = √(αr) / m, where such a state exists; 0 where none does."""
    from scipy.optimize import brentq

    if not temperature:
        m = math.erf(1 / (math.sqrt(2) * k))
        c = math.sqrt(2 / math.pi) / (k * m) * math.exp(-1 / (2 * k * k))
        return (k * m * (1 - c)) ** 2 if c < 1 else 0.0

    def moment(m: float, power: int) -> float:
        return float(_DENSITY @ np.tanh(m * (1 + k * _Z) / temperature) ** power)

    def off(m: float) -> float:
        return moment(m, 1) - m

    if off(1e-4) <= 0:
        return 0.0
    m = brentq(off, 1e-4, 1.0)
    q = moment(m, 2)
    c = (1 - q) / temperature
    return float((k * m * (1 - c)) ** 2 / q) if c < 1 else 0.0
