"""Targets from statistical physics: lattice φ⁴ theory and clusters of Lennard-Jones particles.

Neither is normalised. Energies are in nats: E = U/T where a temperature belongs to the model.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from backend.energy import Energy
from backend.metrics.quadrature import LOG_2PI
from backend.truth import Expectations, Truth

NUM_NODES = 301
"""Of the transfer operator's grid."""
DEPTH = 45.0
"""Nats above the lowest potential at the ends of the grid: nothing lies beyond."""
WIDEST = 60.0
"""Half the widest grid on which the coupling between neighbours, of width 1, is still resolved."""


def potential(phi: Tensor, mass_squared: float, coupling: float) -> Tensor:
    """½ m² φ² + ¼ λ φ⁴ at a site, nats."""
    square = phi.square()
    return 0.5 * mass_squared * square + 0.25 * coupling * square.square()


class Phi4(Energy):
    """Scalar field on a periodic lattice: E = Σ_x [½ Σ_μ (φ_{x+μ} - φ_x)² + ½ m² φ² + ¼ λ φ⁴].

    φ of shape (length,) or (length, length); its units are the lattice's. With φ → φ/√2 this is the
    action of Albergo, Kanwar & Shanahan 2019 with the same m² and λ. m² < 0 makes two wells at
    φ = ±√(-m²/λ), which neighbours share or not; the law is symmetric under φ → -φ.
    """

    def __init__(self, dims: int, length: int, mass_squared: float, coupling: float) -> None:
        super().__init__()
        self.event_shape = torch.Size([length] * dims)
        self.mass_squared, self.coupling = mass_squared, coupling

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        energy = potential(x, self.mass_squared, self.coupling)
        for axis in range(1, x.dim()):
            energy = energy + 0.5 * (x.roll(-1, axis) - x).square()
        return energy.flatten(1).sum(1)

    def functions(self, x: Tensor) -> Tensor:
        """Means over the lattice (num, 3): φ², φ times its neighbour along the first axis, φ⁴."""
        square = x.square()
        parts = (square, x * x.roll(-1, 1), square.square())
        return torch.stack([part.flatten(1).mean(1) for part in parts], 1)

    names = ("⟨φ²⟩", "⟨φ φ'⟩ of neighbours", "⟨φ⁴⟩")


def half_width(mass_squared: float, coupling: float) -> float:
    """|φ| where the potential is DEPTH above its lowest value; infinite where nothing holds φ."""
    lowest = -(mass_squared**2) / (4 * coupling) if mass_squared < 0 and coupling > 0 else 0.0
    if coupling == 0:
        return math.sqrt(2 * DEPTH / mass_squared) if mass_squared > 0 else math.inf
    root = math.sqrt(mass_squared**2 + 4 * coupling * (DEPTH + lowest))
    return math.sqrt((-mass_squared + root) / coupling)


