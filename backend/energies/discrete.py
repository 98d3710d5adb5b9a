"""Energies of events that hold the whole numbers 0, 1, ... q - 1, and the laws of small ones."""

from __future__ import annotations

import copy
import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from backend.energy import Energy

if TYPE_CHECKING:
    from backend.energies import NetworkEnergy
    from backend.energies.independent import IndependentSites

MOST_STATES = 2**18
"""Laws of no more states than this are enumerated."""
CHUNK = 2**14
"""States that are evaluated at once."""


def one_hot(x: Tensor, num_values: int) -> Tensor:
    """Values x (batch, *event_shape) in 0..q-1 as (batch, *event_shape, q) of 0 and 1, x's dtype.

    >>> one_hot(torch.tensor([[2.0, 0.0]]), 3).tolist()
    [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
    """
    values = torch.arange(num_values, device=x.device, dtype=x.dtype)
    return (x.unsqueeze(-1) == values).to(x.dtype)


def enumerate_states(event_shape: Sequence[int], num_values: int) -> Tensor:
    """All q^sites events, (num_states, *event_shape) float32; row k is the one of state index k.

    >>> enumerate_states((2,), 2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    num = num_values ** math.prod(event_shape)
    return states_at(torch.arange(num), event_shape, num_values)


def states_at(index: Tensor, event_shape: Sequence[int], num_values: int) -> Tensor:
    """The events (num, *event_shape) float32 of state indices (num,)."""
    sites = math.prod(event_shape)
    place = num_values ** torch.arange(sites - 1, -1, -1, device=index.device)
    return (index[:, None] // place % num_values).float().reshape(-1, *event_shape)


def state_index(x: Tensor, num_values: int) -> Tensor:
    """(batch,) int64: events x (batch, *event_shape) read as numbers in base q, last site fastest.

    >>> state_index(torch.tensor([[1.0, 0.0, 1.0]]), 2).tolist()
    [5]
    """
    flat = x.flatten(1).long()
    place = num_values ** torch.arange(flat.shape[1] - 1, -1, -1, device=x.device)
    return (flat * place).sum(1)


class DiscreteEnergy(Energy):
    """E(x) of x (batch, *event_shape) in 0..q-1, and of what lies between: one-hot positions.

    A subclass computes `value`. One that is multilinear is linear in each site's one-hot vector
    when the others stand still; then the gradient at a site is the energy of each of its values.
    """

    num_values: int
    event_shape: torch.Size
    multilinear: ClassVar[bool] = False
    offset: float = 0.0
    """added to every energy; log Z makes it a normalised density"""
    total: int | None = None
    """what the values of every event sum to, all others having infinite energy; None: anything"""

    @abstractmethod
    def value(self, one_hot: Tensor) -> Tensor:
        """Energies (batch,) of one-hot positions (batch, *event_shape, q), without the offset."""

    def relaxed(self, one_hot: Tensor) -> Tensor:
        """Energies (batch,), differentiable in one-hot positions (batch, *event_shape, q)."""
        return self.value(one_hot) + self.offset

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.relaxed(one_hot(x, self.num_values))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E(x) (batch,) and its gradient in the one-hot positions (batch, *event_shape, q)."""
        with torch.enable_grad():
            relaxed = one_hot(x.detach(), self.num_values).requires_grad_(True)
            value = self.relaxed(relaxed)
            (gradient,) = torch.autograd.grad(value.sum(), relaxed)
        return value.detach(), gradient

    def site_energies(self, x: Tensor, site: Tensor) -> Tensor:
        """(batch, q): energies, up to one number for each row, of x with each value at `site`.

        site (batch,) int64 counts the sites of the flattened event.
        """
        if self.multilinear:
            return at_site(self.value_and_gradient(x)[1], site)
        with torch.no_grad():
            return torch.stack(
                [self(put(x, site, torch.full_like(site, v))) for v in range(self.num_values)], 1
            )

    @property
    def site_evaluations(self) -> int:
        """Evaluations of the whole energy that `site_energies` costs."""
        return 1 if self.multilinear else self.num_values

    def part_energy(self, x: Tensor) -> Tensor:
        """Energies (batch,), without the offset, of events x (batch, *event_shape) that may lack
        some of their `total`: of the smaller multiset. By default that of the event as it is."""
        return self(x) - self.offset

    def blocks(self) -> list[Tensor]:
        """Boolean masks (*event_shape) that share out the sites: those of one mask are independent
        given all others. None are known by default."""
        return []

    @property
    def num_sites(self) -> int:
        return math.prod(self.event_shape)

    def towards(self, base: IndependentSites, beta: float, temperature: float) -> DiscreteEnergy:
        """The energy at β of a path from `base` (β = 0) to E/T (β = 1), normalised at β = 0."""
        from backend.energies.independent import Blend

        return Blend(base, self, beta, temperature)

    @property
    def device(self) -> torch.device:
        """Device of its parameters and buffers."""
        held = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if held is None else held.device

    def normalised(self, log_z: float) -> Self:
        """The same with `log_z` added: -log p(x) where log_z is log Σ exp(-E) of this one."""
        twin = copy.deepcopy(self)
        twin.offset = self.offset + log_z
        return twin

    def law(self) -> Law | None:
        """The law exp(-E)/Z, exactly; None where it cannot be had."""
        return Enumeration(self) if self.num_values**self.num_sites <= MOST_STATES else None


