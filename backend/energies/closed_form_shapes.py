"""Shapes with exact densities: checkerboard, pinwheel, double well, banana and funnel."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from backend.energies.closed_form import REACH, ClosedForm
from backend.metrics.quadrature import LOG_2PI, normal_grid
from backend.truth import Truth


def _log_normal(x: Tensor, mean: Tensor | float, sd: Tensor | float) -> Tensor:
    sd = torch.as_tensor(sd, dtype=x.dtype, device=x.device)
    return -0.5 * ((x - mean) / sd).square() - sd.log() - 0.5 * LOG_2PI


class Checkerboard(ClosedForm):
    """Uniform on 8 of the 16 squares of side 2 that tile [-4, 4]².

    The density is piecewise constant: -log p is log 32 on the squares and infinite elsewhere,
    its gradient is 0 wherever it exists, and Langevin or Hamiltonian chains cannot use it.
    """

    differentiable: ClassVar[bool] = False
    dim = 2
    box = ((-5.0, 5.0), (-5.0, 5.0))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        square = torch.floor(x / 2)
        inside = (x >= -4).all(1) & (x < 4).all(1) & (square.sum(1) % 2 == 0)
        energy = torch.where(inside, math.log(32.0), math.inf).to(x)
        return energy + 0 * x.sum(1)  # a gradient of 0 rather than none

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        uniform = torch.rand((num, 2), generator=generator, device=device)
        cell = torch.randint(8, (num,), generator=generator, device=device)
        row = cell // 2
        column = 2 * (cell % 2) + row % 2
        return 2 * (torch.stack([column, row], 1) + uniform) - 4

    def truth(self) -> Truth:
        """Each coordinate by itself is uniform on [-4, 4]."""
        variance = torch.full((2,), 64 / 12, dtype=torch.float64)
        return Truth("closed form", 0 * variance, variance, 0.0, mean_energy=math.log(32))


class Pinwheel(ClosedForm):
    """`num_arms` Gaussian arms, bent by turning each point by rate · exp(|x| / radius).

    The turn depends on the radius alone, so it keeps areas and the density is exact: undo the
    turn, then read a mixture of Gaussians that are long in the radius and thin across it. (The
    usual recipe turns by the coordinate along the arm; the two differ by a hair, and only this
    one has a density in closed form.)
    """

    dim = 2
    angles: Tensor

    def __init__(
        self,
        num_arms: int = 5,
        radius: float = 2.0,
        radial_sd: float = 0.6,
        tangential_sd: float = 0.2,
        rate: float = 0.25,
    ) -> None:
        super().__init__()
        self.radius, self.rate = radius, rate
        self.radial_sd, self.tangential_sd = radial_sd, tangential_sd
        angles = torch.arange(num_arms, dtype=torch.float64) * (2 * math.pi / num_arms)
        self.register_buffer("angles", angles.float())
        reach = radius + REACH * radial_sd
        self.box = ((-reach, reach), (-reach, reach))

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        angle = self._turn(x)[:, None] + self.angles.to(x.dtype)
        cos, sin = angle.cos(), angle.sin()
        along = cos * x[:, :1] + sin * x[:, 1:]
        across = cos * x[:, 1:] - sin * x[:, :1]
        log_terms = _log_normal(along, self.radius, self.radial_sd) + _log_normal(
            across, 0.0, self.tangential_sd
        )
        return math.log(len(self.angles)) - log_terms.logsumexp(1)

    def _turn(self, x: Tensor) -> Tensor:
        return self.rate * (torch.linalg.vector_norm(x, dim=1) / self.radius).exp()

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        white = torch.randn((num, 2), generator=generator, device=device)
        arm = torch.randint(len(self.angles), (num,), generator=generator, device=device)
        return self._bent(white, self.angles[arm])

    def _bent(self, white: Tensor, arm: Tensor) -> Tensor:
        """Standard normals (num, 2) stretched along arms at angles (num,), then turned."""
        along = self.radius + self.radial_sd * white[:, 0]
        across = self.tangential_sd * white[:, 1]
        # the turn keeps the radius, so it is that of the point before it
        angle = self._turn(torch.stack([along, across], 1)) + arm
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * along - sin * across, sin * along + cos * across], 1)

    def truth(self) -> Truth:
        """The mean is the centre by symmetry; all else is summed over one grid for each arm."""
        nodes, mass = normal_grid(2)
        arms = [self._bent(nodes, angle) for angle in self.angles.double()]
        square = torch.stack([mass @ x.square() for x in arms]).mean(0)
        mean_energy = float(mass @ self(arms[0]))
        return Truth("quadrature", 0 * square, square, 0.0, mean_energy=mean_energy)


class DoubleWell(ClosedForm):
    """E = barrier ((x/a)² - 1)² + tilt x / 2a + |y|²/(2 sd²) + log Z: wells near x = ±a, y = 0.

    The first of `dim` coordinates is x, the others are y. sd = a / √(8 barrier) is the width of a
    well, so that all directions are alike at its foot. A tilt makes the right well higher by about
    `tilt` nats and so lighter; |tilt| must stay below 3 barriers, or one well is none. Everything
    of x is from tables of 20,001 nodes in float64, whose error is far below float32.
    """

    grid: Tensor
    cumulative: Tensor
    wells: Tensor

    def __init__(
        self, barrier: float = 4.0, a: float = 2.0, tilt: float = 0.0, dim: int = 2
    ) -> None:
        super().__init__()
        self.barrier, self.a, self.tilt, self.dim = barrier, a, tilt, dim
        self.sd = a / math.sqrt(8 * barrier)
        # 40 nats above the bottom of a well: nothing lies beyond
        edge = a * math.sqrt(1 + math.sqrt((40 + 2 * abs(tilt)) / barrier))
        grid = torch.linspace(-edge, edge, 20_001, dtype=torch.float64)
        weight = (-self._well(grid)).exp()
        steps = 0.5 * (weight[1:] + weight[:-1]) * (grid[1] - grid[0])
        cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
        log_scale = math.log(self.sd) + 0.5 * LOG_2PI
        self.log_z = float(cumulative[-1].log()) + (dim - 1) * log_scale
        self.register_buffer("grid", grid)
        self.register_buffer("cumulative", cumulative / cumulative[-1])
        wells = torch.zeros(2, dim)
        wells[:, 0] = self._bottoms()
        self.register_buffer("wells", wells)
        self.modes, self.mode_sd = self.wells, self.sd
        reach = REACH * self.sd
        self.box = ((-edge, edge), (-reach, reach)) if dim == 2 else None

    def _well(self, x: Tensor) -> Tensor:
        wall = self.barrier * ((x / self.a).square() - 1).square()
        return wall + self.tilt / (2 * self.a) * x if self.tilt else wall

    def _bottoms(self) -> Tensor:
        """The two minima (2,) of the wells: outer roots of u³ - u + tilt / 8 barrier, times a."""
        third = -self.tilt / (8 * self.barrier) * math.sqrt(27) / 2
        angle = math.acos(max(-1.0, min(1.0, third))) / 3
        right = 2 / math.sqrt(3) * math.cos(angle)
        left = 2 / math.sqrt(3) * math.cos(angle + 2 * math.pi / 3)
        return self.a * torch.tensor([left, right])

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        others = (x[:, 1:] / self.sd).square().sum(1)
        return self._well(x[:, 0]) + 0.5 * others + self.log_z

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        uniform = torch.rand((num,), generator=generator, device=device, dtype=torch.float64)
        right = torch.searchsorted(self.cumulative, uniform).clamp(1, len(self.grid) - 1)
        low, high = self.cumulative[right - 1], self.cumulative[right]
        share = (uniform - low) / (high - low)
        x = self.grid[right - 1] + share * (self.grid[right] - self.grid[right - 1])
        white = torch.randn((num, self.dim - 1), generator=generator, device=device)
        return torch.cat([x.float()[:, None], self.sd * white], 1)

    def truth(self) -> Truth:
        """By sums over the table of x; what lies left of the middle of the modes is the left's."""
        well = self._well(self.grid)
        mass = (-well).exp() / (-well).exp().sum()
        mean = torch.zeros(self.dim, dtype=torch.float64)
        variance = torch.full((self.dim,), self.sd**2, dtype=torch.float64)
        mean[0] = mass @ self.grid
        variance[0] = mass @ (self.grid - mean[0]).square()
        left = self._mass_below(float(self.wells.double()[:, 0].mean()))
        mean_energy = float(mass @ well) + 0.5 * (self.dim - 1) + self.log_z
        weights = torch.tensor([left, 1 - left], dtype=torch.float64)
        return Truth("quadrature", mean, variance, 0.0, weights, mean_energy)

    def _mass_below(self, x: float) -> float:
        step = float(self.grid[1] - self.grid[0])
        place = (x - float(self.grid[0])) / step
        low = int(place)
        below, above = self.cumulative[low], self.cumulative[low + 1]
        return float(below + (place - low) * (above - below))