class Chain:
    """One-dimensional φ⁴ solved: powers of T(a, b) = exp(-½(a-b)² - ½V(a) - ½V(b)) on a grid.

    Z = Tr (h T)^L. The trapezoid sums are exact to rounding, as T is smooth and vanishes at both
    ends. Raises ValueError where φ is held so weakly that a grid cannot resolve T.
    """

    def __init__(self, energy: Phi4) -> None:
        edge = half_width(energy.mass_squared, energy.coupling)
        if not edge <= WIDEST:
            raise ValueError("the potential is too flat")
        (self.length,) = energy.event_shape
        self.energy = energy
        self.nodes = torch.linspace(-edge, edge, NUM_NODES, dtype=torch.float64)
        self.step = float(self.nodes[1] - self.nodes[0])
        site = potential(self.nodes, energy.mass_squared, energy.coupling)
        gap = (self.nodes[:, None] - self.nodes).square()
        lowest = site.min()
        transfer = self.step * (-0.5 * (gap + site[:, None] + site) + lowest).exp()
        self.values, self.vectors = torch.linalg.eigh(transfer)
        self.values = self.values.clamp(min=0)
        self.top = float(self.values[-1])
        self.log_z = self.length * (math.log(self.top) - float(lowest)) + float(
            (self.values / self.top).pow(self.length).sum().log()
        )

    def power(self, exponent: int) -> Tensor:
        """(T / its greatest eigenvalue)^exponent on the grid, (nodes, nodes)."""
        return (self.vectors * (self.values / self.top).pow(exponent)) @ self.vectors.T

    def truth(self) -> Truth:
        """Everything by quadrature: log Z, variance, neighbours' products, mean energy."""
        site = self.power(self.length).diagonal()
        total = float(site.sum())
        pair = self.power(1) * self.power(self.length - 1) / total
        squares = self.nodes.square()
        square = float(site @ squares) / total
        fourth = float(site @ squares.square()) / total
        neighbour = float(self.nodes @ pair @ self.nodes)
        energy = self.energy
        held = 0.5 * energy.mass_squared * square + 0.25 * energy.coupling * fourth
        variance = torch.full(energy.event_shape, square, dtype=torch.float64)
        known = torch.tensor([square, neighbour, fourth], dtype=torch.float64)
        return Truth(
            "quadrature (transfer operator)",
            mean=0 * variance,
            variance=variance,
            log_z=self.log_z,
            mean_energy=self.length * (square - neighbour + held),
            functions=Expectations(energy.names, energy.functions, known),
        )

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Independent draws (num, length) float32, site after site given the last and the first.

        On the grid, then spread evenly within its steps h, which adds h²/12 to the variance of a
        site: some 1e-4 of it.
        """
        device = generator.device
        first = self.power(self.length).diagonal().clamp(min=0).float().to(device)
        one = self.power(1).clamp(min=0).float().to(device)
        place = torch.multinomial(first, num, replacement=True, generator=generator)
        start, places = place, [place]
        for left in range(self.length - 1, 0, -1):
            back = self.power(left).clamp(min=0).float().to(device)
            cumulative = (one[place] * back[start]).cumsum(1)
            uniform = torch.rand((num, 1), generator=generator, device=device)
            place = (cumulative < uniform * cumulative[:, -1:]).sum(1).clamp(max=NUM_NODES - 1)
            places.append(place)
        nodes = self.nodes.float().to(device)[torch.stack(places, 1)]
        jitter = torch.rand(nodes.shape, generator=generator, device=device) - 0.5
        return nodes + self.step * jitter


SOFT = 0.5
"""Distance below which the repulsion goes on as a parabola: 16,128 ε, where nothing ever is."""


def pair_potential(square: Tensor) -> Tensor:
    """4 (r⁻¹² - r⁻⁶) of squared distances, in units of ε and σ.

    Below r = 1/2 it goes on linearly in r², so that coinciding particles have a finite energy and
    gradient; the law is not changed by this, as it never gets there.
    """
    core = SOFT**2
    inverse = square.clamp(min=core).pow(-3)
    slope = 4 * (-6 * core**-7 + 3 * core**-4)
    return 4 * (inverse.square() - inverse) + slope * (square - core).clamp(max=0)


class LennardJones(Energy):
    """n particles in three dimensions: E = [Σ_{i<j} 4 (r⁻¹² - r⁻⁶) + ½ k Σ |x_i|²] / T.

    Positions (num, n, 3) in units of σ, T and k in those of ε. The trap k keeps the cluster in
    place and from evaporating. Without it the lowest energy of 13 particles is -44.3268 ε, an
    icosahedron (Hoare & Pal 1971).
    """

    def __init__(self, num: int, temperature: float, confinement: float) -> None:
        super().__init__()
        self.event_shape = torch.Size((num, 3))
        self.temperature, self.confinement = temperature, confinement
        self.register_buffer("far", 1e6 * torch.eye(num))
        self.register_buffer("pairs", torch.triu_indices(num, num, 1))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        # every pair twice, and each particle as if far from itself: no gather in the gradient
        square = (x[:, :, None] - x[:, None]).square().sum(3) + self.get_buffer("far").to(x.dtype)
        pairs = 0.5 * pair_potential(square).flatten(1).sum(1)
        trap = 0.5 * self.confinement * x.square().flatten(1).sum(1)
        return (pairs + trap) / self.temperature

    def functions(self, x: Tensor) -> Tensor:
        """(num, 3): the mean distance of pairs, the mean of |x_i|², the energy of all pairs (ε)."""
        first, second = self.get_buffer("pairs").to(x.device)
        square = (x[:, first] - x[:, second]).square().sum(2)
        distance, radius = square.sqrt().mean(1), x.square().sum(2).mean(1)
        return torch.stack([distance, radius, pair_potential(square).sum(1)], 1)

    names = ("mean distance of pairs", "mean squared distance from the centre", "pair energy")


class Pair:
    """Two Lennard-Jones particles, solved: the centre is Gaussian, the distance one integral."""

    def __init__(self, energy: LennardJones) -> None:
        self.energy = energy
        self.centre_variance = energy.temperature / (2 * energy.confinement)
        # from where the wall is hundreds of T high to where the trap is 45 T deep
        reach = 1.5 + math.sqrt(4 * DEPTH * energy.temperature / energy.confinement)
        self.radius = torch.linspace(0.5, reach, 40_001, dtype=torch.float64)
        square = self.radius.square()
        pair = pair_potential(square) / energy.temperature
        held = pair + energy.confinement * square / (4 * energy.temperature)
        log_mass = square.log() - held
        top = float(log_mass.max())
        self.mass = (log_mass - top).exp()
        self.held = held
        step = float(self.radius[1] - self.radius[0])
        self.log_z = (
            1.5 * (LOG_2PI + math.log(self.centre_variance))
            + math.log(4 * math.pi * step)
            + top
            + float(self.mass.sum().log())
        )
        self.mass = self.mass / self.mass.sum()

    def truth(self) -> Truth:
        energy, square = self.energy, self.radius.square()
        apart = float(self.mass @ square)
        each = self.centre_variance + apart / 12
        variance = torch.full((2, 3), each, dtype=torch.float64)
        pair = float(self.mass @ pair_potential(square))
        known = torch.tensor([float(self.mass @ self.radius), 3 * each, pair], dtype=torch.float64)
        return Truth(
            "quadrature",
            mean=0 * variance,
            variance=variance,
            log_z=self.log_z,
            mean_energy=1.5 + float(self.mass @ self.held),
            functions=Expectations(energy.names, energy.functions, known),
        )

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Independent draws (num, 2, 3) float32; distances to within the 1e-4 of a table's step."""
        device = generator.device
        cumulative = self.mass.cumsum(0).to(device)
        uniform = torch.rand(num, generator=generator, device=device, dtype=torch.float64)
        place = torch.searchsorted(cumulative, uniform).clamp(max=len(cumulative) - 1)
        radius = self.radius.float().to(device)[place][:, None]
        direction = torch.randn((num, 3), generator=generator, device=device)
        half = 0.5 * radius * direction / direction.norm(dim=1, keepdim=True)
        white = torch.randn((num, 3), generator=generator, device=device)
        centre = math.sqrt(self.centre_variance) * white
        return torch.stack([centre + half, centre - half], 1)