def at_site(gradient: Tensor, site: Tensor) -> Tensor:
    """Rows (batch, q) of a gradient (batch, *event_shape, q) at sites (batch,)."""
    flat = gradient.flatten(1, -2)
    index = site.reshape(-1, 1, 1).expand(-1, 1, flat.shape[2])
    return flat.gather(1, index).squeeze(1)


def put(x: Tensor, site: Tensor, value: Tensor) -> Tensor:
    """x (batch, *event_shape) with `value` (batch,) at `site` (batch,) of each row."""
    flat = x.flatten(1).scatter(1, site[:, None], value[:, None].to(x.dtype))
    return flat.reshape(x.shape)


class Embedded(DiscreteEnergy):
    """Any energy of real positions, such as a network, read as one of the values 0, 1, ... q - 1.

    relaxed(o) = E(Σ_v v o_v): the gradient says what the energy's own gradient does.
    """

    def __init__(self, energy: Energy, event_shape: torch.Size, num_values: int) -> None:
        super().__init__()
        self.energy, self.event_shape, self.num_values = energy, event_shape, num_values

    def value(self, one_hot: Tensor) -> Tensor:
        values = torch.arange(self.num_values, device=one_hot.device, dtype=one_hot.dtype)
        return self.energy(one_hot @ values)


def code_shape(event_shape: torch.Size, num_values: int | None) -> torch.Size:
    """Shape of the `code` of an event, what networks see of it; None leaves real numbers alone."""
    if num_values is None or num_values == 2:
        return event_shape
    return torch.Size([*event_shape, num_values])


def code(one_hot: Tensor) -> Tensor:
    """Code of one-hot positions (batch, *event_shape, q) that networks see: bits as −1 and 1, of
    more values the one-hot vectors themselves, as names have no order.

    >>> code(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist()
    [[-1.0, 1.0]]
    """
    return one_hot[..., 1] - one_hot[..., 0] if one_hot.shape[-1] == 2 else one_hot


def code_of(x: Tensor, num_values: int) -> Tensor:
    """`code` of events x (batch, *event_shape) in 0..q-1; of bits without their one-hot vectors.

    >>> code_of(torch.tensor([[0.0, 1.0]]), 2).tolist()
    [[-1.0, 1.0]]
    """
    return 2 * x.detach() - 1 if num_values == 2 else code(one_hot(x, num_values))


def of_bits(slope: Tensor) -> Tensor:
    """(*shape, 2): 0 at the value 0 and `slope` (*shape) at the value 1, written in place, which
    takes a fraction of the time of stacking them."""
    gradient = slope.new_zeros((*slope.shape, 2))
    gradient[..., 1] = slope
    return gradient