class Banana(ClosedForm):
    """x ~ N(0, width²), y | x ~ N(bend (x² - width²), sd²): skewed, with known moments.

    Coordinates beyond the first two are ~ N(0, width²) apart from all others. bend must not be
    negative. After Haario, Saksman & Tamminen 1999.
    """

    def __init__(
        self, width: float = 2.0, bend: float = 0.4, sd: float = 0.5, dim: int = 2
    ) -> None:
        super().__init__()
        self.width, self.bend, self.sd, self.dim = width, bend, sd, dim
        if dim == 2:
            # five widths, not seven: the arms reach so far up that the grid would grow coarse
            x, pad = 5 * width, 5 * sd
            self.box = ((-x, x), (-bend * width**2 - pad, bend * (x**2 - width**2) + pad))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (dim,) and covariance (dim, dim), float64."""
        variances = torch.full((self.dim,), self.width**2, dtype=torch.float64)
        variances[1] = 2 * self.bend**2 * self.width**4 + self.sd**2
        return torch.zeros(self.dim, dtype=torch.float64), variances.diag()

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        centre = self.bend * (x[:, 0].square() - self.width**2)
        energy = -_log_normal(x[:, 0], 0.0, self.width) - _log_normal(x[:, 1], centre, self.sd)
        return energy if self.dim == 2 else energy - _log_normal(x[:, 2:], 0.0, self.width).sum(1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, self.dim), generator=generator, device=generator.device)
        x = self.width * white[:, 0]
        y = self.bend * (x.square() - self.width**2) + self.sd * white[:, 1]
        return torch.cat([torch.stack([x, y], 1), self.width * white[:, 2:]], 1)

    def truth(self) -> Truth:
        """Bending moves no mass closer together: the entropy is that of the straight Gaussian."""
        mean, covariance = self.moments()
        log_scale = (self.dim - 1) * math.log(self.width) + math.log(self.sd)
        entropy = 0.5 * self.dim * (1 + LOG_2PI) + log_scale
        return Truth("closed form", mean, covariance.diagonal(), 0.0, mean_energy=entropy)


class Funnel(ClosedForm):
    """v ~ N(0, spread²), every other coordinate ~ N(0, exp(v)). Neal 2003, spread 3.

    Its tails reach so far that no plain grid holds the mass: `box` is None.
    """

    def __init__(self, dim: int = 2, spread: float = 3.0) -> None:
        super().__init__()
        self.dim, self.spread = dim, spread

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        v, rest = x[:, :1], x[:, 1:]
        log_density = _log_normal(v[:, 0], 0.0, self.spread)
        # written with exp(-v), not with an sd, so that far out nothing divides by zero
        others = -0.5 * (rest.square() * (-v).exp() + v + LOG_2PI)
        return -log_density - others.sum(1)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        white = torch.randn((num, self.dim), generator=generator, device=generator.device)
        v = self.spread * white[:, :1]
        return torch.cat([v, (0.5 * v).exp() * white[:, 1:]], 1)

    def truth(self) -> Truth:
        """E[exp(v)] = exp(spread²/2); the log scales average out of the mean energy."""
        variance = torch.full((self.dim,), math.exp(0.5 * self.spread**2), dtype=torch.float64)
        variance[0] = self.spread**2
        entropy = 0.5 * self.dim * (1 + LOG_2PI) + math.log(self.spread)
        return Truth("closed form", 0 * variance, variance, 0.0, mean_energy=entropy)
