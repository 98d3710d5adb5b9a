"""Exact draws of laws with few coordinates to draw: real ones by cells that are refined where the
mass is, whole ones by enumeration."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from backend.data import Data
from backend.energy import Energy
from backend.metrics.density import energies

MAX_COORDINATES = 2
"""Real coordinates that are drawn by cells."""
MAX_STATES = 65_536
"""States of whole numbers that are enumerated."""
MAX_EVALUATIONS = 4_000_000
"""Energies of one request, rows of known coordinates times cells or states."""
REACH = 3.0
"""The box of cells reaches so many times as far from its centre as the noise box."""
WIDENINGS = 3
"""Times the box is made REACH times as wide while mass lies at its edge."""
EDGE = 1e-3
"""Mass at the edge of the box beyond which draws are no sample of the law."""
ENOUGH = 0.5
"""Effective share of the weights below which the cells are too wide."""
COARSE = {1: 2048, 2: 128}
"""Cells a side of the first grid, by coordinates, of one law; of each of many laws a quarter."""
SPLIT = {1: 16, 2: 4}
"""Parts a side that a cell is refined into."""
BUDGET = 65_536
"""Cells that one refinement adds, of one law; of each of many laws as many as its first grid."""
REFINEMENTS = 3
CANDIDATES = 8
"""Draws of the cells from which each sample is chosen by its weight."""


class Free:
    """The coordinates of an energy that are drawn, where the others are known, row by row."""

    def __init__(self, energy: Energy, data: Data, known: Tensor | None, mask: Tensor | None):
        self.energy, self.data, self.known = energy, data, known
        every = torch.arange(data.event_shape.numel(), device=data.train.device)
        self.places = every if mask is None else every[~mask.expand(data.event_shape).flatten()]
        self.num_laws = 1 if known is None else len(known)
        """one a row of what is known"""

    @property
    def num_coordinates(self) -> int:
        return len(self.places)

    def events(self, law: Tensor, values: Tensor) -> Tensor:
        """Positions (num, *event_shape) with values (num, coordinates) put into laws (num,)."""
        if self.known is None:
            return values.reshape(-1, *self.data.event_shape)
        events = self.known[law].flatten(1).clone()
        events[:, self.places] = values.to(events)
        return events.reshape(-1, *self.data.event_shape)

    def log_density(self, law: Tensor, values: Tensor) -> Tensor:
        """−E (num,) float64, −inf where it is not finite."""
        logs = -energies(self.energy, self.events(law, values.float())).double()
        return torch.where(logs.isfinite(), logs, -torch.inf)


class Exact(NamedTuple):
    """Exact draws and what they rest on."""

    position: Tensor
    """(num, *event_shape)"""
    weight_ess: float
    """effective share of the weights against the cells: 1 where the cells are fine enough"""
    edge_mass: float
    """share of the mass in the outermost cells of the box"""


def takes(free: Free) -> bool:
    """True where the law is of few enough coordinates, and the rows are few enough."""
    num = free.num_coordinates
    if free.data.num_values is not None:
        # by logarithms' sake: a power of many sites overflows nothing in Python's integers
        states = free.data.num_values**num if num <= 64 else MAX_STATES + 1
        return num > 0 and states <= MAX_STATES and states * free.num_laws <= MAX_EVALUATIONS
    if not 0 < num <= MAX_COORDINATES:
        return False
    return 3 * free.num_laws * _side(free) ** num <= MAX_EVALUATIONS


def drawn(free: Free, num: int, generator: torch.Generator) -> Exact:
    """`num` independent draws, one a row where rows are known, of exp(−E) over what is free."""
    if free.data.num_values is not None:
        return _enumerated(free, num, generator)
    return _by_cells(free, num, generator)


# ---------------------------------------------------------------------- whole numbers


def _enumerated(free: Free, num: int, generator: torch.Generator) -> Exact:
    device = free.places.device
    assert free.data.num_values is not None
    values = torch.arange(free.data.num_values, device=device)
    states = torch.cartesian_prod(*[values] * free.num_coordinates)
    states = states.reshape(-1, free.num_coordinates).float()
    laws = torch.arange(free.num_laws, device=device).repeat_interleave(len(states))
    logs = free.log_density(laws, states.repeat(free.num_laws, 1))
    shares = logs.reshape(free.num_laws, -1).softmax(1)
    each = num if free.num_laws == 1 else 1
    chosen = torch.multinomial(shares, each, True, generator=generator).flatten()
    law = torch.arange(num, device=device) % free.num_laws
    return Exact(free.events(law, states[chosen]), 1.0, 0.0)


# ---------------------------------------------------------------------- cells


class Cells(NamedTuple):
    """Boxes that tile a box, for each law."""

    law: Tensor
    """(num,) int64"""
    centre: Tensor
    """(num, coordinates) float64, as are all of these"""
    half: Tensor
    """(num, coordinates)"""
    log_density: Tensor
    """(num,) at the centre"""
    spread: Tensor
    """(num,) standard deviation of the log-density within the cell that each was part of"""

    @property
    def log_mass(self) -> Tensor:
        return self.log_density + (2 * self.half).log().sum(1)

    def at(self, index: Tensor) -> Cells:
        return Cells(*(part[index] for part in self))

    def shares(self, num_laws: int) -> Tensor:
        """Share (num,) of each in the mass of its law."""
        logs = self.log_mass
        most = logs.new_full((num_laws,), -torch.inf).scatter_reduce(0, self.law, logs, "amax")
        masses = (logs - most[self.law]).exp().nan_to_num(0.0)
        totals = logs.new_zeros(num_laws).index_add(0, self.law, masses)
        return masses / totals[self.law].clamp(min=1e-300)


def _by_cells(free: Free, num: int, generator: torch.Generator) -> Exact:
    data = free.data
    low, high = (
        bound.expand(data.event_shape).flatten()[free.places].double()
        for bound in (data.noise_low, data.noise_high)
    )
    centre, half = (low + high) / 2, REACH * (high - low) / 2
    first, edge = _grid(free, centre, half)
    cells, wider = first, edge
    for _ in range(WIDENINGS):
        if wider < EDGE / 10:
            break
        half = REACH * half
        cells, wider = _grid(free, centre, half)
    if wider >= EDGE:  # it never falls off: what the first box holds is what can be shown
        cells, wider = first, edge
    refine_at = _where_data_are(free, cells)
    side = SPLIT[free.num_coordinates]
    added = BUDGET if free.num_laws == 1 else len(first.law)
    for _ in range(REFINEMENTS if free.num_laws == 1 else 1):
        priority = cells.shares(free.num_laws) * cells.spread.clamp(max=1) + refine_at
        wanted = min(added // side**free.num_coordinates, int((priority > 0).sum()))
        if not wanted:
            break
        chosen = torch.zeros_like(priority, dtype=torch.bool)
        chosen[priority.topk(wanted).indices] = True
        finer = _split(free, cells.at(chosen.nonzero().flatten()), side)
        rest = cells.at((~chosen).nonzero().flatten())
        cells = Cells(*(torch.cat(parts) for parts in zip(rest, finer, strict=True)))
        refine_at = torch.zeros_like(cells.spread)
    return _from_cells(free, cells, num, generator)._replace(edge_mass=wider)


def _side(free: Free) -> int:
    coarse = COARSE[free.num_coordinates]
    return coarse if free.num_laws == 1 else coarse // 4


def _grid(free: Free, centre: Tensor, half: Tensor) -> tuple[Cells, float]:
    """Equal cells of every law, and the mean share of mass in the outermost."""
    side, dim = _side(free), free.num_coordinates
    share = (torch.arange(side, dtype=torch.float64, device=centre.device) + 0.5) / side
    axes = [c - h + 2 * h * share for c, h in zip(centre, half, strict=True)]
    points = torch.cartesian_prod(*axes).reshape(-1, dim)
    law = torch.arange(free.num_laws, device=centre.device).repeat_interleave(len(points))
    points = points.repeat(free.num_laws, 1)
    logs = free.log_density(law, points)
    cells = Cells(law, points, (half / side).expand_as(points), logs, torch.ones_like(logs))
    outermost = ((points - centre).abs() > half * (1 - 1.5 / side)).any(1)
    return cells, float(cells.shares(free.num_laws)[outermost].sum()) / free.num_laws


def _where_data_are(free: Free, cells: Cells) -> Tensor:
    """Share (num,) of the training data in each cell of the one law of all coordinates: a first
    grid can miss what is narrow, and data are where to look for it."""
    counts = torch.zeros_like(cells.log_density)
    if free.known is not None:
        return counts
    side, z = _side(free), free.data.train.flatten(1).double()
    low, width = cells.centre[0] - cells.half[0], 2 * cells.half[0]
    places = ((z - low) / width).long().clamp(0, side - 1)
    index = places[:, 0] if z.shape[1] == 1 else places[:, 0] * side + places[:, 1]
    return counts.index_add(0, index, torch.full_like(z[:, 0], 1 / len(z)))


def _split(free: Free, cells: Cells, side: int) -> Cells:
    """Each cell as side^coordinates ones."""
    dim = free.num_coordinates
    steps = (2 * torch.arange(side, dtype=torch.float64, device=cells.law.device) + 1) / side - 1
    offsets = torch.cartesian_prod(*[steps] * dim).reshape(-1, dim)
    law = cells.law.repeat_interleave(len(offsets))
    centre = (cells.centre[:, None] + cells.half[:, None] * offsets).flatten(0, 1)
    half = (cells.half / side).repeat_interleave(len(offsets), 0)
    logs = free.log_density(law, centre)
    spread = logs.reshape(-1, len(offsets)).std(1).nan_to_num(1.0)
    return Cells(law, centre, half, logs, spread.repeat_interleave(len(offsets)))


def _from_cells(free: Free, cells: Cells, num: int, generator: torch.Generator) -> Exact:
    """Uniform draws within cells drawn by their mass, CANDIDATES a sample, of which one is chosen
    by exp(−E) over the density of the cells."""
    cells = cells.at(cells.law.argsort(stable=True))
    # the shares of every law sum to 1, so one running sum serves all of them
    cumulated = cells.shares(free.num_laws).cumsum(0)
    device = cells.law.device
    law = (torch.arange(num, device=device) % free.num_laws).repeat_interleave(CANDIDATES)
    shape = (len(law), 1 + free.num_coordinates)
    uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
    index = torch.searchsorted(cumulated, law + uniform[:, 0], right=True)
    index = index.clamp(max=len(cumulated) - 1)
    values = cells.centre[index] + cells.half[index] * (2 * uniform[:, 1:] - 1)
    law = cells.law[index]
    log_weights = free.log_density(law, values) - cells.log_density[index]
    weights = log_weights.nan_to_num(nan=-torch.inf, posinf=0.0).clamp(max=50).exp()
    table = weights.reshape(num, CANDIDATES)
    chosen = torch.multinomial(table + 1e-300, 1, generator=generator).flatten()
    picked = torch.arange(num, device=device) * CANDIDATES + chosen
    ess = float(weights.sum().square() / (len(weights) * weights.square().sum()).clamp(min=1e-300))
    return Exact(free.events(law[picked], values[picked].float()), ess, 0.0)