def flags(compare: Callable[..., Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Results of a comparison as 0 and 1 in a's dtype, written as they are made: bools made into
    numbers take five times as long."""
    result: Tensor = compare(a.detach(), b.detach(), out=torch.empty_like(a))
    return result


class Coded(DiscreteEnergy):
    """A network that was made for the `code` of the values 0, 1, ... q − 1."""

    def __init__(self, network: NetworkEnergy, event_shape: torch.Size, num_values: int) -> None:
        super().__init__()
        self.network, self.event_shape, self.num_values = network, event_shape, num_values
        self._dtype = next(network.parameters()).dtype

    def value(self, one_hot: Tensor) -> Tensor:
        return self.network.of_code(code(one_hot).to(self._dtype)).to(one_hot.dtype)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Without autograd where the network has its gradient written out."""
        with torch.no_grad():
            known = self.network.closed_form(code_of(x.detach(), self.num_values))
        if known is None:
            return super().value_and_gradient(x)
        value, slope = known
        gradient = torch.stack([-slope, slope], -1) if self.num_values == 2 else slope
        return value + self.offset, gradient


def read_as(energy: Energy, event_shape: torch.Size, num_values: int | None) -> Energy:
    """An energy of real positions as one of the values 0, 1, ... num_values - 1; None leaves it.

    One that knows itself how it reads values, as networks do, is asked (`over_values`).
    """
    if num_values is None or isinstance(energy, DiscreteEnergy):
        return energy
    if (own := getattr(energy, "over_values", None)) is not None:
        reading: Energy = own(event_shape, num_values)
        return reading
    return Embedded(energy, event_shape, num_values)


class Law:
    """exp(-E)/Z of a discrete energy: its moments, its normaliser and independent draws."""

    source: ClassVar[str] = "enumeration"
    log_z: float
    """log Σ exp(-E)"""
    mean: Tensor
    """(*event_shape) float64"""
    variance: Tensor
    """(*event_shape) float64"""
    mean_energy: float | None = None
    cumulative: Tensor
    """(num_states,) float64, rising to 1"""

    def _indices(self, num: int, generator: torch.Generator) -> Tensor:
        """State indices (num,) drawn by the inverse of the cumulative distribution."""
        device = generator.device
        uniform = torch.rand(num, generator=generator, device=device, dtype=torch.float64)
        index = torch.searchsorted(self.cumulative.to(device), uniform, right=True)
        return index.clamp(max=len(self.cumulative) - 1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Exact independent draws (num, *event_shape) float32, on the generator's device."""
        raise NotImplementedError


class Enumeration(Law):
    """The law of an energy of few states, every one of them evaluated in float64."""

    probabilities: Tensor
    """(num_states,) float64, by state index"""

    def __init__(self, energy: DiscreteEnergy, temperature: float = 1.0) -> None:
        self.event_shape, self.num_values = energy.event_shape, energy.num_values
        self._num_states = self.num_values**energy.num_sites
        with torch.no_grad():
            energies = torch.cat(
                [energy(states.to(energy.device)).cpu().double() for states in self._chunks()]
            )
        log_weights = -energies / temperature
        self.log_z = float(log_weights.logsumexp(0))
        self.probabilities = (log_weights - self.log_z).exp()
        self.cumulative = self.probabilities.cumsum(0)
        possible = self.probabilities > 0  # 0 times an infinite energy is no number
        self.mean_energy = float(self.probabilities[possible] @ energies[possible])
        parts = self.probabilities.split(CHUNK)
        pairs = list(zip(parts, self._chunks(), strict=True))
        self.mean = sum((torch.tensordot(p, x, 1) for p, x in pairs), torch.zeros(()))
        squares = (torch.tensordot(p, (x - self.mean).square(), 1) for p, x in pairs)
        self.variance = sum(squares, torch.zeros(()))

    def _chunks(self) -> Iterator[Tensor]:
        for index in torch.arange(self._num_states).split(CHUNK):
            yield states_at(index, self.event_shape, self.num_values).double()

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        return states_at(self._indices(num, generator), self.event_shape, self.num_values)


@functools.lru_cache(maxsize=4)
def enumerated(target: DiscreteEnergy) -> Enumeration | None:
    """All states of a target before it was normalised; None where there are too many."""
    if target.num_values**target.num_sites > MOST_STATES:
        return None
    return Enumeration(target.normalised(-target.offset).cpu())


__all__ = [
    "Coded",
    "DiscreteEnergy",
    "Embedded",
    "Enumeration",
    "Law",
    "at_site",
    "code",
    "code_of",
    "code_shape",
    "enumerate_states",
    "enumerated",
    "flags",
    "of_bits",
    "one_hot",
    "put",
    "read_as",
    "state_index",
    "states_at",
]
